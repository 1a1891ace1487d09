// The one walk over the layers: what a name in a directory turns out to be.
//
//   for each place of the directory, top first:
//     absent        go on
//     whiteout      the walk ends
//     a file        first of all: it is the answer; below a directory: ends the walk, unseen
//     a directory   merges; opaque ends the walk; a redirect says where the same layer's
//                   read-only part lies; a base mark says where the base's part lies
//
// Lookup, readdir, rmdir, emptiness and rename all ask here. Decided as the kernel does it
// (fs/overlayfs/namei.c: ovl_lookup), layer by layer.
//
// Rule: nothing is changed here. `view.stat` holds the attributes of what was found on top.

import { ERRNO, Errno } from '../base/errno.ts'
import { baseName, joinPath, parentPath, type RelPath } from '../base/path.ts'
import type { Stat } from '../host/stat.ts'
import { S } from '../host/sys.ts'
import {
  canBeMetacopy,
  isMetacopy,
  isRedirect,
  isWhiteout,
  type Marks,
  readBlocks,
  readMarks,
} from '../layer/marks.ts'
import { Blocks } from './blocks.ts'
import type { Branch } from './branch.ts'
import type { UnionLayer } from './layer.ts'
import type { DataPlace, FilePlace, Place, UnionNode } from './node.ts'
import { pathIn, sameData } from './node.ts'
import type { View } from './view.ts'

export type Found =
  /** No layer has it. Creating it needs nothing more. */
  | { at: 'nowhere' }
  /** Hidden by a whiteout of this layer. Creating it must go there or above, over the whiteout. */
  | { at: 'whiteout'; layer: UnionLayer }
  | { at: 'file'; branch: Branch; dir: RelPath; data: DataPlace | null }
  /** Its places, top first; `number` is its inode number, by the lowest place. */
  | { at: 'directory'; places: Place[]; closed: boolean; number: number }

const NOWHERE: Found = { at: 'nowhere' }

/**
 * Looks for a name in the places of a directory from index `from` on (0 for the whole view;
 * higher to ask what would show if the places above had nothing). Throws Errno.
 */
export function find(view: View, dir: UnionNode, name: string, from = 0): Found {
  let merged: Merge | null = null
  const { places } = dir
  for (let at = from; at < places.length; at++) {
    const place = places[at]!
    const { branch } = place
    if (merged?.skips(branch)) continue
    const path = pathIn(dir, place)
    const stat = merged === null ? view.stat : view.below
    if (!branch.peek(path, name, stat)) continue
    const type = stat.mode & S.IFMT
    if (type === S.IFDIR) {
      merged ??= new Merge(view, dir)
      if (merged.add(branch, joinPath(path, name), stat)) break
      continue
    }
    if (merged !== null) {
      merged.close()
      break
    }
    if (branch.prefix !== null && isWhiteout(stat)) return { at: 'whiteout', layer: branch.layer }
    return { at: 'file', branch, dir: path, data: dataOf(view, dir, branch, path, name) }
  }
  return merged === null ? NOWHERE : merged.result()
}

/** Collects the places of one merged directory, from the top down. */
class Merge {
  readonly #view: View
  readonly #dir: UnionNode
  readonly #places: Place[] = []
  #closed: boolean
  #bottom: Branch | null = null
  #bottomIno = 0
  #bottomDev = 0
  #bottomPosition = 0
  /** A layer whose read-only part was found through a redirect already. */
  #redirected: UnionLayer | null = null
  #base: RelPath | null = null

  constructor(view: View, dir: UnionNode) {
    this.#view = view
    this.#dir = dir
    this.#closed = dir.closed
  }

  /** True for a branch that the walk by name must pass over. */
  skips(branch: Branch): boolean {
    return branch.layer === this.#redirected || (this.#base !== null && branch.layer.isBase)
  }

  /** Takes the directory at `path` of a branch. True when nothing below may merge. */
  add(branch: Branch, path: RelPath, stat: Stat): boolean {
    this.#push(branch, path, stat)
    if (branch.prefix === null) return false
    const marks = readMarks(branch.dirFd(parentPath(path)), baseName(path), branch.prefix)
    return marks !== null && this.#follow(branch, marks)
  }

  /** A whiteout or a file lies below: lower layers cannot show in it. */
  close(): void {
    this.#closed = true
  }

  result(): Found {
    if (this.#base !== null) this.#addBase(this.#base)
    const number = this.#view.numberOf(
      this.#bottom!,
      this.#bottomIno,
      this.#bottomDev,
      this.#bottomPosition,
    )
    return { at: 'directory', places: this.#places, closed: this.#closed, number }
  }

  #push(branch: Branch, path: RelPath, { ino, dev, position }: Stat): void {
    this.#places.push({ branch, path: branch.writable ? null : path })
    this.#bottom = branch
    this.#bottomIno = ino
    this.#bottomDev = dev
    this.#bottomPosition = position
  }

