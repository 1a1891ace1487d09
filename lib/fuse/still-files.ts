// A tree that never changes, as a mounted filesystem: names and attributes from memory, bytes from
// whoever keeps them.
//
//   StillTree ─▶ StillFiles (FileSystem) ─▶ Session ─▶ kernel
//
// A tree that does not have something yet (names, bytes) throws Parked wherever it is asked for it, and
// is asked again when it has.
//
// Rule: every change is EROFS. The kernel may trust all answers for ever.

import { ERRNO, Errno, fail } from '../base/errno.ts'
import {
  ABSENT,
  type Attr,
  type AttrReply,
  blankAttr,
  type Caller,
  type CopyRangeRequest,
  type Created,
  type DirSink,
  type Entry,
  type FileSystem,
  FOPEN,
  type HandleId,
  type Job,
  type NodeId,
  type Opened,
  type ReadRequest,
  type Statfs,
} from './filesystem.ts'

/** The bytes of an open file. */
export interface StillBytes {
  readonly size: number
  /** Offset and length of each hole, in order. */
  readonly holes: readonly number[]
  /** Fills `into` from `offset`; all of it is within the size. Throws Errno. */
  read(into: Buffer, offset: number): void
  close(): void
}

/** One file or directory; a file of several names is one. */
export interface StillNode {
  readonly attr: Attr
  /** Of a symbolic link, bytes as latin1. */
  readonly target: string
  readonly xattrs: ReadonlyMap<string, Buffer>
  /** Of a directory, by name; null for everything else. */
  readonly children: ReadonlyMap<string, number> | null
}

export interface StillTree {
  /** The root is the first. */
  readonly nodes: readonly StillNode[]
  /** Opens a regular file. Throws Errno. */
  open(node: number): StillBytes
  /** Throws Errno where the tree can no longer be read. */
  check(): void
  /** Nobody waits for what was asked any more. */
  abandon?(job: Job): void
  close(): void
}

const S_IFMT = 0o170000
const S_IFDIR = 0o040000
const ALWAYS = Number.POSITIVE_INFINITY
const SEEK_DATA = 3

/** Bytes of a name in the statistics of a filesystem. */
const NAMELEN = 255

