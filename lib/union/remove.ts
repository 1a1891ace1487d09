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
import { removeTree } from '../host/remove-tree.ts'
import { Stat } from '../host/stat.ts'
import { AT_REMOVEDIR, must, O, RENAME_EXCHANGE, S, sys } from '../host/sys.ts'
import { locate } from './attributes.ts'
import type { Branch } from './branch.ts'
import { ensureDirectory } from './copy-up.ts'
import { beforeChange } from './freeze.ts'
import type { UnionLayer } from './layer.ts'
import { bringLinked, nameWent } from './links.ts'
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
  keepingFile(node, () => cover(view, dir, name, layer))
  nameWent(node, layer)
  view.removeName(node, dir, name)
}

/** Removes an empty directory. Throws Errno. */
export function rmdirName(view: View, dir: UnionNode, name: string, node: UnionNode): void {
  if (listMerged(view, node).length > 0) fail('ENOTEMPTY')
  const layer = layerOf(view, node)
  keepingFile(node, () => {
    if (showsBelow(view, dir, name, layer)) setAside(view, dir, name, layer).finish()
    else cover(view, dir, name, layer)
  })
  for (const branch of view.stack.branches) branch.moved(node.path)
  view.removeName(node, dir, name)
}

/** Does what takes the node's name, with its file held; where that fails, it is as it was. */
export function keepingFile(node: UnionNode, act: () => void): void {
  const held = node.fd !== -1
  keepFile(node)
  try {
    act()
  } catch (err) {
    if (!held) {
      sys.close(node.fd)
      node.fd = -1
    }
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

/**
 * Takes a name out of the view by changing `layer` (and scratch areas above it) alone: what the
 * writable sublayer has there goes, and a whiteout comes where something below would show. A
 * directory over something goes by `setAside`.
 */
function cover(view: View, dir: UnionNode, name: string, layer: UnionLayer): void {
  takeOutAbove(view, dir, name, layer)
  const rw = layer.rw ?? fail('EROFS')
  if (!showsBelow(view, dir, name, layer)) {
    takeOut(view, layer, dir, name)
    return
  }
  const has = hasOwn(rw, dir, name)
  ensureDirectory(view, dir, layer)
  const into = rw.dirFd(dir.path)
  if (!has) {
    beforeChange(rw, 'names', into, '')
    must(sys.mknodat(into, name, S.IFCHR, 0), 'whiteout')
    return
  }
  beforeChange(rw, 'gone', into, name)
  const temp = view.tempName()
  must(sys.mknodat(layer.work, temp, S.IFCHR, 0), 'whiteout')
  const done = sys.renameat(layer.work, temp, into, name)
  if (done < 0) sys.unlinkat(layer.work, temp)
  must(done, 'whiteout')
}

// What a disk that fails keeps of it is no failure of the request: the name is gone.
function discard(work: number, temp: string): void {
  try {
    removeTree(work, temp)
  } catch (err) {
    if (!(err instanceof Errno)) throw err
  }
}

function takeOutAbove(view: View, dir: UnionNode, name: string, layer: UnionLayer): void {
  for (const place of dir.places) {
    const over = place.branch.layer
    if (over === layer || !view.stack.isAbove(over, layer)) break
    if (place.branch.writable) takeOut(view, over, dir, name)
  }
}

const hasOwn = (rw: Branch, dir: UnionNode, name: string): boolean =>
  placeIn(dir, rw) !== null && rw.peek(dir.path, name, stat)

/** What takes a directory's name away, so far: it goes for good, or comes back. */
export interface SetAside {
  finish(): void
  undo(): void
}

/**
 * Takes an empty directory out of the view, as `cover` does a file. What the writable sublayer
 * has of it, which is whiteouts at most, waits in `work/` until one of the two is called.
 */
export function setAside(view: View, dir: UnionNode, name: string, layer: UnionLayer): SetAside {
  takeOutAbove(view, dir, name, layer)
  const rw = layer.rw ?? fail('EROFS')
  const needed = showsBelow(view, dir, name, layer)
  const has = hasOwn(rw, dir, name)
  if (!needed && !has) return { finish() {}, undo() {} }
  ensureDirectory(view, dir, layer)
  const { work } = layer
  const into = () => rw.dirFd(dir.path)
  if (!has) {
    beforeChange(rw, 'names', into(), '')
    must(sys.mknodat(into(), name, S.IFCHR, 0), 'whiteout')
    return { finish() {}, undo: () => void sys.unlinkat(into(), name) }
  }
  beforeChange(rw, 'gone', into(), name)
  preserveInside(rw, dir, name)
  const temp = view.tempName()
  const flags = needed ? RENAME_EXCHANGE : 0
  if (needed) must(sys.mknodat(work, temp, S.IFCHR, 0), 'whiteout')
  const done = needed
    ? sys.renameat(work, temp, into(), name, flags)
    : sys.renameat(into(), name, work, temp)
  if (done < 0 && needed) sys.unlinkat(work, temp)
  must(done, 'rmdir')
  return {
    finish: () => discard(work, temp),
    undo: () => {
      sys.renameat(work, temp, into(), name, flags)
      if (needed) sys.unlinkat(work, temp)
    },
  }
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
