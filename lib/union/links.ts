// Hard links over copy-up: all names of one file stay one file.
//
// A layer's read-only part knows all names of a linked file, so its copy-up gives the copy
// all of them at once, and the writable sublayer needs no other record. In the base the
// other names are not known: a name that the kernel asks for later is linked to the copy
// then, as long as the mount lives.

import { baseName, joinPath, parentPath, type RelPath } from '../base/path.ts'
import { Stat } from '../host/stat.ts'
import { must, S, sys } from '../host/sys.ts'
import { isRedirect, isWhiteout, readMarks } from '../layer/marks.ts'
import { locate } from './attributes.ts'
import type { Branch } from './branch.ts'
import { copyUp, ensureDirectory, keepTimes } from './copy-up.ts'
import { beforeChange } from './freeze.ts'
import type { UnionLayer } from './layer.ts'
import type { UnionNode } from './node.ts'
import type { View } from './view.ts'

const stat = new Stat()

/** After the copy-up of a file that had several names in `from`: gives the copy the others. */
export function linkOtherNames(
  view: View,
  node: UnionNode,
  from: Branch,
  backing: number,
  layer: UnionLayer,
): void {
  if (from.layer !== layer) return
  for (const path of from.linkNames(backing) ?? []) {
    if (!stillShows(layer, from, path, backing)) continue
    const dir = view.resolve(parentPath(path))
    if (dir === null || !dir.isDirectory) continue
    ensureDirectory(view, dir, layer)
    linkInto(node, layer, dir, baseName(path))
  }
}

/** After a copy-up: the names that the kernel knows the file by mean the copy, wherever they lay. */
export function linkKnownNames(view: View, node: UnionNode, layer: UnionLayer): void {
  for (const { parent, name } of node.links ?? []) {
    ensureDirectory(view, parent, layer)
    linkInto(node, layer, parent, name)
  }
}

/**
 * Before one of several names of a file goes: the file is copied up, with all its names, so
 * that the writable sublayer counts them from then on. Throws Errno, or Parked for a copy-up.
 */
export function bringLinked(view: View, node: UnionNode): void {
  if (node.isDirectory || node.branch!.writable) return
  const { dir, name } = locate(node)
  must(sys.stat(dir, name, stat), 'stat')
  if (stat.nlink > 1 && node.branch!.linkNames(stat.ino) !== null) copyUp(view, node, 'attributes')
}

/** A name of the base, found after the file was copied up under another. */
export function adoptName(view: View, node: UnionNode, dir: UnionNode, name: string): void {
  const layer = node.branch!.layer
  if (view.options.readOnly || node.parent === null) return
  ensureDirectory(view, dir, layer)
  linkInto(node, layer, dir, name)
}

function linkInto(node: UnionNode, layer: UnionLayer, dir: UnionNode, name: string): void {
  const into = layer.rw!.dirFd(dir.path)
  const { dir: from, name: fromName } = locate(node)
  beforeChange(layer.rw!, 'names', into, '')
  keepTimes(into, () => {
    const done = sys.linkat(from, fromName, into, name)
    if (done !== -17) must(done, 'link') // EEXIST: it is linked already
  })
}

/** True where no higher branch of the layer hides, moves or replaces the file that `from` has at a path. */
function stillShows(layer: UnionLayer, from: Branch, path: RelPath, backing: number): boolean {
  if (!from.peek(parentPath(path), baseName(path), stat)) return false
  if (stat.ino !== backing || stat.dev !== from.dev) return false
  const higher = [layer.rw!, ...layer.ros.slice(0, layer.ros.indexOf(from))]
  return higher.every((branch) => letsThrough(branch, path))
}

function letsThrough(branch: Branch, path: RelPath): boolean {
  let at = '' as RelPath
  for (const part of path.split('/')) {
    if (!branch.peek(at, part, stat)) return true
    if ((stat.mode & S.IFMT) !== S.IFDIR || isWhiteout(stat)) return false
    const marks = branch.prefix === null ? null : readMarks(branch.dirFd(at), part, branch.prefix)
    if (marks !== null && (marks.opaque || isRedirect(marks))) return false
    at = joinPath(at, part)
  }
  return false
}

/** Gives an unnamed file (O_TMPFILE) its first name. */
export function nameUnnamed(node: UnionNode, into: number, name: string): number {
  return node.open === null ? sys.linkFd(node.fd, into, name) : sys.linkFd(node.open.fd, into, name)
}
