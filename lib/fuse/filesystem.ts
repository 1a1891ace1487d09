// What a filesystem is to the transport: one synchronous method an operation, in terms of
// node and handle numbers. The union implements it; the direct session and fuse-native
// call it.
//
//   kernel ─▶ session (bytes) ─▶ FileSystem (numbers, names) ─▶ reply
//
// Rule: a method returns its answer, throws an Errno, or throws Parked; it never waits.
// Answers may be objects that the next call fills again: whoever calls uses them at once.

import type { Brand } from '../base/path.ts'

/** Number by which the kernel names a node. 1 is the root; 0 in an entry means "absent". */
export type NodeId = Brand<number, 'NodeId'>
/** Number by which the kernel names one open file or directory. Ours to choose. */
export type HandleId = Brand<number, 'HandleId'>

export const ROOT_NODE = 1 as NodeId
export const ABSENT = 0 as NodeId

/** Who asks, as the request's header says. Pages written back carry 0 for all three. */
export interface Caller {
  readonly uid: number
  readonly gid: number
  readonly pid: number
  /** What an earlier run of this request was parked for, now done; null on the first run. */
  readonly finished: Job | null
}

/** Attributes as the protocol carries them (struct fuse_attr). */
export interface Attr {
  ino: number
  size: number
  /** 512-byte units. */
  blocks: number
  /** Seconds since 1970, signed, with nanoseconds beside them. */
  atime: number
  atimeNsec: number
  mtime: number
  mtimeNsec: number
  ctime: number
  ctimeNsec: number
  /** Type and permission bits. */
  mode: number
  nlink: number
  uid: number
  gid: number
  /** new_encode_dev form. */
  rdev: number
  blksize: number
}

/** Attributes to be filled. */
export const blankAttr = (): Attr => ({
  ino: 0,
  size: 0,
  blocks: 0,
  atime: 0,
  atimeNsec: 0,
  mtime: 0,
  mtimeNsec: 0,
  ctime: 0,
  ctimeNsec: 0,
  mode: 0,
  nlink: 0,
  uid: 0,
  gid: 0,
  rdev: 0,
  blksize: 4096,
})

/** Answer to what finds or makes a name. */
export interface Entry {
  /** ABSENT with a validity tells the kernel that it may remember the absence. */
  node: NodeId
  attr: Attr
  /** How long the kernel may trust name and attributes, in seconds. */
  entryValid: number
  attrValid: number
}

export interface AttrReply {
  attr: Attr
  attrValid: number
}

/** fh and FOPEN_* flags of struct fuse_open_out; `backing` is for passthrough, 0 without. */
export interface Opened {
  handle: HandleId
  flags: number
  backing: number
}

export interface Created {
  entry: Entry
  opened: Opened
}

/** struct fuse_kstatfs, in the protocol's units. */
export interface Statfs {
  blocks: number
  bfree: number
  bavail: number
  files: number
  ffree: number
  bsize: number
  namelen: number
  frsize: number
}

/** Bits of SetattrRequest.valid (FATTR_* of linux/fuse.h). */
export const FATTR = {
  MODE: 1,
  UID: 2,
  GID: 4,
  SIZE: 8,
  ATIME: 16,
  MTIME: 32,
  FH: 64,
  ATIME_NOW: 128,
  MTIME_NOW: 256,
  LOCKOWNER: 512,
  CTIME: 1024,
  KILL_SUIDGID: 2048,
} as const

/** Flags of Opened (FOPEN_*). */
export const FOPEN = {
  DIRECT_IO: 1,
  KEEP_CACHE: 2,
  NONSEEKABLE: 4,
  CACHE_DIR: 8,
  STREAM: 16,
  NOFLUSH: 32,
  PARALLEL_DIRECT_WRITES: 64,
  PASSTHROUGH: 128,
} as const

export interface SetattrRequest {
  valid: number
  handle: HandleId | null
  size: number
  atime: number
  atimeNsec: number
  mtime: number
  mtimeNsec: number
  ctime: number
  ctimeNsec: number
  mode: number
  uid: number
  gid: number
}

export interface CreateRequest {
  name: string
  /** O_* flags of the caller. */
  flags: number
  mode: number
  umask: number
}

export interface RenameRequest {
  name: string
  newParent: NodeId
  newName: string
  /** RENAME_NOREPLACE 1, RENAME_EXCHANGE 2, RENAME_WHITEOUT 4. */
  flags: number
}

