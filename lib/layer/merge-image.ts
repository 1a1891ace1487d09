// One layer of a container image put over the tree of those below it.
//
//   deleted, opaque ─▶ removed from the tree ─▶ names move in ─▶ links to what was there are made
//
// Rule: a directory that the layer only implies goes where a link of the tree leads; one that it names
// is that directory, and takes the link's place. Nothing is followed out of the tree.

import { ERRNO } from '../base/errno.ts'
import { baseName, joinPath, parentPath, type RelPath, ROOT, shown } from '../base/path.ts'
import { listDirectory } from '../host/directory.ts'
import { removeTree } from '../host/remove-tree.ts'
import { Stat } from '../host/stat.ts'
import { must, O, S, sys } from '../host/sys.ts'
import { getXattr, listXattr, removeXattr, setXattr } from '../host/xattr.ts'
import { isCarried } from './attributes.ts'
import { Breath } from './breath.ts'
import { follow } from './follow.ts'
import type { Members } from './import-members.ts'
import { placeDirectory } from './merge.ts'
import { openBelow } from './open-below.ts'
import { type WalkEntry, walk } from './walk.ts'

/** What a layer says of those below it. */
export interface ImageMarks {
  readonly deleted: RelPath[]
  /** Directories of which nothing below shows. */
  readonly opaque: RelPath[]
  /** Further names of files that lie below. */
  readonly links: { readonly path: RelPath; readonly to: RelPath }[]
}

export interface MergeLayer {
  readonly root: number
  /** The layer, unpacked by itself, on the same disk. */
  readonly from: number
  readonly members: Members
  readonly marks: ImageMarks
  /** What is known of the tree; becomes what is known of both. */
  readonly all: Members
}

/** Answers what could not be kept, in sentences. */
export async function mergeLayer(layer: MergeLayer): Promise<string[]> {
  const merging = new Merging(layer)
  merging.remove()
  await merging.move()
  merging.link()
  return merging.warnings
}

class Merging {
  readonly warnings: string[] = []
  readonly #layer: MergeLayer
  /** Where each directory of the layer went. */
  readonly #placed = new Map<RelPath, RelPath>([[ROOT, ROOT]])
  /** What is no longer what it was. */
  readonly #gone = new Set<RelPath>()
  readonly #fresh: Members = new Map()

  constructor(layer: MergeLayer) {
    this.#layer = layer
  }

