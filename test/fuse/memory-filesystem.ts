// A filesystem in memory, for tests of the transport: small, complete, without layers.
//
// What a test can ask of it: `park` makes the next call of a method wait for a job;
// `failWith` makes it throw; `calls` records what was asked, in order.

import { ERRNO, Errno, fail } from '../../lib/base/errno.ts'
import {
  ABSENT,
  type Attr,
  type AttrReply,
  type Caller,
  type CopyRangeRequest,
  type Created,
  type CreateRequest,
  type DirSink,
  type Entry,
  FATTR,
  type FileSystem,
  FOPEN,
  type HandleId,
  type Job,
  type NodeId,
  type Opened,
  Parked,
  type ReadRequest,
  type RenameRequest,
  ROOT_NODE,
  type SetattrRequest,
  type Statfs,
  type WriteRequest,
} from '../../lib/fuse/filesystem.ts'

export interface MemoryNode {
  id: NodeId
  attr: Attr
  bytes: Buffer
  target: string
  parent: NodeId
  children: Map<string, MemoryNode>
  xattrs: Map<string, Buffer>
  lookups: number
}

const DIRECTORY = 0o040000
const REGULAR = 0o100000
const LINK = 0o120000

export class MemoryFileSystem implements FileSystem {
  readonly nodes = new Map<NodeId, MemoryNode>()
  readonly calls: string[] = []
  readonly abandoned: Job[] = []
  destroyed = 0
  /** Seconds for which the kernel may trust everything. */
  valid = 1000
  /** Next call of a method: the job it waits for. */
  readonly park = new Map<keyof FileSystem, Job>()
  readonly failWith = new Map<keyof FileSystem, unknown>()
  /** Called when `user.command` is set on the root. */
  onCommand: (text: string) => void = () => {}
  #next = 1
  #handle = 0

  constructor() {
    const root = this.#make(DIRECTORY | 0o755, 0, 0)
    root.lookups = 1
  }

  get root(): MemoryNode {
    return this.nodes.get(ROOT_NODE)!
  }

  /** A file made behind the kernel's back. */
  put(name: string, text: string): MemoryNode {
    const node = this.#make(REGULAR | 0o644, 0, 0)
    node.bytes = Buffer.from(text)
    this.#sized(node)
    this.#place(this.root, name, node)
    return node
  }

  lookup(caller: Caller, parent: NodeId, name: string): Entry {
    this.#enter('lookup', caller, name)
    const found = this.#dir(parent).children.get(name)
    return found === undefined ? this.#absent() : this.#told(found)
  }

  lookupSelf(_caller: Caller, node: NodeId): Entry {
    return this.#told(this.#get(node))
  }

  lookupParent(_caller: Caller, node: NodeId): Entry {
    return this.#told(this.#get(this.#get(node).parent))
  }

  forget(node: NodeId, count: number): void {
    this.calls.push(`forget ${node} ${count}`)
    const found = this.nodes.get(node)
    if (found === undefined) return
    found.lookups -= count
    if (found.lookups <= 0 && found.attr.nlink === 0) this.nodes.delete(node)
  }

  getattr(caller: Caller, node: NodeId): AttrReply {
    this.#enter('getattr', caller)
    return this.#attrReply(this.#get(node))
  }

  setattr(caller: Caller, node: NodeId, request: SetattrRequest): AttrReply {
    this.#enter('setattr', caller, String(request.valid))
    const found = this.#get(node)
    const { attr } = found
    const { valid } = request
    if (valid & FATTR.MODE) attr.mode = request.mode
    if (valid & FATTR.UID) attr.uid = request.uid
    if (valid & FATTR.GID) attr.gid = request.gid
    if (valid & FATTR.SIZE) this.#resize(found, request.size)
    if (valid & FATTR.ATIME) {
      attr.atime = request.atime
      attr.atimeNsec = request.atimeNsec
    }
    if (valid & FATTR.MTIME) {
      attr.mtime = request.mtime
      attr.mtimeNsec = request.mtimeNsec
    }
    return this.#attrReply(found)
  }

  readlink(caller: Caller, node: NodeId): string {
    this.#enter('readlink', caller)
    return this.#get(node).target
  }

  symlink(caller: Caller, parent: NodeId, name: string, target: string): Entry {
    this.#enter('symlink', caller, name)
    const node = this.#make(LINK | 0o777, caller.uid, caller.gid)
    node.target = target
    node.attr.size = target.length
    return this.#told(this.#place(this.#dir(parent), name, node))
  }

  mknod(
    caller: Caller,
    parent: NodeId,
    request: { name: string; mode: number; umask: number; rdev: number },
  ): Entry {
    this.#enter('mknod', caller, request.name)
    const node = this.#make(request.mode & ~request.umask, caller.uid, caller.gid)
    node.attr.rdev = request.rdev
    return this.#told(this.#place(this.#dir(parent), request.name, node))
  }