export interface ReadRequest {
  readonly handle: HandleId
  readonly offset: number
  /** Flags of the open file that asks: a writer reads what its write leaves of a page. */
  readonly flags: number
}

export interface WriteRequest {
  handle: HandleId
  offset: number
  /** Lies in the session's buffer: used up before the method returns. */
  data: Buffer
  /** Clear setuid, setgid and capabilities (FUSE_WRITE_KILL_SUIDGID). */
  killPriv: boolean
  /** Written back from the page cache, so without a true caller (FUSE_WRITE_CACHE). */
  fromCache: boolean
}

export interface CopyRangeRequest {
  handle: HandleId
  offset: number
  toNode: NodeId
  toHandle: HandleId
  toOffset: number
  length: number
}

/**
 * One entry a time, from `readdir` into the reply. False when there is no room for it: the
 * method stops then, and has not counted a lookup for it.
 */
export interface DirSink {
  /** True for READDIRPLUS: `plus` is called, and each entry it takes counts as a lookup. */
  readonly wantsPlus: boolean
  /** `next` is the offset from which the listing goes on after this entry; type as DT_*. */
  plain(name: string, ino: number, type: number, next: number): boolean
  plus(name: string, entry: Entry, next: number): boolean
  /** Asked before the node is looked up, so that one without room costs nothing. */
  hasRoom(name: string): boolean
}

/** Everything a mounted filesystem answers. Names are single components, bytes as latin1. */
export interface FileSystem {
  /** Told when the mount begins. `ownTimes`: mtime of files is the kernel's, told by SETATTR. */
  agreed?(ownTimes: boolean): void
  lookup(caller: Caller, parent: NodeId, name: string): Entry
  /** The kernel dropped `count` of the lookups it was told of this node. */
  forget(node: NodeId, count: number): void
  getattr(caller: Caller, node: NodeId, handle: HandleId | null): AttrReply
  setattr(caller: Caller, node: NodeId, request: SetattrRequest): AttrReply
  /** The link's target, bytes as latin1. */
  readlink(caller: Caller, node: NodeId): string
  symlink(caller: Caller, parent: NodeId, name: string, target: string): Entry
  mknod(
    caller: Caller,
    parent: NodeId,
    request: {
      name: string
      mode: number
      umask: number
      rdev: number
    },
  ): Entry
  mkdir(
    caller: Caller,
    parent: NodeId,
    request: { name: string; mode: number; umask: number },
  ): Entry
  unlink(caller: Caller, parent: NodeId, name: string): void
  rmdir(caller: Caller, parent: NodeId, name: string): void
  rename(caller: Caller, parent: NodeId, request: RenameRequest): void
  link(caller: Caller, parent: NodeId, request: { node: NodeId; name: string }): Entry
  /** `killPriv`: with O_TRUNC, clear setuid, setgid and capabilities (FUSE_OPEN_KILL_SUIDGID). */
  open(caller: Caller, node: NodeId, flags: number, killPriv: boolean): Opened
  create(caller: Caller, parent: NodeId, request: CreateRequest): Created
  tmpfile(caller: Caller, parent: NodeId, request: CreateRequest): Created
  /** Fills `into` from its start; answers how many bytes. */
  read(caller: Caller, node: NodeId, request: ReadRequest, into: Buffer): number
  write(caller: Caller, node: NodeId, request: WriteRequest): number
  release(caller: Caller, node: NodeId, handle: HandleId): void
  fsync(caller: Caller, node: NodeId, handle: HandleId, dataOnly: boolean): void
  fsyncdir(caller: Caller, node: NodeId, handle: HandleId, dataOnly: boolean): void
  statfs(caller: Caller, node: NodeId): Statfs
  setxattr(
    caller: Caller,
    node: NodeId,
    request: {
      name: string
      value: Buffer
      flags: number
      killSgid: boolean
    },
  ): void
  /** The value, or null where it is not set (ENODATA). */
  getxattr(caller: Caller, node: NodeId, name: string): Buffer | null
  listxattr(caller: Caller, node: NodeId): string[]
  removexattr(caller: Caller, node: NodeId, name: string): void
  access(caller: Caller, node: NodeId, mask: number): void
  opendir(caller: Caller, node: NodeId, flags: number): Opened
  /** Lists from `offset` (0, or a `next` told before) until the sink is full or all is told. */
  readdir(caller: Caller, node: NodeId, handle: HandleId, offset: number, sink: DirSink): void
  releasedir(caller: Caller, node: NodeId, handle: HandleId): void
  fallocate(
    caller: Caller,
    node: NodeId,
    request: {
      handle: HandleId
      offset: number
      length: number
      mode: number
    },
  ): void
  /** SEEK_DATA 3 or SEEK_HOLE 4; the kernel does the others itself. */
  lseek(caller: Caller, node: NodeId, handle: HandleId, offset: number, whence: number): number
  copyFileRange(caller: Caller, node: NodeId, request: CopyRangeRequest): number
  /** FUSE_SYNCFS, where a kernel sends it. */
  syncfs(caller: Caller, node: NodeId): void
  /** The mount is gone: close what is open. No job of this filesystem runs any more. */
  destroy(): void
  /**
   * The node itself, or a directory's parent, asked by number alone (NFS). Counts as a lookup. Where
   * both are there, file handles are offered; ESTALE where the node is not known.
   */
  lookupSelf?(caller: Caller, node: NodeId): Entry
  lookupParent?(caller: Caller, node: NodeId): Entry
  /** The path of a node for people; what else tells it apart where it has none. Never throws. */
  pathOf?(node: NodeId): string
  /**
   * Where other mounts are being told what requests of this one changed, `done` is called when
   * they know; false where nobody need wait.
   */
  whenShown?(done: () => void): boolean
  /** Calls all that wait so, though the other mounts do not know yet. */
  showAnyway?(): void
  /**
   * A job is done that no request waits for any more: it was interrupted, or failed on its way
   * back to what it waited for. Undo what the job was for.
   */
  abandon?(job: Job): void
}