  #follow(branch: Branch, marks: Marks): boolean {
    if (marks.base !== null) this.#base = marks.base
    if (marks.opaque || marks.veil) this.#closed = true
    if (marks.opaque) return true
    if (isRedirect(marks)) this.#redirect(branch, marks)
    return marks.veil
  }

  #redirect(from: Branch, to: Marks): void {
    const { layer } = from
    let redirect = to
    this.#redirected = layer
    for (const ro of layer.ros.slice(layer.ros.indexOf(from) + 1)) {
      const stat = this.#view.below
      const path = target(this.#dir, ro, redirect, '')
      if (path === null || !lies(ro, path, stat)) continue
      if ((stat.mode & S.IFMT) !== S.IFDIR) return
      this.#push(ro, path, stat)
      if (ro.prefix === null) continue
      const marks = readMarks(ro.dirFd(parentPath(path)), baseName(path), ro.prefix)
      if (marks?.opaque) return
      if (marks !== null && isRedirect(marks)) redirect = marks
    }
  }

  #addBase(path: RelPath): void {
    const branch = this.#view.stack.base?.ros[0]
    if (branch === undefined) return
    const stat = this.#view.below
    if (!lies(branch, path, stat)) return
    if ((stat.mode & S.IFMT) === S.IFDIR) this.#push(branch, path, stat)
  }
}

function dataOf(
  view: View,
  dir: UnionNode,
  branch: Branch,
  path: RelPath,
  name: string,
): DataPlace | null {
  const { stat } = view
  // The mark says what a metacopy is. Asked is only where it can be one.
  if (branch.prefix === null || !canBeMetacopy(stat)) return null
  if (!isMetacopy(branch.dirFd(path), name, branch.prefix)) return null
  const place = lowerOf(view, dir, branch, path, name)
  if (place === null) return null
  const mark = readBlocks(branch.dirFd(path), name, branch.prefix)
  if (mark === null) return { ...place, blocks: null }
  // As a lower directory an unsettled sublayer cannot be read: opening fails.
  if (branch.unsettled === null) return { ...nowhere(branch, path), blocks: null }
  const { ino, size } = stat
  const known = branch.unsettled.at(ino)
  if (known !== undefined && sameData(known.place, place)) {
    known.path = joinPath(path, name)
    return { ...place, blocks: known }
  }
  const blocks = new Blocks(branch, ino, place, joinPath(path, name), mark, size)
  branch.unsettled.add(blocks)
  return { ...place, blocks }
}

const nowhere = (branch: Branch, dir: RelPath): FilePlace => ({ branch, dir, name: '' })

function lowerOf(
  view: View,
  dir: UnionNode,
  branch: Branch,
  path: RelPath,
  name: string,
): FilePlace | null {
  let marks = readMarks(branch.dirFd(path), name, branch.prefix!)
  if (marks === null) return null
  const lower = branch.layer.ros.slice(branch.layer.ros.indexOf(branch) + 1)
  let missing: FilePlace | null = null
  for (const ro of lower) {
    const at = target(dir, ro, marks, name)
    if (at === null) continue
    const place = { branch: ro, dir: parentPath(at), name: baseName(at) }
    missing ??= place
    if (!lies(ro, at, view.below)) continue
    if ((view.below.mode & S.IFMT) !== S.IFREG) break
    const next = furtherMarks(place, view.below)
    if (next === null) return place
    if (readBlocks(ro.dirFd(place.dir), place.name, ro.prefix!) !== null) break
    // Its bytes lie further down.
    const { redirect, renamed } = next
    const beside: RelPath | null = renamed === null ? marks.redirect : joinPath(place.dir, renamed)
    marks = { ...marks, redirect: redirect ?? beside }
  }
  // Its bytes are nowhere: opening fails, which zeros would not.
  return missing ?? nowhere(branch, path)
}

/** The marks of a metacopy that another one led to; null for a file with bytes. */
function furtherMarks({ branch, dir, name }: FilePlace, stat: Stat): Marks | null {
  if (branch.prefix === null || !canBeMetacopy(stat)) return null
  const fd = branch.dirFd(dir)
  return isMetacopy(fd, name, branch.prefix) ? readMarks(fd, name, branch.prefix) : null
}

/** As `peek`, of a path that a mark told: also the directories on the way may be missing. */
export function lies(branch: Branch, path: RelPath, into: Stat): boolean {
  try {
    return branch.peek(parentPath(path), baseName(path), into)
  } catch (err) {
    if (err instanceof Errno && NOWHERE_ERRNO.has(err.number)) return false
    throw err
  }
}

const NOWHERE_ERRNO: ReadonlySet<number> = new Set([
  ERRNO.ENOENT,
  ERRNO.ENOTDIR,
  ERRNO.ENAMETOOLONG,
  ERRNO.ELOOP,
])

/** Where in a read-only branch lies what has these marks: at its redirect, or under its name. */
const target = (dir: UnionNode, ro: Branch, marks: Marks, name: string): RelPath | null =>
  marks.redirect ?? naturalPath(dir, ro, marks.renamed ?? name)

/** Where a name of the directory lies in a branch, or null where the directory is not in it. */
export function naturalPath(dir: UnionNode, branch: Branch, name: string): RelPath | null {
  const place = dir.places.find((one) => one.branch === branch)
  return place === undefined ? null : joinPath(pathIn(dir, place), name)
}
