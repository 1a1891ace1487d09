// Names that go away.
//
//   only in the writable sublayer          unlinked
//   something below would show instead     a whiteout takes its place, in one rename
//   only below                             a whiteout is made
//
// Rule: a file that is still open, or otherwise known to the kernel, keeps a descriptor, and
// goes on working with link count 0.

import { ERRNO, Errno, fail } from '../base/errno.ts'
import { joinPath } from '../base/path.ts'
import { listDirectory } from '../host/directory.ts'
import { moveAsOwner } from '../host/own-rights.ts'
import { removeQuietly } from '../host/remove-tree.ts'
import { Stat } from '../host/stat.ts'
import { AT_REMOVEDIR, must, O, RENAME_EXCHANGE, S, sys } from '../host/sys.ts'
import { isWhiteout } from '../layer/marks.ts'
import { locate } from './attributes.ts'
import { beforeChange } from './before-change.ts'
import type { Branch } from './branch.ts'
import { ensureDirectory } from './copy-up.ts'
import type { UnionLayer } from './layer.ts'
import { bringLinked, nameWent } from './links.ts'
import { pathIn, placeIn, type UnionNode } from './node.ts'
import { listMerged } from './readdir.ts'
import { layerOf } from './route.ts'
import type { View } from './view.ts'

const stat = new Stat()

/** Removes a file's name. Throws Errno. */
export function unlinkName(view: View, dir: UnionNode, name: string, node: UnionNode): void {
  bringLinked(view, node)
  const layer = layerOf(view, node)
  takeAway(view, dir, name, layer, node)
  nameWent(node, layer)
  view.removeName(node, dir, name)
}

/** Removes an empty directory. Throws Errno. */
export function rmdirName(view: View, dir: UnionNode, name: string, node: UnionNode): void {
  if (!isEmpty(view, node)) fail('ENOTEMPTY')
  takeAway(view, dir, name, layerOf(view, node), node)
  for (const branch of view.stack.branches) branch.moved(node.path)
  view.removeName(node, dir, name)
}

/** True where a directory shows nothing. Throws Errno. */
export function isEmpty(view: View, node: UnionNode): boolean {
  try {
    return listMerged(view, node).length === 0
  } catch (err) {
    if (!(err instanceof Errno) || err.code !== 'EACCES' || view.options.privileged) throw err
    return readable(node, () => listMerged(view, node).length === 0)
  }
}

// An ordinary user may remove a directory without the right to read it.
function readable<T>(node: UnionNode, look: () => T): T {
  const own = node.places.filter(({ branch }) => branch.writable)
  const opened = own.map(({ branch }) => {
    const fd = branch.dirFd(node.path)
    must(sys.stat(fd, '', stat), 'stat')
    const { mode } = stat
    must(sys.chmodFd(fd, (mode & ~S.IFMT) | 0o500), 'chmod')
    return () => void sys.chmodFd(branch.dirFd(node.path), mode & ~S.IFMT)
  })
  try {
    return look()
  } finally {
    for (const close of opened) close()
  }
}

function takeAway(
  view: View,
  dir: UnionNode,
  name: string,
  layer: UnionLayer,
  node: UnionNode,
): void {
  keepFile(node)
  try {
    cover(view, dir, name, layer, node.isDirectory ? 'directory' : 'file')
  } catch (err) {
    releaseFile(node)
    throw err
  }
}

/** Holds the node's file by a descriptor, so that it outlives its name. */
export function keepFile(node: UnionNode): void {
  if (node.fd !== -1) return
  const { dir, name } = locate(node)
  node.fd = must(
    name === '' ? sys.reopen(dir, O.PATH) : sys.openat(dir, name, O.PATH | O.NOFOLLOW),
    'open',
  )
}

/** It keeps its name: what `keepFile` opened is given back. */
export function releaseFile(node: UnionNode): void {
  if (node.fd !== -1) sys.close(node.fd)
  node.fd = -1
}

