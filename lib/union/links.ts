// Hard links over copy-up: all names of one file stay one file.
//
// A layer's read-only part knows all names of a linked file, so its copy-up gives the copy
// all of them at once, and the writable sublayer needs no other record. In the base the
// other names are not known: a name that the kernel asks for later is linked to the copy
// then, as long as the mount lives.

import { ERRNO } from '../base/errno.ts'
import { baseName, joinPath, parentPath, type RelPath } from '../base/path.ts'
import { Stat } from '../host/stat.ts'
import { must, S, sys } from '../host/sys.ts'
import { isRedirect, isWhiteout, readMarks } from '../layer/marks.ts'
import { locate } from './attributes.ts'
import type { Branch } from './branch.ts'
import { copyUp, ensureDirectory, keepTimes } from './copy-up.ts'
import { beforeChange } from './freeze.ts'
import type { UnionLayer } from './layer.ts'
import { type UnionNode, viewPath } from './node.ts'
import type { View } from './view.ts'

const stat = new Stat()

/**
 * Gives the copy of a file that had several names in `from` all but its own, which it gets last:
 * those that the read-only part knows, and those by which the kernel knows it, wherever they
 * lay. The copy is (work, temp). Answers what takes them away again. Throws Errno, with none given.
 */
export function linkOtherNames(
  view: View,
  node: UnionNode,
  from: Branch,
  backing: number,
  layer: UnionLayer,
  temp: string,
): () => void {
  const given: { dir: UnionNode; name: string }[] = []
  const undo = () => {
    for (const { dir, name } of given) {
      const into = layer.rw!.dirFd(dir.path)
      keepTimes(into, () => void sys.unlinkat(into, name))
    }
  }
  try {
    for (const { dir, name } of otherNames(view, node, from, backing, layer)) {
      ensureDirectory(view, dir, layer)
      if (linkInto(layer.work, temp, layer, dir, name)) given.push({ dir, name })
    }
  } catch (err) {
    undo()
    throw err
  }
  return undo
}

function* otherNames(
  view: View,
  node: UnionNode,
  from: Branch,
  backing: number,
  layer: UnionLayer,
): Generator<{ dir: UnionNode; name: string }> {
  const own = viewPath(node)
  for (const path of from.layer === layer ? (from.linkNames(backing) ?? []) : []) {
    if (path === own || !stillShows(layer, from, path, backing)) continue
    const dir = view.resolve(parentPath(path))
    if (dir?.isDirectory) yield { dir, name: baseName(path) }
  }
  for (const { parent, name } of node.links ?? []) yield { dir: parent, name }
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
  const { dir: at, name: as } = locate(node)
  linkInto(at, as, layer, dir, name)
}

/** False where it is linked there already. */
function linkInto(
  from: number,
  fromName: string,
  layer: UnionLayer,
  dir: UnionNode,
  name: string,
): boolean {
  const into = layer.rw!.dirFd(dir.path)
  beforeChange(layer.rw!, 'names', into, '')
  let done = 0
  keepTimes(into, () => {
    done = sys.linkat(from, fromName, into, name)
  })
  if (done !== -ERRNO.EEXIST) must(done, 'link')
  return done >= 0
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
