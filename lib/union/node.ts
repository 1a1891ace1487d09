// One file of the merged tree: the kernel's node, and where it lies in the sublayers.
//
//   directory   places  top first, one for each branch that has it: only these merge
//   the rest    branch (inDir, inName)   one place; `data` where its bytes lie elsewhere
//
// In a writable branch a thing lies at its path in the view, so nothing of that is kept in
// the node and renaming a directory touches no child. In a read-only branch the place was
// fixed when it was found.
//
// What only directories have, and what few files have, lies in objects of its own
// (node-parts.ts): a mount knows a node for every file that its kernel has in its cache.
//
// Rule: a node stands for one content. When something other than a request of this mount
// exchanges the content behind a name, the name gets a new node (`detach`), and the old one
// answers OPEN with ESTALE.

import { joinPath, type RelPath } from '../base/path.ts'
import type { Job, NodeId } from '../fuse/filesystem.ts'
import { S } from '../host/sys.ts'
import type { Blocks } from './blocks.ts'
import type { Branch } from './branch.ts'
import type { UnionLayer } from './layer.ts'
import { NodeParts } from './node-parts.ts'
import type { RefusedPages } from './room.ts'

/** A directory in one branch; path null where it is the node's own path (writable branches). */
export interface Place {
  readonly branch: Branch
  readonly path: RelPath | null
}

/** A file in one branch, by the directory it lies in there. */
export interface FilePlace {
  readonly branch: Branch
  readonly dir: RelPath
  readonly name: string
}

/** Where the bytes of a metacopy lie; of an unsettled file, those that it has not itself. */
export interface DataPlace extends FilePlace {
  readonly blocks: Blocks | null
  /** What the disk has allocated for it; absent until somebody asked. It lies where nothing changes. */
  allocated?: number
}

/** The backing file of a node that programs have open: one descriptor for all of them. */
export interface OpenFile {
  fd: number
  /** The lower file of one that has its changed blocks alone; -1 for all others. */
  lower: number
  writable: boolean
  /** How many opens the kernel was told of and has not released. */
  count: number
  /** Its place in `view.opened`; -1 where it is not in there. */
  listed: number
  /** True once a program opened it for writing: the kernel may have pages that are not here yet. */
  cached: boolean
  /** True where flushing it does nothing; null until somebody asked. */
  inMemory: boolean | null
  /** Inode on the disk; 0 until somebody asked (`backingOf`). */
  backing: number
  /** The times from before pages of the cache were written to it; null where none were. */
  changed: Times | null
  /** The times of one just made, or just told, while its branch has had no further change; null otherwise. */
  made: (Times & { readonly changes: number }) | null
  /** Pages of the cache that the disk did not take, last; else null. */
  refused: RefusedPages | null
  /** True where a program writes it without the cache, which does not see it change then. */
  through: boolean
  /** Where the kernel reads and writes it without us; null where it asks. Decided by the first open. */
  passed: Passed | null
  /** Up to where the kernel may ask for bytes of a file that was overwritten behind the mount. */
  believed: number
}

/** When a file was changed, as programs see it. */
export interface Times {
  readonly mtime: Moment
  readonly ctime: Moment
}

/** What the kernel was given of a node, to read and write by itself (passing.ts). */
export interface Passed {
  readonly id: number
  /** True once a program opened it for writing. */
  writes: boolean
  /** True where the node's file is a copy by now, of the same bytes: to be changed by nobody who has this. */
  behind: boolean
}

/** Seconds since 1970, with nanoseconds beside them. */
export interface Moment {
  readonly seconds: number
  readonly nsec: number
}

/** A copy-up that waits for an io thread. */
export interface PendingCopy {
  /** In `work/`; null where the file itself is filled. */
  readonly temp: string | null
  readonly fd: number
  readonly layer: UnionLayer
  /** Where the file lay, and what it was, when the copy began. */
  readonly branch: Branch
  readonly stamp: Stamp
  /** How many copies went before it because the file changed meanwhile. */
  readonly tries: number
  job: Job
  /** Seconds and nanoseconds of the file's atime and mtime before the copy began. */
  readonly times: readonly [number, number, number, number]
  /** The ctime that programs see of what is copied. */
  readonly changed: Moment
}