  /** Takes away what the layer deletes. */
  remove(): void {
    const { deleted, opaque } = this.#layer.marks
    for (const dir of opaque) {
      const place = this.#led(dir)
      if (place !== null) for (const name of this.#names(place)) this.#drop(joinPath(place, name))
    }
    for (const path of deleted) {
      const dir = this.#led(parentPath(path))
      if (dir !== null) this.#drop(joinPath(dir, baseName(path)))
    }
  }

  async move(): Promise<void> {
    const { from, members, all } = this.#layer
    const breath = new Breath()
    for (const entry of walk(from, openUp)) {
      if (entry.path === ROOT) {
        const truth = members.get(ROOT)
        if (truth !== undefined) this.#fresh.set(ROOT, truth)
      } else if ((entry.stat.mode & S.IFMT) === S.IFDIR) this.#moveDirectory(entry)
      else this.#moveFile(entry)
      await breath.taken()
    }
    for (const path of all.keys()) if (this.#isGone(path)) all.delete(path)
    for (const [path, truth] of this.#fresh) all.set(path, truth)
  }

  /** Makes the further names of files that were there before. */
  link(): void {
    const { root, marks, all } = this.#layer
    for (const { path, to } of marks.links) {
      const dir = this.#led(parentPath(to))
      const target = dir === null ? null : joinPath(dir, baseName(to))
      const truth = target === null ? undefined : all.get(target)
      const into = placeDirectory(root, [root], parentPath(path))
      const name = baseName(path)
      if (target === null || truth === undefined || !this.#linkTo(target, into, name)) {
        this.warnings.push(
          `${shown(path)}: is a link to ${shown(to)}, which is not there: left out`,
        )
        continue
      }
      all.set(joinPath(into, name), truth)
    }
  }

  #linkTo(target: RelPath, into: RelPath, name: string): boolean {
    const { root } = this.#layer
    const [from, to] = [openBelow(root, parentPath(target)), openBelow(root, into)]
    try {
      const stat = new Stat()
      if (sys.stat(from, baseName(target), stat) < 0 || (stat.mode & S.IFMT) === S.IFDIR)
        return false
      if (target !== joinPath(into, name)) {
        removeTree(to, name)
        must(sys.linkat(from, baseName(target), to, name), name)
      }
      return true
    } finally {
      sys.close(from)
      sys.close(to)
    }
  }

  #moveDirectory(entry: WalkEntry): void {
    const { root, members } = this.#layer
    const { path, name } = entry
    const wanted = joinPath(this.#placed.get(parentPath(path))!, name)
    const truth = members.get(path)
    if (truth === undefined) {
      this.#placed.set(path, placeDirectory(root, [root], wanted))
      return
    }
    const parent = openBelow(root, parentPath(wanted))
    try {
      const there = new Stat()
      const isThere = sys.stat(parent, name, there) >= 0
      if (isThere && (there.mode & S.IFMT) !== S.IFDIR) this.#drop(wanted)
      const made = sys.mkdirat(parent, name, 0o755)
      if (made !== -ERRNO.EEXIST) must(made, wanted)
      copyAttributes(entry, parent)
    } finally {
      sys.close(parent)
    }
    this.#placed.set(path, wanted)
    this.#fresh.set(wanted, truth)
  }

  #moveFile({ path, dir, name }: WalkEntry): void {
    const { root, members } = this.#layer
    const parent = this.#placed.get(parentPath(path))!
    const place = joinPath(parent, name)
    const to = openBelow(root, parent)
    try {
      const done = sys.renameat(dir, name, to, name)
      if (done === -ERRNO.EISDIR || done === -ERRNO.ENOTEMPTY || done === -ERRNO.EEXIST) {
        this.#drop(place)
        must(sys.renameat(dir, name, to, name), place)
      } else must(done, place)
    } finally {
      sys.close(to)
    }
    const truth = members.get(path)
    if (truth !== undefined) this.#fresh.set(place, truth)
  }

  #drop(path: RelPath): void {
    const parent = openBelow(this.#layer.root, parentPath(path))
    try {
      removeTree(parent, baseName(path))
      this.#gone.add(path)
    } finally {
      sys.close(parent)
    }
  }

  #isGone(path: RelPath): boolean {
    if (this.#gone.size === 0) return false
    for (let at = path; at !== ROOT; at = parentPath(at)) if (this.#gone.has(at)) return true
    return false
  }

  #names(dir: RelPath): string[] {
    const at = openBelow(this.#layer.root, dir)
    const fd = must(sys.openat(at, '.', O.RDONLY | O.DIRECTORY), dir)
    sys.close(at)
    try {
      return listDirectory(fd).map(({ name }) => name)
    } finally {
      sys.close(fd)
    }
  }

  /** Where a directory is in the tree; null where there is none. */
  #led(dir: RelPath): RelPath | null {
    if (dir === ROOT) return ROOT
    const led = follow([this.#layer.root], dir)
    return led.kind === 'directory' ? led.path : null
  }
}

// A directory is not moved but made: what it has beside owner, mode and times goes along here.
function copyAttributes({ dir, name }: WalkEntry, parent: number): void {
  for (const attribute of listXattr(parent, name).filter(isCarried))
    removeXattr(parent, name, attribute)
  for (const attribute of listXattr(dir, name).filter(isCarried)) {
    const value = getXattr(dir, name, attribute)
    if (typeof value === 'number') continue
    const done = setXattr(parent, name, attribute, value)
    if (done !== -ERRNO.EOPNOTSUPP && done !== -ERRNO.EPERM) must(done, name)
  }
}

/** What modes forbid its owner, putting names into a directory needs. */
export function openUp({ dir, name, stat }: WalkEntry): boolean {
  if ((stat.mode & 0o700) !== 0o700)
    must(sys.chmodat(dir, name, (stat.mode | 0o700) & 0o7777), name)
  return true
}