  mkdir(
    caller: Caller,
    parent: NodeId,
    request: { name: string; mode: number; umask: number },
  ): Entry {
    this.#enter('mkdir', caller, request.name)
    const mode = DIRECTORY | (request.mode & ~request.umask)
    const node = this.#make(mode, caller.uid, caller.gid)
    return this.#told(this.#place(this.#dir(parent), request.name, node))
  }

  unlink(caller: Caller, parent: NodeId, name: string): void {
    this.#enter('unlink', caller, name)
    this.#remove(this.#dir(parent), name)
  }

  rmdir(caller: Caller, parent: NodeId, name: string): void {
    this.#enter('rmdir', caller, name)
    const dir = this.#dir(parent)
    if ((dir.children.get(name)?.children.size ?? 0) > 0) fail('ENOTEMPTY')
    this.#remove(dir, name)
  }

  rename(caller: Caller, parent: NodeId, request: RenameRequest): void {
    this.#enter('rename', caller, `${request.name} ${request.newName}`)
    const from = this.#dir(parent)
    const to = this.#dir(request.newParent)
    const moved = from.children.get(request.name) ?? fail('ENOENT')
    const replaced = to.children.get(request.newName)
    if ((request.flags & 1) !== 0 && replaced !== undefined) fail('EEXIST')
    if (replaced !== undefined) this.#remove(to, request.newName)
    from.children.delete(request.name)
    to.children.set(request.newName, moved)
    moved.parent = to.id
  }

  link(caller: Caller, parent: NodeId, request: { node: NodeId; name: string }): Entry {
    this.#enter('link', caller, request.name)
    const node = this.#get(request.node)
    node.attr.nlink++
    return this.#told(this.#place(this.#dir(parent), request.name, node))
  }

  open(caller: Caller, node: NodeId, flags: number): Opened {
    this.#enter('open', caller)
    const found = this.#get(node)
    if ((flags & 0o1000) !== 0) this.#resize(found, 0)
    return this.#opened()
  }

