// Hard links over copy-up: all names of one file stay one file.
//
//   a layer's read-only part   knows all names: its copy-up gives the copy all of them at once
//   a writable sublayer        is searched for them when a file moves to another layer
//   the base                   cannot be searched: the copy is remembered by what the base's
//                              file is (link-index.ts), and each other name is linked to it
//                              when it is found, also after a remount
//
// Rule: a name of the base that is found while its file has a copy is never shown as the base
// has it.

import { ERRNO, Errno } from '../base/errno.ts'
import { baseName, joinPath, parentPath, type RelPath, ROOT } from '../base/path.ts'
import { DT, listDirectory } from '../host/directory.ts'
import { asOwner } from '../host/own-rights.ts'
import { Stat } from '../host/stat.ts'
import { must, O, S, sys } from '../host/sys.ts'
import { isRedirect, isWhiteout, readMarks } from '../layer/marks.ts'
import { ctimeOf, locate } from './attributes.ts'
import { beforeChange, linksKept } from './before-change.ts'
import type { Branch } from './branch.ts'
import { copyUp, ensureDirectory } from './copy-up.ts'
import { keepTimes } from './keep-times.ts'
import type { UnionLayer } from './layer.ts'
import type { Copy, OriginKey } from './link-index.ts'
import { type UnionNode, viewPath } from './node.ts'
import type { View } from './view.ts'

const stat = new Stat()

/** True for a file of the base that has other names, which nobody knows. */
export const isLinkedBelow = (branch: Branch, { nlink }: Stat): boolean =>
  nlink > 1 && branch.foreign && !branch.writable

/** Which file of the base this is. */
export const originOf = (branch: Branch, { dev, ino, btime, btimeNsec }: Stat): OriginKey =>
  `${branch.diskOf(dev)}-${ino}-${btime}.${btimeNsec}`

/** The copy of a file of the base, under a name that the base alone has so far. */
export interface FoundCopy {
  readonly branch: Branch
  /** Descriptor of the copy where the name could not be linked to it; else -1. */
  readonly fd: number
}

/**
 * A name of a hard-linked file of the base was found, with its attributes in `view.stat`. Where
 * the file has a copy, the name is linked to it, and `view.stat` is the copy's.
 */
export function copyBehind(
  view: View,
  dir: UnionNode,
  name: string,
  from: Branch,
): FoundCopy | null {
  let key: OriginKey | null = null
  for (const layer of view.stack.layers) {
    if (layer.links === null || layer.links.isEmpty) continue
    key ??= originOf(from, view.stat)
    const copy = layer.links.copyOf(key)
    if (copy === undefined) continue
    const branch = layer.rw!
    if (linkCopy(view, dir, name, layer, copy)) return { branch, fd: -1 }
    const at = layer.links.locate(copy)
    const fd = must(sys.openat(at.dir, at.name, O.PATH | O.NOFOLLOW), 'open')
    must(sys.stat(fd, '', view.stat), 'stat')
    return { branch, fd }
  }
  return null
}

function linkCopy(
  view: View,
  dir: UnionNode,
  name: string,
  layer: UnionLayer,
  copy: Copy,
): boolean {
  if (view.options.readOnly) return false
  try {
    ensureDirectory(view, dir, layer)
    const rw = layer.rw!
    const at = layer.links!.locate(copy)
    must(sys.stat(at.dir, at.name, stat), 'stat')
    const changed = ctimeOf(rw, stat)
    if (linkInto(layer, dir, name, at.dir, at.name)) layer.links!.seen(copy, 1)
    if (sys.stat(rw.dirFd(dir.path), name, view.stat) < 0) return false
    if (view.stat.ino !== copy.ino) return false
    // The name was there all the time, as programs see it.
    rw.ctimes?.keep(view.stat, changed)
    return true
  } catch (err) {
    // No room, say: the file shows all the same.
    if (err instanceof Errno) return false
    throw err
  }
}

/** How many names of a file of the base are deleted in the view, counted where it has no copy. */
export function deletedNames(view: View, key: OriginKey): number {
  let count = 0
  for (const { links } of view.stack.layers) if (links !== null) count += links.deletedOf(key)
  return count
}