export class UnionNode extends NodeParts {
  /** Number the kernel knows it by. Never reused while the mount lives. */
  readonly id: NodeId
  /** Type bits of the mode. */
  readonly type: number
  /** What programs see as st_ino. */
  readonly ino: number

  // Mutable below, by the union's thread alone.

  /** Where the node hangs. Changed by rename; null for the root, a removed and a detached node. */
  parent: UnionNode | null
  name: string
  /** How many times the kernel was told of this node and has not yet forgotten it. */
  lookups = 0

  // Of all but directories.

  branch: Branch | null = null
  /** Directory and name in a read-only branch; null in a writable one. */
  inDir: RelPath | null = null
  inName: string | null = null
  open: OpenFile | null = null
  /**
   * True where the file is known to have no capabilities: the kernel asks before the first write
   * of every file.
   */
  noCapability = false
  /** The epoch of the branch's journal that names its bytes; -1 for none. */
  noted = -1
  /** What a file of the base looked like when it was found; null for all others. */
  stamp: Stamp | null = null

  constructor(id: NodeId, type: number, ino: number, parent: UnionNode | null, name: string) {
    super()
    this.id = id
    this.type = type
    this.ino = ino
    this.parent = parent
    this.name = name
  }

  /** The blocks of an unsettled file; null for all others. */
  get blocks(): Blocks | null {
    return this.data?.blocks ?? null
  }

  /** True where what is written goes to the file itself. */
  get takesBytes(): boolean {
    return this.branch!.writable && (this.data === null || this.data.blocks !== null)
  }

  get isDirectory(): boolean {
    return this.type === S.IFDIR
  }

  /** Topmost branch that provides it. */
  get top(): Branch {
    return this.type === S.IFDIR ? this.places[0]!.branch : this.branch!
  }
}

/** Identity of a content that is not ours to guard. */
export interface Stamp {
  readonly ino: number
  readonly size: number
  readonly mtime: number
  readonly mtimeNsec: number
  readonly ctime: number
  readonly ctimeNsec: number
}

export function stampOf({ ino, size, mtime, mtimeNsec, ctime, ctimeNsec }: Stamp): Stamp {
  return { ino, size, mtime, mtimeNsec, ctime, ctimeNsec }
}

export const sameStamp = (stamp: Stamp, stat: Stamp): boolean =>
  stamp.ino === stat.ino &&
  stamp.size === stat.size &&
  stamp.mtime === stat.mtime &&
  stamp.mtimeNsec === stat.mtimeNsec &&
  stamp.ctime === stat.ctime &&
  stamp.ctimeNsec === stat.ctimeNsec

/** Path of a directory in the branch of one of its places. */
export const pathIn = (node: UnionNode, place: Place): RelPath => place.path ?? node.path

/** Path in the view of a node that has a name. */
export const viewPath = (node: UnionNode): RelPath =>
  node.isDirectory ? node.path : joinPath(node.parent?.path ?? ('' as RelPath), node.name)

/** Where a file lies in a read-only branch; null in a writable one. */
export const placeOf = (node: UnionNode): FilePlace | null =>
  node.inDir === null ? null : { branch: node.branch!, dir: node.inDir, name: node.inName! }

/** True where the bytes of two nodes of one name lie in the same file, or with each of them. */
export const sameData = (one: FilePlace | null, other: FilePlace | null): boolean =>
  one?.branch === other?.branch && one?.dir === other?.dir && one?.name === other?.name

/** The directory's place in a branch, or null. */
export const placeIn = (node: UnionNode, branch: Branch): Place | null =>
  node.places.find((place) => place.branch === branch) ?? null

/** True where the base, which others may change, has a part in it. */
export function isForeign(node: UnionNode): boolean {
  if (!node.isDirectory) return node.branch!.foreign
  return node.places.at(-1)?.branch.foreign ?? false
}

/**
 * What hides a name that the kernel was told is absent; undefined where it was not told, or
 * where others may have made it meanwhile.
 */
export const toldAbsent = (dir: UnionNode, name: string): UnionLayer | null | undefined =>
  dir.absent === null || isForeign(dir) ? undefined : dir.absent.get(name)

/** After a directory was renamed: its path, and that of every directory known below it. */
export function repath(node: UnionNode, path: RelPath): void {
  node.path = path
  for (const child of node.children?.values() ?? []) {
    if (child.isDirectory) repath(child, joinPath(path, child.name))
  }
}
