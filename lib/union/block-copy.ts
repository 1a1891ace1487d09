// Copying less than a file: its changed blocks alone, or its first bytes; and the rest at once.
//
//   metacopy ─▶ beginBlocks ─▶ unsettled ─▶ settleFirst ─▶ ordinary       (blocks.ts)
//
// Rule: what a file shows is the same before and after each of these.

import { ERRNO, Errno, fail } from '../base/errno.ts'
import { Parked } from '../fuse/filesystem.ts'
import { asOwner } from '../host/own-rights.ts'
import { Stat } from '../host/stat.ts'
import { must, O, sys } from '../host/sys.ts'
import { setBlocks } from '../layer/marks.ts'
import { locate } from './attributes.ts'
import { beforeChange } from './before-change.ts'
import { Blocks } from './blocks.ts'
import type { Branch } from './branch.ts'
import { openPlace } from './copy-up.ts'
import { openBacking, rebind } from './files.ts'
import type { UnionLayer } from './layer.ts'
import { type UnionNode, viewPath } from './node.ts'
import type { View } from './view.ts'

const lowerStat = new Stat()
const own = new Stat()

/** Has an unsettled file be one like any other. Throws Errno, or Parked until it is. */
export function settleFirst(node: UnionNode): void {
  const { blocks } = node
  if (blocks === null) return
  blocks.waitForPiece()
  if (blocks.settled) return
  if (blocks.error !== 0) {
    const { error } = blocks
    blocks.error = 0
    if (error !== ERRNO.ECANCELED) throw new Errno(error, 'settle')
  }
  const backing = openBacking(node, true)
  const [fd, lower] = [sys.dup(backing.fd), sys.dup(backing.lower)]
  backing.close()
  const job = fd < 0 || lower < 0 ? null : blocks.begin(fd, lower, Number.POSITIVE_INFINITY)
  if (job !== null) throw new Parked(job)
  sys.close(fd)
  sys.close(lower)
  fail('EIO', 'settle')
}

/** From here on a metacopy takes bytes itself; nothing that it shows changes. */
export function beginBlocks(view: View, node: UnionNode, rw: Branch): void {
  const place = node.data!
  const { dir, name } = locate(node)
  const fd = asOwner(dir, name, () => sys.openat(dir, name, O.RDWR | O.NOFOLLOW))
  must(fd, 'copy up')
  let lower = -1
  try {
    lower = openPlace(place)
    must(sys.stat(lower, '', lowerStat), 'copy up')
    const { size, mtime, mtimeNsec } = lowerStat
    must(sys.stat(fd, '', own), 'copy up')
    const mark = { valid: Math.min(size, own.size), size, mtime, mtimeNsec }
    beforeChange(rw, 'attributes', fd, '')
    const set = () => setBlocks(fd, mark, rw.prefix!)
    if (rw.ctimes === null) set()
    else rw.ctimes.keeping(fd, '', set)
    const was = { branch: rw, place: null, data: place }
    const at = viewPath(node)
    const { branch, dir: inDir, name: inName } = place
    const lies = { branch, dir: inDir, name: inName }
    const blocks = new Blocks(rw, own.ino, lies, at, mark, own.size)
    rw.unsettled!.add(blocks)
    node.data = { ...lies, blocks }
    rebind(node)
    view.copied(node, was)
  } finally {
    sys.close(fd)
    if (lower !== -1) sys.close(lower)
  }
}

/** The first bytes of a large file, which is about to be cut, come into its copy. */
export function copyStart(
  view: View,
  node: UnionNode,
  layer: UnionLayer,
  temp: string,
  size: number,
  keep: number,
): void {
  layer.rw!.written?.take(keep, view.opened)
  const bytes = Buffer.allocUnsafeSlow(Math.min(keep, size))
  const from = openBacking(node, false)
  const to = sys.openat(layer.work, temp, O.WRONLY | O.NOFOLLOW)
  try {
    must(to, 'copy up')
    const { blocks } = node
    for (let at = 0; at < bytes.length; ) {
      const rest = bytes.subarray(at)
      const read = () => sys.pread(from.fd, rest, rest.length, at)
      const count = must(blocks?.read(from.fd, from.lower, at, rest) ?? read(), 'copy up')
      if (count === 0) break
      at += count
    }
    for (let at = 0; at < bytes.length; ) {
      const rest = bytes.subarray(at)
      at += must(sys.pwrite(to, rest, rest.length, at), 'copy up') || fail('EIO')
    }
    must(sys.ftruncate(to, keep), 'copy up')
    if (layer.id !== '') must(sys.fdatasync(to), 'copy up')
  } finally {
    if (to >= 0) sys.close(to)
    from.close()
  }
}
