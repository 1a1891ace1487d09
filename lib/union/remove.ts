// Names that go away.
//
//   only in the writable sublayer          unlinked
//   something below would show instead     a whiteout takes its place, in one rename
//   only below                             a whiteout is made
//
// Rule: a file that is still open, or otherwise known to the kernel, keeps a descriptor, and
// goes on working with link count 0.

import { ERRNO, fail } from '../base/errno.ts'
import { joinPath } from '../base/path.ts'
import { listDirectory } from '../host/directory.ts'
import { removeTree } from '../host/remove-tree.ts'
import { Stat } from '../host/stat.ts'
import { AT_REMOVEDIR, must, O, RENAME_EXCHANGE, S, sys } from '../host/sys.ts'
import { locate } from './attributes.ts'
import type { Branch } from './branch.ts'
import { ensureDirectory } from './copy-up.ts'
import { beforeChange } from './freeze.ts'
import type { UnionLayer } from './layer.ts'
import { bringLinked } from './links.ts'
import { find } from './lookup.ts'
import { placeIn, type UnionNode } from './node.ts'
import { listMerged } from './readdir.ts'
import { layerOf } from './route.ts'
import type { View } from './view.ts'

const stat = new Stat()

/** Removes a file's name. Throws Errno. */
export function unlinkName(view: View, dir: UnionNode, name: string, node: UnionNode): void {
  bringLinked(view, node)
  const layer = layerOf(view, node)
  keepFile(node)
  if (node.fd === -1) cover(view, dir, name, layer, 'file')
  else {
    try {
      cover(view, dir, name, layer, 'file')
    } catch (err) {
      sys.close(node.fd)
      node.fd = -1
      throw err
    }
  }
  view.removeName(node, dir, name)
}

/** Removes an empty directory. Throws Errno. */
export function rmdirName(view: View, dir: UnionNode, name: string, node: UnionNode): void {
  if (listMerged(view, node).length > 0) fail('ENOTEMPTY')
  const layer = layerOf(view, node)
  keepFile(node)
  cover(view, dir, name, layer, 'directory')
  for (const branch of view.stack.branches) branch.moved(node.path)
  view.removeName(node, dir, name)
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

/**
 * Takes a name out of the view by changing `layer` (and scratch areas above it) alone: what
 * the writable sublayer has there goes, and a whiteout comes where something below would show.
 */
export function cover(
  view: View,
  dir: UnionNode,
  name: string,
  layer: UnionLayer,
  kind: 'file' | 'directory',
): void {
  for (const place of dir.places) {
    const over = place.branch.layer
    if (over === layer || !view.stack.isAbove(over, layer)) break
    if (place.branch.writable) takeOut(view, over, dir, name)
  }
  const rw = layer.rw ?? fail('EROFS')
  const needed = showsBelow(view, dir, name, layer)
  if (!needed) {
    takeOut(view, layer, dir, name)
    return
  }
  const has = placeIn(dir, rw) !== null && rw.peek(dir.path, name, stat)
  ensureDirectory(view, dir, layer)
  const into = rw.dirFd(dir.path)
  if (!has) {
    beforeChange(rw, 'names', into, '')
    must(sys.mknodat(into, name, S.IFCHR, 0), 'whiteout')
    return
  }
  beforeChange(rw, 'gone', into, name)
  if (kind === 'directory') preserveInside(rw, dir, name)
  const temp = view.tempName()
  must(sys.mknodat(layer.work, temp, S.IFCHR, 0), 'whiteout')
  const flags = kind === 'directory' ? RENAME_EXCHANGE : 0
  const done = sys.renameat(layer.work, temp, into, name, flags)
  if (done < 0 || flags !== 0) removeTree(layer.work, temp)
  must(done, 'whiteout')
}

// Only whiteouts can be left in a directory that shows empty; it goes by way of `work/`, so
// that no reader of the sublayer ever sees it half emptied.
function takeOut(view: View, layer: UnionLayer, dir: UnionNode, name: string): void {
  const rw = layer.rw!
  if (placeIn(dir, rw) === null) return
  const into = rw.dirFd(dir.path)
  beforeChange(rw, 'gone', into, name)
  const done = sys.unlinkat(into, name)
  if (done >= 0 || done === -ERRNO.ENOENT) return
  if (done !== -ERRNO.EISDIR) must(done, 'unlink')
  preserveInside(rw, dir, name)
  if (sys.unlinkat(into, name, AT_REMOVEDIR) >= 0) return
  const temp = view.tempName()
  must(sys.renameat(into, name, layer.work, temp), 'rmdir')
  removeTree(layer.work, temp)
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
  const from = dir.places.findIndex((place) => view.stack.rank(place.branch)! > rank)
  if (from === -1) return false
  const found = find(view, dir, name, from)
  return found.at === 'file' || found.at === 'directory'
}