  create(caller: Caller, parent: NodeId, request: CreateRequest): Created {
    this.#enter('create', caller, request.name)
    const mode = REGULAR | (request.mode & ~request.umask & 0o7777)
    const node = this.#make(mode, caller.uid, caller.gid)
    const entry = this.#told(this.#place(this.#dir(parent), request.name, node))
    return { entry, opened: this.#opened() }
  }

  tmpfile(caller: Caller, _parent: NodeId, request: CreateRequest): Created {
    this.#enter('tmpfile', caller)
    const node = this.#make(REGULAR | (request.mode & 0o7777), caller.uid, caller.gid)
    node.attr.nlink = 0
    return { entry: this.#told(node), opened: this.#opened() }
  }

  read(caller: Caller, node: NodeId, { offset }: ReadRequest, into: Buffer): number {
    this.#enter('read', caller)
    const { bytes } = this.#get(node)
    return offset < bytes.length ? bytes.copy(into, 0, offset) : 0
  }

  write(caller: Caller, node: NodeId, request: WriteRequest): number {
    this.#enter('write', caller, String(request.data.length))
    const found = this.#get(node)
    const end = request.offset + request.data.length
    if (end > found.bytes.length) this.#resize(found, end)
    request.data.copy(found.bytes, request.offset)
    return request.data.length
  }

  release(caller: Caller): void {
    this.#enter('release', caller)
  }

  fsync(caller: Caller): void {
    this.#enter('fsync', caller)
  }

  fsyncdir(caller: Caller): void {
    this.#enter('fsyncdir', caller)
  }

  statfs(): Statfs {
    return {
      blocks: 1000,
      bfree: 500,
      bavail: 400,
      files: 100,
      ffree: 50,
      bsize: 4096,
      namelen: 255,
      frsize: 4096,
    }
  }

  setxattr(
    caller: Caller,
    node: NodeId,
    request: { name: string; value: Buffer; flags: number },
  ): void {
    this.#enter('setxattr', caller, request.name)
    if (request.name === 'user.command') {
      this.onCommand(request.value.toString())
      return
    }
    const { xattrs } = this.#get(node)
    if (request.flags === 1 && xattrs.has(request.name)) fail('EEXIST')
    if (request.flags === 2 && !xattrs.has(request.name)) fail('ENODATA')
    xattrs.set(request.name, Buffer.from(request.value))
  }

  getxattr(caller: Caller, node: NodeId, name: string): Buffer | null {
    this.#enter('getxattr', caller, name)
    return this.#get(node).xattrs.get(name) ?? null
  }

  listxattr(caller: Caller, node: NodeId): string[] {
    this.#enter('listxattr', caller)
    return [...this.#get(node).xattrs.keys()]
  }

  removexattr(caller: Caller, node: NodeId, name: string): void {
    this.#enter('removexattr', caller, name)
    if (!this.#get(node).xattrs.delete(name)) fail('ENODATA')
  }

  access(caller: Caller): void {
    this.#enter('access', caller)
  }

  opendir(caller: Caller): Opened {
    this.#enter('opendir', caller)
    return { handle: ++this.#handle as HandleId, flags: 0, backing: 0 }
  }

  readdir(caller: Caller, node: NodeId, _handle: HandleId, offset: number, sink: DirSink): void {
    this.#enter('readdir', caller)
    const dir = this.#dir(node)
    const names = ['.', '..', ...dir.children.keys()]
    for (let at = offset; at < names.length; at++) {
      const name = names[at]!
      if (!sink.hasRoom(name)) return
      const child = at < 2 ? undefined : dir.children.get(name)
      if (child === undefined) sink.plain(name, dir.attr.ino, 4, at + 1)
      else if (sink.wantsPlus) sink.plus(name, this.#told(child), at + 1)
      else sink.plain(name, child.attr.ino, (child.attr.mode >>> 12) & 0xf, at + 1)
    }
  }

  releasedir(caller: Caller): void {
    this.#enter('releasedir', caller)
  }

  fallocate(
    caller: Caller,
    node: NodeId,
    request: { offset: number; length: number; mode: number },
  ): void {
    this.#enter('fallocate', caller)
    const found = this.#get(node)
    if (request.mode !== 0) fail('EOPNOTSUPP')
    this.#resize(found, Math.max(found.bytes.length, request.offset + request.length))
  }

  lseek(caller: Caller, node: NodeId, _handle: HandleId, offset: number, whence: number): number {
    this.#enter('lseek', caller)
    const { length } = this.#get(node).bytes
    if (offset >= length) throw new Errno(ERRNO.ENXIO)
    return whence === 4 ? length : offset
  }

  copyFileRange(caller: Caller, node: NodeId, request: CopyRangeRequest): number {
    this.#enter('copyFileRange', caller)
    const from = this.#get(node).bytes
    const data = from.subarray(request.offset, request.offset + request.length)
    const copy = Buffer.from(data)
    const to = this.#get(request.toNode)
    if (request.toOffset + copy.length > to.bytes.length) {
      this.#resize(to, request.toOffset + copy.length)
    }
    copy.copy(to.bytes, request.toOffset)
    return copy.length
  }

  syncfs(caller: Caller): void {
    this.#enter('syncfs', caller)
  }

  destroy(): void {
    this.destroyed++
  }

  abandon(job: Job): void {
    this.abandoned.push(job)
  }

  #enter(method: keyof FileSystem, caller: Caller, detail = ''): void {
    this.calls.push(detail === '' ? method : `${method} ${detail}`)
    const failure = this.failWith.get(method)
    if (failure !== undefined) throw failure
    const job = this.park.get(method)
    if (job === undefined) return
    if (caller.finished === job) this.park.delete(method)
    else throw new Parked(job)
  }

  #make(mode: number, uid: number, gid: number): MemoryNode {
    const id = this.#next++ as NodeId
    const node: MemoryNode = {
      id,
      attr: {
        ino: id,
        size: 0,
        blocks: 0,
        atime: 1_600_000_000,
        atimeNsec: 1,
        mtime: 1_600_000_000,
        mtimeNsec: 123_456_789,
        ctime: 1_600_000_000,
        ctimeNsec: 3,
        mode,
        nlink: 1,
        uid,
        gid,
        rdev: 0,
        blksize: 4096,
      },
      bytes: Buffer.alloc(0),
      target: '',
      parent: ROOT_NODE,
      children: new Map(),
      xattrs: new Map(),
      lookups: 0,
    }
    this.nodes.set(id, node)
    return node
  }

  #place(dir: MemoryNode, name: string, node: MemoryNode): MemoryNode {
    if (dir.children.has(name)) fail('EEXIST')
    dir.children.set(name, node)
    node.parent = dir.id
    return node
  }

  #remove(dir: MemoryNode, name: string): void {
    const node = dir.children.get(name) ?? fail('ENOENT')
    dir.children.delete(name)
    node.attr.nlink--
    if (node.lookups <= 0 && node.attr.nlink === 0) this.nodes.delete(node.id)
  }

  #resize(node: MemoryNode, size: number): void {
    const bytes = Buffer.alloc(size)
    node.bytes.copy(bytes)
    node.bytes = bytes
    this.#sized(node)
  }

  #sized(node: MemoryNode): void {
    node.attr.size = node.bytes.length
    node.attr.blocks = Math.ceil(node.bytes.length / 512)
  }

  #get(node: NodeId): MemoryNode {
    return this.nodes.get(node) ?? fail('ESTALE')
  }

  #dir(node: NodeId): MemoryNode {
    const found = this.#get(node)
    if ((found.attr.mode & 0o170000) !== DIRECTORY) fail('ENOTDIR')
    return found
  }

  #told(node: MemoryNode): Entry {
    node.lookups++
    return { node: node.id, attr: node.attr, entryValid: this.valid, attrValid: this.valid }
  }

  #absent(): Entry {
    return { node: ABSENT, attr: this.root.attr, entryValid: this.valid, attrValid: 0 }
  }

  #attrReply(node: MemoryNode): AttrReply {
    return { attr: node.attr, attrValid: this.valid }
  }

  #opened(): Opened {
    return { handle: ++this.#handle as HandleId, flags: FOPEN.KEEP_CACHE, backing: 0 }
  }
}