/**
 * Takes a name out of the view by changing `layer` (and scratch areas above it) alone: what
 * the writable sublayer has there goes, and a whiteout comes where something below would show.
 */
function cover(
  view: View,
  dir: UnionNode,
  name: string,
  layer: UnionLayer,
  kind: 'file' | 'directory',
): void {
  if (showsBelow(view, dir, name, layer)) hide(view, dir, name, layer, kind)
  else takeOut(view, layer, dir, name)
  // From below upwards: until the last is gone, the name shows what it showed.
  const above = dir.places.filter(
    ({ branch }) =>
      branch.writable &&
      branch.layer !== layer &&
      view.stack.isAbove(branch.layer, layer) &&
      branch.peek(dir.path, name, stat),
  )
  for (const { branch } of above.reverse()) takeOut(view, branch.layer, dir, name)
}

function hide(
  view: View,
  dir: UnionNode,
  name: string,
  layer: UnionLayer,
  kind: 'file' | 'directory',
): void {
  const rw = layer.rw ?? fail('EROFS')
  const has = placeIn(dir, rw) !== null && rw.peek(dir.path, name, stat)
  ensureDirectory(view, dir, layer)
  const into = rw.dirFd(dir.path)
  const { nameChanges } = rw
  beforeChange(rw, has ? 'gone' : 'names', into, name)
  if (!has || kind === 'file') rw.own?.adds(nameChanges, dir.path, name)
  if (!has) {
    must(sys.mknodat(into, name, S.IFCHR, 0), 'whiteout')
    return
  }
  if (kind === 'directory') preserveInside(rw, dir, name)
  const temp = view.tempName()
  must(sys.mknodat(layer.work, temp, S.IFCHR, 0), 'whiteout')
  const flags = kind === 'directory' ? RENAME_EXCHANGE : 0
  const done = moveAsOwner(layer.work, temp, into, name, flags)
  if (done < 0 || flags !== 0) removeQuietly(layer.work, temp)
  must(done, 'whiteout')
}

// Only whiteouts can be left in a directory that shows empty; it goes by way of `work/`, so
// that no reader of the sublayer ever sees it half emptied.
function takeOut(view: View, layer: UnionLayer, dir: UnionNode, name: string): void {
  const rw = layer.rw ?? fail('EROFS')
  if (placeIn(dir, rw) === null) return
  const into = rw.dirFd(dir.path)
  const { nameChanges } = rw
  beforeChange(rw, 'gone', into, name)
  rw.own?.ends(nameChanges, joinPath(dir.path, name))
  const done = sys.unlinkat(into, name)
  if (done >= 0 || done === -ERRNO.ENOENT) return
  if (done !== -ERRNO.EISDIR) must(done, 'unlink')
  preserveInside(rw, dir, name)
  if (sys.unlinkat(into, name, AT_REMOVEDIR) >= 0) return
  const temp = view.tempName()
  must(moveAsOwner(into, name, layer.work, temp), 'rmdir')
  removeQuietly(layer.work, temp)
}

// What a frozen image still has in a directory that goes: its whiteouts.
function preserveInside(rw: Branch, dir: UnionNode, name: string): void {
  if (rw.freezes.length === 0) return
  const fd = rw.dirFd(joinPath(dir.path, name))
  for (const entry of listDirectory(fd)) beforeChange(rw, 'gone', fd, entry.name)
}

/** True where a name would show if the writable sublayer of `layer` had nothing there. */
export function showsBelow(view: View, dir: UnionNode, name: string, layer: UnionLayer): boolean {
  const rank = view.stack.rank(layer.rw!)!
  for (const place of dir.places) {
    const { branch } = place
    if (view.stack.rank(branch)! <= rank) continue
    if (branch.peek(pathIn(dir, place), name, stat))
      return branch.prefix === null || !isWhiteout(stat)
  }
  return false
}
