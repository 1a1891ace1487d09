// Closing a directory of a writable sublayer: nothing of lower layers shows in it any more.
//
//   flatten   all it holds is copied into one layer, then the mark
//   veil      where it already is all there is, and comes to lie over something that is hidden
//
// Rule: the mark comes when it hides nothing that shows, and whiteouts go after it, so that the
// view is the same before and after each call.

import { DT, listDirectory } from '../host/directory.ts'
import { Stat } from '../host/stat.ts'
import { must, sys } from '../host/sys.ts'
import { clearMark, isWhiteout, setMark } from '../layer/marks.ts'
import { beforeChange } from './before-change.ts'
import type { Branch } from './branch.ts'
import { bring, ensureDirectory } from './copy-up.ts'
import { keepTimes } from './keep-times.ts'
import type { UnionLayer } from './layer.ts'
import type { UnionNode } from './node.ts'
import { listMerged } from './readdir.ts'
import type { View } from './view.ts'

const stat = new Stat()

/**
 * Writes a directory with all it holds into one layer, opaque, so that nothing of it lies
 * elsewhere. Nodes keep their numbers.
 */
export function flatten(view: View, node: UnionNode, layer: UnionLayer): void {
  ensureDirectory(view, node, layer)
  for (const { name } of listMerged(view, node)) {
    const child = view.child(node, name)
    if (child === null) continue
    if (child.isDirectory) flatten(view, child, layer)
    else if (child.branch !== layer.rw || child.data !== null) bring(view, child, layer, 'whole')
  }
  const rw = layer.rw!
  const dir = rw.dirFd(node.path)
  // Its number was that of its lowest place, which it will have no more.
  must(sys.stat(dir, '', stat), 'stat')
  layer.numbers?.set(stat.ino, node.ino)
  if (rw.prefix !== null) close(rw, dir)
  view.onlyIn(node, rw)
  if (rw.prefix !== null) sweep(rw, dir)
}

// Opaque hides the own read-only part and all other layers (a base mark is followed all the
// same); a veil only the others, because a redirect is to be followed.
export function veil(node: UnionNode, layer: UnionLayer, hidden: readonly UnionLayer[]): void {
  const rw = layer.rw!
  const dir = rw.dirFd(node.path)
  const hasOwn = hasOwnPart(node, layer)
  const hasBase = node.places.some((one) => one.branch.layer.isBase)
  beforeChange(rw, 'attributes', dir, '')
  // Whiteouts still hide what the base has.
  if (!hasOwn && hasBase) setMark(dir, '', 'opaque', rw.prefix!)
  else if (!hasOwn) {
    close(rw, dir)
    sweep(rw, dir)
  } else if (hidden.some((other) => other !== layer)) setMark(dir, '', 'veil', rw.prefix!)
  node.closed = true
}

/** True where a layer's read-only part has something of a directory. */
export const hasOwnPart = (node: UnionNode, layer: UnionLayer): boolean =>
  node.places.some((one) => one.branch.layer === layer && !one.branch.writable)

/** Makes a directory opaque; nothing below shows in it, also by an earlier base mark. */
function close(rw: Branch, dir: number): void {
  beforeChange(rw, 'attributes', dir, '')
  setMark(dir, '', 'opaque', rw.prefix!)
  // An earlier rename's: all that the base had lies here now.
  clearMark(dir, '', 'base', rw.prefix!)
}

/** The whiteouts of a closed directory hide nothing; the kernel's overlayfs would list them. */
function sweep(rw: Branch, dir: number): void {
  keepTimes(rw, dir, () => {
    for (const { name, type } of listDirectory(dir)) {
      if (type !== DT.CHR || sys.stat(dir, name, stat) < 0 || !isWhiteout(stat)) continue
      beforeChange(rw, 'gone', dir, name)
      sys.unlinkat(dir, name)
    }
  })
}