/** The link count that programs see. `own` are the attributes on disk. */
export function linksShown(view: View, branch: Branch, own: Stat): number {
  if (isLinkedBelow(branch, own)) {
    const counted = view.stack.layers.some(({ links }) => links !== null && !links.isEmpty)
    return counted ? own.nlink - deletedNames(view, originOf(branch, own)) : own.nlink
  }
  const kept = branch.freezes.length === 0 ? 0 : linksKept(branch, own.ino)
  const copy = branch.writable ? branch.layer.links?.byInode(own.ino) : undefined
  return own.nlink - kept + (copy === undefined ? 0 : copy.unseen - 1)
}

/** A name of a file, which the node holds by a descriptor, went by a change of `layer`. */
export function nameWent(node: UnionNode, layer: UnionLayer): void {
  if (node.isDirectory || node.fd === -1) return
  const branch = node.branch!
  must(sys.stat(node.fd, '', stat), 'stat')
  if (isLinkedBelow(branch, stat)) layer.links?.countDeleted(originOf(branch, stat))
  if (!branch.writable) return
  const { links } = branch.layer
  const copy = links?.byInode(stat.ino)
  const names = stat.nlink - linksKept(branch, stat.ino) - 1
  if (copy !== undefined && copy.unseen === 0 && names <= 0) links!.drop(copy)
}

/** Before a copy-up: the names of the file are looked up, as far as they can be known. */
export function learnNames(view: View, node: UnionNode, own: Stat): void {
  const branch = node.branch!
  if (own.nlink < 2 || branch.foreign || node.parent === null) return
  const indexed = branch.writable && branch.layer.links?.byInode(own.ino) !== undefined ? 1 : 0
  const names = own.nlink - linksKept(branch, own.ino) - indexed
  if (names <= 1 + (node.links?.length ?? 0)) return
  const { ino } = own
  for (const path of branch.writable ? namesIn(branch, ino) : (branch.linkNames(ino) ?? []))
    view.resolve(path)
}

// By the inode numbers that directories list: without a stat of any file.
function namesIn(branch: Branch, ino: number): RelPath[] {
  const names: RelPath[] = []
  const directories: RelPath[] = [ROOT]
  for (let dir = directories.pop(); dir !== undefined; dir = directories.pop()) {
    for (const entry of listDirectory(branch.dirFd(dir))) {
      const path = joinPath(dir, entry.name)
      if (entry.type === DT.DIR) directories.push(path)
      else if (entry.ino === ino) names.push(path)
    }
  }
  return names
}

/** A name in a directory that is known. */
export interface NameIn {
  readonly dir: UnionNode
  readonly name: string
}

/**
 * The names that the copy of a file that had several in `from` must have beside its own: those
 * that the read-only part knows, and those by which the kernel knows it, wherever they lay. Their
 * directories are in the layer afterwards. Throws Errno.
 */
export function otherNames(
  view: View,
  node: UnionNode,
  from: Branch,
  backing: number,
  layer: UnionLayer,
): NameIn[] {
  const others: NameIn[] = []
  for (const { dir, name } of namesOf(view, node, from, backing, layer)) {
    if (others.some((one) => one.dir === dir && one.name === name)) continue
    ensureDirectory(view, dir, layer)
    // What is there is linked already.
    if (!layer.rw!.peek(dir.path, name, stat)) others.push({ dir, name })
  }
  return others
}

function* namesOf(
  view: View,
  node: UnionNode,
  from: Branch,
  backing: number,
  layer: UnionLayer,
): Generator<NameIn> {
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
 * that the writable sublayer counts them from then on. Of the base, whose names nobody knows,
 * only what has no bytes: its other names show at once that one went. Throws Errno, or Parked
 * for a copy-up.
 */
export function bringLinked(view: View, node: UnionNode): void {
  if (node.isDirectory || node.branch!.writable) return
  const { dir, name } = locate(node)
  must(sys.stat(dir, name, stat), 'stat')
  if (stat.nlink < 2) return
  const bytes = node.type === S.IFREG
  if (node.branch!.foreign ? !bytes : node.branch!.linkNames(stat.ino) !== null)
    copyUp(view, node, 'attributes')
}

/** False where something is there already. Throws Errno. */
function linkInto(
  layer: UnionLayer,
  dir: UnionNode,
  name: string,
  from: number,
  fromName: string,
): boolean {
  const into = layer.rw!.dirFd(dir.path)
  beforeChange(layer.rw!, 'names', into, name)
  beforeChange(layer.rw!, 'attributes', from, fromName)
  let done = 0
  keepTimes(layer.rw!, into, () => {
    done = asOwner(into, '', () => sys.linkat(from, fromName, into, name))
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