export class StillFiles implements FileSystem {
  readonly #tree: StillTree
  readonly #open = new Map<number, StillBytes>()
  /** Which directory each node lies in: for `..`. */
  readonly #parents: number[] = []
  #next = 1
  readonly #entry: Entry = {
    node: ABSENT,
    attr: blankAttr(),
    entryValid: ALWAYS,
    attrValid: ALWAYS,
  }

  constructor(tree: StillTree) {
    this.#tree = tree
  }

  lookup(_caller: Caller, parent: NodeId, name: string): Entry {
    const child = this.#directory(parent).get(name)
    if (child === undefined) this.#entry.node = ABSENT
    else this.#found(child, parent)
    return this.#entry
  }

  forget(): void {}

  getattr(_caller: Caller, node: NodeId): AttrReply {
    return { attr: this.#node(node).attr, attrValid: ALWAYS }
  }

  readlink(_caller: Caller, node: NodeId): string {
    return this.#node(node).target
  }

  open(_caller: Caller, node: NodeId, flags: number): Opened {
    if ((flags & 3) !== 0) fail('EROFS')
    this.#tree.check()
    const file = this.#tree.open(node - 1)
    const handle = this.#next++
    this.#open.set(handle, file)
    return { handle: handle as HandleId, flags: FOPEN.KEEP_CACHE, backing: 0 }
  }

  read(_caller: Caller, _node: NodeId, request: ReadRequest, into: Buffer): number {
    const file = this.#open.get(request.handle) ?? fail('EBADF')
    const length = Math.min(into.length, file.size - request.offset)
    if (length <= 0) return 0
    file.read(into.subarray(0, length), request.offset)
    this.#tree.check()
    return length
  }

  release(_caller: Caller, _node: NodeId, handle: HandleId): void {
    this.#open.get(handle)?.close()
    this.#open.delete(handle)
  }

  lseek(_caller: Caller, _node: NodeId, handle: HandleId, offset: number, whence: number): number {
    const { size, holes } = this.#open.get(handle) ?? fail('EBADF')
    if (offset >= size) fail('ENXIO')
    for (let i = 0; i < holes.length; i += 2) {
      const [from, to] = [holes[i]!, holes[i]! + holes[i + 1]!]
      if (to <= offset) continue
      if (whence !== SEEK_DATA) return Math.max(from, offset)
      if (offset < from) return offset
      if (to >= size) fail('ENXIO')
      offset = to
    }
    return whence === SEEK_DATA ? offset : size
  }

  opendir(_caller: Caller, node: NodeId): Opened {
    this.#directory(node)
    return { handle: 0 as HandleId, flags: FOPEN.KEEP_CACHE | FOPEN.CACHE_DIR, backing: 0 }
  }

  readdir(_caller: Caller, node: NodeId, _handle: HandleId, offset: number, sink: DirSink): void {
    const children = this.#directory(node)
    const inoOf = (place: number) => this.#tree.nodes[place]!.attr.ino
    const parent = this.#parents[node - 1] ?? node - 1
    if (offset < 1 && !sink.plain('.', inoOf(node - 1), S_IFDIR >> 12, 1)) return
    if (offset < 2 && !sink.plain('..', inoOf(parent), S_IFDIR >> 12, 2)) return
    let at = 2
    for (const [name, child] of children) {
      at += 1
      if (at <= offset) continue
      const { ino, mode } = this.#tree.nodes[child]!.attr
      const took = sink.wantsPlus
        ? sink.hasRoom(name) && sink.plus(name, this.#found(child, node), at)
        : sink.plain(name, ino, (mode & S_IFMT) >> 12, at)
      if (!took) return
    }
  }

  releasedir(): void {}

  getxattr(_caller: Caller, node: NodeId, name: string): Buffer | null {
    return this.#node(node).xattrs.get(name) ?? null
  }

  listxattr(_caller: Caller, node: NodeId): string[] {
    return [...this.#node(node).xattrs.keys()]
  }

  statfs(): Statfs {
    const files = this.#tree.nodes.length
    return {
      blocks: 0,
      bfree: 0,
      bavail: 0,
      files,
      ffree: 0,
      bsize: 4096,
      namelen: NAMELEN,
      frsize: 4096,
    }
  }

  // The kernel checks modes itself.
  access(): void {}
  fsync(): void {}
  fsyncdir(): void {}
  syncfs(): void {}

  abandon(job: Job): void {
    this.#tree.abandon?.(job)
  }

  destroy(): void {
    for (const file of this.#open.values()) file.close()
    this.#open.clear()
    this.#tree.close()
  }

  setattr(): AttrReply {
    return fail('EROFS')
  }
  symlink(): Entry {
    return fail('EROFS')
  }
  mknod(): Entry {
    return fail('EROFS')
  }
  mkdir(): Entry {
    return fail('EROFS')
  }
  unlink(): void {
    fail('EROFS')
  }
  rmdir(): void {
    fail('EROFS')
  }
  rename(): void {
    fail('EROFS')
  }
  link(): Entry {
    return fail('EROFS')
  }
  create(): Created {
    return fail('EROFS')
  }
  tmpfile(): Created {
    return fail('EROFS')
  }
  write(): number {
    return fail('EROFS')
  }
  setxattr(): void {
    fail('EROFS')
  }
  removexattr(): void {
    fail('EROFS')
  }
  fallocate(): void {
    fail('EROFS')
  }
  copyFileRange(_caller: Caller, _node: NodeId, _request: CopyRangeRequest): number {
    return fail('EROFS')
  }

  #node(node: NodeId): StillNode {
    return this.#tree.nodes[node - 1] ?? fail('ESTALE')
  }

  #directory(node: NodeId): ReadonlyMap<string, number> {
    return this.#node(node).children ?? fail('ENOTDIR')
  }

  // What the kernel knows of a directory it was told here first.
  #found(child: number, parent: NodeId): Entry {
    this.#parents[child] = parent - 1
    this.#entry.node = (child + 1) as NodeId
    this.#entry.attr = this.#tree.nodes[child]!.attr
    return this.#entry
  }
}

/** Has whatever cannot be read be EIO for who reads. */
export function asDamage<T>(act: () => T): T {
  try {
    return act()
  } catch (err) {
    if (err instanceof Errno) throw err
    throw new Errno(ERRNO.EIO, err instanceof Error ? err.message : 'read')
  }
}