/**
 * Work that takes long: of an io thread, on descriptors that are open in the process, or of the kernel.
 * `error` is the positive errno it ended with, 0 for success; set when it is done.
 */
export type Job = { id: number; error: number; done: boolean } & JobWork
export type JobWork =
  /** `flush`: the bytes are on the disk when it is done. */
  | { kind: 'copy'; from: number; to: number; size: number; flush: boolean }
  | { kind: 'fsync'; fd: number; dataOnly: boolean }
  /**
   * Bytes of `from` come into `to`, where they are there; `runs`: from and to of each stretch. `state`
   * is shared: [0] is 1 when it has ended, [1] is set to have it end soon.
   */
  | {
      kind: 'fill'
      from: number
      to: number
      runs: readonly number[]
      flush: boolean
      state: Int32Array
    }
  /** Nothing, for so long. */
  | { kind: 'pause'; milliseconds: number }
  /** Kernels write back what their page caches have of these nodes, and drop it. */
  | { kind: 'flush'; pages: CachedPages[] }
  /** What the filesystem itself asks another thread: never of an io thread. */
  | { kind: 'asked' }

/** One node's pages in one kernel's cache, by a descriptor of the device that is the job's own. */
export interface CachedPages {
  readonly device: number
  readonly node: NodeId
}

/** Thrown by a method whose answer needs such work. The request runs again from its start afterwards. */
export class Parked {
  readonly job: Job

  constructor(job: Job) {
    this.job = job
  }
}

/** What the kernel of one mount is told when the filesystem itself changes what it shows. */
export type Notification =
  /** The name must be looked up again. `expire` keeps what is open, mounted or running there. */
  | { kind: 'entry'; parent: NodeId; name: string; expire: boolean }
  /** Attributes, and bytes [offset, offset+length) of a file or the list of a directory, are stale. */
  | { kind: 'inode'; node: NodeId; offset: number; length: number }
  /**
   * The name at this path, told before, hid a large tree that the kernel has to take down: have it
   * begin, or the first program that asks for the name waits for that.
   */
  | { kind: 'gone'; path: string }
  /** Of these nodes, at most MOST_PRUNED, the kernel is to forget what it does not use. */
  | { kind: 'prune'; nodes: readonly NodeId[] }
  /** Tell inotify watchers of the directory at this path (from the mount's root, latin1). */
  | { kind: 'touch'; node: NodeId; path: string }
  /** The file has grown to `size` at least; `last` is its last byte. */
  | { kind: 'grow'; node: NodeId; size: number; last: number }
  /**
   * The file at this path, if it still is inode `ino`, was changed at that time, and where `size` is
   * not null cut to that size: with a writeback cache the kernel takes neither from an answer.
   */
  | {
      kind: 'change'
      node: NodeId
      path: string
      ino: number
      size: number | null
      mtime: number
      mtimeNsec: number
    }

/**
 * Where notifications go: never written by the thread that serves requests. `done` is called when
 * the kernel knows them, and what was announced before.
 */
export type Announce = (batch: readonly Notification[], done: () => void) => void
