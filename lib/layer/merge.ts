// One unpacked package put into the tree of all packages of a layer.
//
//   base has /bin -> usr/bin          package: ./bin/x, ./usr/bin/y
//                                     layer:   usr/bin/x, usr/bin/y
//
// Rule: where the base or an earlier package has a link to a directory, a directory of that name
// goes where the link leads. So no layer hides a link of the base behind a directory of its own.

import { ERRNO } from '../base/errno.ts'
import { joinPath, parentPath, type RelPath, ROOT, shown } from '../base/path.ts'
import { removeTree } from '../host/remove-tree.ts'
import { Stat } from '../host/stat.ts'
import { AT_FDCWD, must, O, S, sys } from '../host/sys.ts'
import { Breath } from './breath.ts'
import { follow } from './follow.ts'
import type { Members } from './import-members.ts'
import { openBelow } from './open-below.ts'
import { type WalkEntry, walk } from './walk.ts'

interface Merge {
  readonly root: number
  /** The layer's tree over its base: where links are looked for. */
  readonly trees: readonly number[]
  /** Where each directory of the package went. */
  readonly placed: Map<RelPath, RelPath>
  readonly warnings: string[]
}

/**
 * Moves everything in `staging` into the tree at `into` (open as `root`); both on one disk. Gives
 * the package's members by the paths that they have now.
 */
export async function mergePackage(what: {
  staging: string
  root: number
  base: string | null
  members: Members
}): Promise<{ members: Members; warnings: readonly string[] }> {
  const opened: number[] = []
  const open = (path: string): number => {
    const fd = must(sys.openat(AT_FDCWD, path, O.RDONLY | O.DIRECTORY), shown(path))
    opened.push(fd)
    return fd
  }
  try {
    const from = open(what.staging)
    const trees = what.base === null ? [what.root] : [what.root, open(what.base)]
    const merge: Merge = { root: what.root, trees, placed: new Map(), warnings: [] }
    const breath = new Breath()
    // What the package's own modes forbid its owner, unpacking into one tree needs.
    for (const entry of walk(from, openUp)) {
      mergeEntry(merge, entry)
      await breath.taken()
    }
    return { members: membersPlaced(what.members, merge.placed), warnings: merge.warnings }
  } finally {
    for (const fd of opened) sys.close(fd)
  }
}

function openUp({ dir, name, stat }: WalkEntry): boolean {
  if ((stat.mode & 0o700) === 0o700) return true
  must(sys.chmodat(dir, name, (stat.mode | 0o700) & 0o7777), name)
  return true
}

function mergeEntry(merge: Merge, entry: WalkEntry): void {
  const { path, name, dir, stat } = entry
  if (path === ROOT) {
    merge.placed.set(ROOT, ROOT)
    return
  }
  const parent = merge.placed.get(parentPath(path))!
  if ((stat.mode & S.IFMT) === S.IFDIR) {
    merge.placed.set(path, placeDirectory(merge.root, merge.trees, joinPath(parent, name)))
    return
  }
  const to = openBelow(merge.root, parent)
  try {
    const done = sys.renameat(dir, name, to, name)
    if (done === -ERRNO.EISDIR) {
      // As dpkg does: a directory that another package made is not replaced by a link to one.
      merge.warnings.push(`${shown(path)}: another package has a directory there: left out`)
      return
    }
    must(done, path)
  } finally {
    sys.close(to)
  }
}

/**
 * Where a directory of the layer goes whose root is `root`, seen through `trees`; made there if it
 * is not there yet. Its owner, mode and times are set when everything is in (settle).
 */
export function placeDirectory(root: number, trees: readonly number[], path: RelPath): RelPath {
  const led = follow(trees, path)
  // A file of an earlier package, or a link to one: the later package wins.
  const place = led.kind === 'other' ? path : led.path
  let parent = openBelow(root, '')
  try {
    // A link may lead to the root itself.
    for (const name of place.split('/').filter((part) => part !== '')) {
      const next = enterOrMake(parent, name)
      sys.close(parent)
      parent = next
    }
  } finally {
    sys.close(parent)
  }
  return place
}

const stat = new Stat()

function enterOrMake(dir: number, name: string): number {
  const isThere = sys.stat(dir, name, stat) >= 0
  if (isThere && (stat.mode & S.IFMT) !== S.IFDIR) removeTree(dir, name)
  const made = sys.mkdirat(dir, name, 0o755)
  if (made !== -ERRNO.EEXIST) must(made, name)
  return must(sys.openat(dir, name, O.PATH | O.DIRECTORY | O.NOFOLLOW), name)
}

function membersPlaced(members: Members, placed: ReadonlyMap<RelPath, RelPath>): Members {
  const moved: Members = new Map()
  for (const [path, member] of members) {
    const asDirectory = placed.get(path)
    const parent = placed.get(parentPath(path))
    const to = asDirectory ?? (parent === undefined ? null : joinPath(parent, lastName(path)))
    if (to !== null) moved.set(to, member)
  }
  return moved
}

const lastName = (path: RelPath): string => path.slice(path.lastIndexOf('/') + 1)
