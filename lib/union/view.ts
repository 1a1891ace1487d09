// The merged tree of one mount: its nodes, and the operations that the kernel asks for.
//
//   FileSystem (numbers, names) ─▶ View ─▶ lookup.ts    what a name is
//                                      ├─▶ route.ts     which layer receives a change
//                                      ├─▶ copy-up.ts   make.ts  remove.ts  rename.ts
//                                      └─▶ files.ts  attributes.ts  readdir.ts
//
// Rule: synchronous, in one thread, without locks: between two lines nothing changes. What the
// view shows changes by a request, by `restack` or by `replaced`, and each of these tells
// the kernel what it had been told otherwise.

import { fail } from '../base/errno.ts'
import type { Log } from '../base/log.ts'
import { NAME_MAX, type RelPath, shown } from '../base/path.ts'
import {
  ABSENT,
  type Announce,
  type AttrReply,
  blankAttr,
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
  type JobWork,
  type NodeId,
  type Opened,
  type ReadRequest,
  type RenameRequest,
  type SetattrRequest,
  type Statfs,
  type WriteRequest,
} from '../fuse/filesystem.ts'
import { libcDevice, Stat } from '../host/stat.ts'
import { must, O, S, sys } from '../host/sys.ts'
import {
  attributesOf,
  deleteXattr,
  keepCtime,
  listXattrs,
  locate,
  readTarget,
  readXattr,
  setAttributes,
  statNode,
  writeXattr,
} from './attributes.ts'
import { Behind } from './behind.ts'
import * as bytes from './bytes.ts'
import { discardCopy } from './copy-up.ts'
import {
  adoptOpen,
  checkRoom,
  mustReachDisk,
  openNode,
  readNode,
  releaseNode,
  timesTold,
  writeNode,
} from './files.ts'
import { Flushes } from './flushes.ts'
import type { UnionLayer } from './layer.ts'
import { find } from './lookup.ts'
import { makeLink, makeName, makeUnnamed } from './make.ts'
import { isForeign, toldAbsent, type UnionNode, viewPath } from './node.ts'
import { closePages, flushPages } from './pages.ts'
import { changesUnseen, passThrough } from './passing.ts'
import type { OpenStack, Pool } from './pool.ts'
import { type DirHandle, readdir } from './readdir.ts'
import { rmdirName, unlinkName } from './remove.ts'
import { rename } from './rename.ts'
import { SharedView } from './shared-view.ts'
import type { StackSpec, ViewOptions } from './spec.ts'
import type { Stack } from './stack.ts'
import { twinsOf } from './twins.ts'

/** "Without limit", in seconds: what the kernel's clock can hold, and what its peers say. */
const FOREVER = 1e9
/** Absences remembered in one directory; above it they are told with a short timeout. */
const MOST_ABSENT = 4096
const ABSENT_OVERFLOW = 1
/** lseek(2). */
const SEEK_DATA = 3
/** Put together once: V8 asks Node for the number each time. */
const TEMPORARY = `t${process.pid}-`

export class View extends SharedView implements FileSystem {
  readonly options: ViewOptions
  readonly log: Log
  readonly pool: Pool
  readonly behind = new Behind(this)
  /** Attributes of what the last walk found on top; filled again by the next. */
  readonly stat = new Stat()
  readonly below = new Stat()
  readonly attr = blankAttr()
  /** True where the kernel keeps the times of files whose content it changes. */
  kernelHasTimes = false
  stack: Stack
  /** True where the kernel can map a file that it does not cache; said once that is agreed. */
  mayWriteThrough = false
  /** True where the kernel can be given files to read and write by itself; said once that is agreed. */
  passes = false
  /** Seconds for which the kernel may trust what the base showed. */
  readonly #baseTimeout: number
  readonly #base: UnionLayer | null
  /** Requests of all views of the process get different temporary names. */
  static #temp = 0
  static #job = 0
  static #umask = -1
  #closeStack: () => void
  readonly #handles = new Map<HandleId, DirHandle>()
  readonly #flushes = new Flushes((work) => this.newJob(work))
  /** Nodes whose copy-up waits for an io thread. */
  readonly copying = new Set<UnionNode>()
  #nextHandle = 1
  readonly #statfs = Buffer.alloc(256)
  readonly #link = Buffer.alloc(4096)
  readonly #entry: Entry = { node: ABSENT, attr: this.attr, entryValid: 0, attrValid: 0 }
  readonly #attrReply: AttrReply = { attr: this.attr, attrValid: 0 }

  /** Throws Errno where a directory of the stack cannot be opened. */
  constructor(options: {
    pool: Pool
    peers: Set<View>
    stack: StackSpec
    view: ViewOptions
    announce: Announce
    log: Log
  }) {
    super(options.peers, options.announce)
    this.options = options.view
    this.pool = options.pool
    this.log = options.log
    const { base } = options.stack
    this.#base = base === null ? null : options.pool.openBase(base, options.view.blocked)
    const { stack, adopt, close } = options.pool.open(options.stack, this.#base)
    adopt()
    this.stack = stack
    this.#closeStack = close
    this.#baseTimeout = base?.timeout ?? FOREVER
    this.setRoot(this.rootPlaces())
    options.peers.add(this)
  }

  // What the other files of lib/union ask.

  get privateLayer(): UnionLayer | null {
    return this.options.privateTo === null ? null : this.stack.layer(this.options.privateTo)
  }

  get writeTo(): UnionLayer | null {
    const named = this.options.writeTo === null ? null : this.stack.layer(this.options.writeTo)
    return named ?? this.stack.topWritable
  }

  tempName(): string {
    return TEMPORARY + View.#temp++
  }

  newJob(work: JobWork): Job {
    return { id: View.#job++, error: 0, done: false, ...work }
  }

  /** The umask belongs to the thread's own filesystem context (`ownUmask`, lib/host/thread.ts). */
  setUmask(umask: number): void {
    if (View.#umask === umask) return
    View.#umask = umask
    sys.umask(umask)
  }

  statQuiet(dir: number, name: string): boolean {
    return sys.stat(dir, name, this.below) >= 0
  }

  readLink(node: UnionNode): string {
    return readTarget(node, this.#link)
  }

  /** What keeps a new name from simply being made: the layer of a whiteout, or something there. */
  whatHides(dir: UnionNode, name: string): UnionLayer | null | 'something' {
    checkName(name)
    if (this.behind.some) this.behind.catchUpName(dir, name)
    const known = toldAbsent(dir, name)
    if (known !== undefined) return known
    if (dir.children?.has(name) && this.child(dir, name) !== null) return 'something'
    const found = find(this, dir, name)
    if (found.at === 'nowhere') return null
    return found.at === 'whiteout' ? found.layer : 'something'
  }

  /** Opens other layers over the same base. Throws Errno; nothing has changed then. */
  openStack(spec: StackSpec): OpenStack {
    return this.pool.open(spec, this.#base)
  }

  /** Swaps them in; the caller reconciles (restack.ts). Answers what closes the old ones. */
  swapStack({ stack, adopt, close }: OpenStack): { old: Stack; close(): void } {
    const old = { old: this.stack, close: this.#closeStack }
    adopt()
    this.stack = stack
    this.#closeStack = close
    return old
  }

  // The operations.

  agreed(ownTimes: boolean): void {
    this.kernelHasTimes = ownTimes
  }

  entryOf(node: UnionNode): Entry {
    const entry = this.#entry
    attributesOf(this, node, this.fresh === node ? this.stat : statNode(this, node))
    this.fresh = null
    entry.node = node.id
    entry.entryValid = this.#trust(node)
    entry.attrValid = changesUnseen(this, node, this.attr.mode) ? 0 : entry.entryValid
    return entry
  }

  lookup(caller: Caller, parent: NodeId, name: string): Entry {
    const dir = this.directory(parent)
    checkName(name)
    if (this.vanishing.some) this.vanishing.meet(this, caller, dir, name)
    const node = this.child(dir, name)
    return node === null ? this.#absent(dir, name) : this.#known(node)
  }

  lookupSelf(_caller: Caller, id: NodeId): Entry {
    return this.#known(this.node(id))
  }

  lookupParent(_caller: Caller, id: NodeId): Entry {
    const dir = this.directory(id)
    return this.#known(dir.parent ?? (dir === this.root ? dir : fail('ESTALE')))
  }

  #known(node: UnionNode): Entry {
    const entry = this.entryOf(node)
    node.lookups += 1
    return entry
  }

  #absent(dir: UnionNode, name: string): Entry {
    const entry = this.#entry
    entry.node = ABSENT
    entry.attrValid = 0
    entry.entryValid = this.#trust(dir)
    if (dir.fd !== -1) return entry
    if ((dir.absent?.size ?? 0) >= MOST_ABSENT && !dir.absent!.has(name)) {
      entry.entryValid = Math.min(entry.entryValid, ABSENT_OVERFLOW)
      return entry
    }
    dir.absent ??= new Map()
    dir.absent.set(name, this.hiddenBy)
    return entry
  }

  #trust(node: UnionNode): number {
    const { timeout } = this.options
    const own = timeout === Number.POSITIVE_INFINITY ? FOREVER : timeout
    return isForeign(node) ? Math.min(own, this.#baseTimeout, FOREVER) : own
  }

  getattr(_caller: Caller, id: NodeId, handle: HandleId | null): AttrReply {
    const node = this.node(id)
    if (handle !== null) checkRoom(node)
    return this.#attributes(node)
  }

  setattr(caller: Caller, id: NodeId, request: SetattrRequest): AttrReply {
    const node = this.node(id)
    setAttributes(this, caller, node, request)
    const stat = statNode(this, node)
    keepCtime(node, request, stat)
    if (request.valid & FATTR.MTIME) timesTold(node, stat)
    return this.#attributes(node, stat)
  }

  #attributes(node: UnionNode, stat = statNode(this, node)): AttrReply {
    attributesOf(this, node, stat)
    this.#attrReply.attrValid = changesUnseen(this, node, this.attr.mode) ? 0 : this.#trust(node)
    return this.#attrReply
  }

  readlink(_caller: Caller, id: NodeId): string {
    return this.readLink(this.node(id))
  }

  symlink(caller: Caller, parent: NodeId, name: string, target: string): Entry {
    const make = (at: number, as: string) => sys.symlinkat(target, at, as)
    return this.#known(makeName(this, caller, this.directory(parent), name, 0, S.IFLNK, make).node)
  }

  mknod(
    caller: Caller,
    parent: NodeId,
    request: { name: string; mode: number; umask: number; rdev: number },
  ): Entry {
    const { name, mode, umask, rdev } = request
    // The device 0/0 is a whiteout on disk: made through the mount it would delete.
    if ((mode & S.IFMT) === S.IFCHR && rdev === 0) fail('EPERM')
    const make = (at: number, as: string) => sys.mknodat(at, as, mode, libcDevice(rdev))
    const dir = this.directory(parent)
    return this.#known(makeName(this, caller, dir, name, umask, mode, make).node)
  }

  mkdir(
    caller: Caller,
    parent: NodeId,
    request: { name: string; mode: number; umask: number },
  ): Entry {
    const { name, mode, umask } = request
    const make = (at: number, as: string) => sys.mkdirat(at, as, mode)
    return this.#known(
      makeName(this, caller, this.directory(parent), name, umask, S.IFDIR, make).node,
    )
  }

  unlink(_caller: Caller, parent: NodeId, name: string): void {
    const dir = this.directory(parent)
    const node = this.child(dir, name) ?? fail('ENOENT')
    if (node.isDirectory) fail('EISDIR')
    unlinkName(this, dir, name, node)
    this.forgetIfUnused(node)
  }

  rmdir(_caller: Caller, parent: NodeId, name: string): void {
    const dir = this.directory(parent)
    const node = this.child(dir, name) ?? fail('ENOENT')
    if (!node.isDirectory) fail('ENOTDIR')
    rmdirName(this, dir, name, node)
    this.forgetIfUnused(node)
  }

  rename(_caller: Caller, parent: NodeId, request: RenameRequest): void {
    checkName(request.newName)
    const from = this.directory(parent)
    const to = this.directory(request.newParent)
    if (from.fd !== -1 || to.fd !== -1) fail('ENOENT')
    rename(this, from, request.name, to, request.newName, request.flags)
  }

  link(_caller: Caller, parent: NodeId, request: { node: NodeId; name: string }): Entry {
    checkName(request.name)
    const node = this.node(request.node)
    if (node.isDirectory) fail('EPERM')
    makeLink(this, node, this.directory(parent), request.name)
    return this.#known(node)
  }

  open(caller: Caller, id: NodeId, flags: number, killPriv: boolean): Opened {
    const node = this.node(id)
    // The kernel opens devices and pipes itself, and follows links.
    if (node.type !== S.IFREG) fail(node.isDirectory ? 'EISDIR' : 'ENXIO')
    this.checkStamp(node)
    const flushed = this.sharesBranches && flushPages(this, caller, twinsOf(this, node))
    openNode(this, node, flags, killPriv ? caller : null)
    // Who opens it to cut it holds the file, and a notice about it would wait for that.
    this.toldFirst = flushed && (flags & O.TRUNC) === 0
    return this.#opened(node, flags)
  }

  #opened(node: UnionNode, flags: number, isNew = false): Opened {
    const handle = node.id as number as HandleId
    const backing = passThrough(this, node, flags)
    if (backing !== 0) return { handle, flags: FOPEN.PASSTHROUGH, backing }
    const writes = (flags & O.ACCMODE) !== O.RDONLY
    const anew = this.rewritten.delete(node) || (!isNew && mustReachDisk(node, flags))
    const through = writes && this.mayWriteThrough && node.branch!.room.isShort
    if (through) node.open!.through = true
    const keeps = anew ? 0 : FOPEN.KEEP_CACHE
    return { handle, flags: keeps | (through ? FOPEN.DIRECT_IO : 0), backing: 0 }
  }

  create(caller: Caller, parent: NodeId, request: CreateRequest): Created {
    const { name, mode, umask } = request
    const file = mode & ~S.IFMT
    const flags = O.RDWR | O.CREAT | O.EXCL | O.NOFOLLOW
    const make = (at: number, as: string) => sys.openat(at, as, flags, file)
    const dir = this.directory(parent)
    const { node, value } = makeName(this, caller, dir, name, umask, file | S.IFREG, make)
    adoptOpen(this, node, value)
    const opened = this.#opened(node, request.flags, true)
    return { entry: this.#known(node), opened }
  }

  tmpfile(caller: Caller, parent: NodeId, request: CreateRequest): Created {
    const { flags, mode, umask } = request
    const dir = this.directory(parent)
    const { fd, layer } = makeUnnamed(this, caller, dir, flags, mode & ~S.IFMT, umask)
    const node = this.adoptUnnamed(fd, layer)
    adoptOpen(this, node, fd)
    const opened = this.#opened(node, request.flags, true)
    return { entry: this.#known(node), opened }
  }

  read(_caller: Caller, id: NodeId, { offset, flags }: ReadRequest, into: Buffer): number {
    return readNode(this, this.node(id), flags, offset, into)
  }

  write(caller: Caller, id: NodeId, request: WriteRequest): number {
    const { offset, data, killPriv, fromCache } = request
    return writeNode(this, this.node(id), offset, data, killPriv ? caller : null, fromCache)
  }

  release(_caller: Caller, id: NodeId, _handle: HandleId): void {
    const node = this.nodes.get(id)
    if (node === undefined) return
    if (this.behind.some) this.behind.catchUp(node)
    if (node.open?.passed?.writes) this.resized(node, null)
    if (releaseNode(this, node)) this.detach(node, true)
    else if (node.stamp === null) this.restamp(node)
    this.forgetIfUnused(node)
  }

  fsync(caller: Caller, id: NodeId, _handle: HandleId, dataOnly: boolean): void {
    if (this.#flushes.isDone(caller)) return
    const node = this.node(id)
    if (node.isDirectory) fail('EBADF')
    if (!node.branch!.writable || node.open === null) return
    if (node.open.passed?.writes) this.resized(node, null)
    if ((node.open.inMemory ??= node.branch!.needsNoFlush(node.open.fd))) return
    this.#flushes.begin(sys.dup(node.open.fd), dataOnly)
  }

  fsyncdir(caller: Caller, id: NodeId, _handle: HandleId, dataOnly: boolean): void {
    if (this.#flushes.isDone(caller)) return
    const node = this.directory(id)
    if (node.fd !== -1 || !node.top.writable) return
    const { dir } = locate(node)
    if (node.top.needsNoFlush(dir)) return
    this.#flushes.begin(sys.reopen(dir, O.RDONLY), dataOnly)
  }

  abandon(job: Job): void {
    this.#flushes.end(job)
    closePages(job)
    for (const node of this.copying) if (node.pending?.job === job) discardCopy(this, node)
  }

  statfs(_caller: Caller, _id: NodeId): Statfs {
    const branch = this.stack.topWritable?.rw ?? this.stack.branches[0]!
    return bytes.statfsOf(branch, this.#statfs)
  }

  setxattr(
    _caller: Caller,
    id: NodeId,
    request: { name: string; value: Buffer; flags: number; killSgid: boolean },
  ): void {
    const { name, value, flags, killSgid } = request
    writeXattr(this, this.node(id), name, value, flags, killSgid)
  }

  getxattr(_caller: Caller, id: NodeId, name: string): Buffer | null {
    return readXattr(this.node(id), name)
  }

  listxattr(_caller: Caller, id: NodeId): string[] {
    return listXattrs(this.node(id))
  }

  removexattr(_caller: Caller, id: NodeId, name: string): void {
    deleteXattr(this, this.node(id), name)
  }

  /** Never asked: with `default_permissions` the kernel decides by the attributes. */
  access(_caller: Caller, id: NodeId, _mask: number): void {
    this.node(id)
  }

  opendir(_caller: Caller, id: NodeId, _flags: number): Opened {
    const node = this.directory(id)
    const handle = this.#nextHandle++ as HandleId
    this.#handles.set(handle, { id: handle, node, entries: null })
    const flags = this.#trust(node) === FOREVER ? FOPEN.CACHE_DIR | FOPEN.KEEP_CACHE : 0
    return { handle, flags, backing: 0 }
  }

  readdir(_caller: Caller, _id: NodeId, handle: HandleId, offset: number, sink: DirSink): void {
    readdir(this, this.#handles.get(handle) ?? fail('EBADF'), offset, sink)
  }

  releasedir(_caller: Caller, _id: NodeId, handle: HandleId): void {
    this.#handles.delete(handle)
  }

  fallocate(
    _caller: Caller,
    id: NodeId,
    request: { handle: HandleId; offset: number; length: number; mode: number },
  ): void {
    bytes.allocate(this, this.node(id), request.mode, request.offset, request.length)
  }

  // The kernel asks without writing back what it has in its cache: data there would be a hole here.
  lseek(caller: Caller, id: NodeId, _handle: HandleId, offset: number, whence: number): number {
    const node = this.node(id)
    const open = node.open ?? fail('EBADF')
    flushPages(this, caller, [{ view: this, node }])
    const { blocks } = node
    const at =
      blocks === null
        ? sys.lseek(open.fd, offset, whence)
        : blocks.seek(open.fd, open.lower, offset, whence === SEEK_DATA)
    return must(at, 'lseek')
  }

  copyFileRange(_caller: Caller, id: NodeId, request: CopyRangeRequest): number {
    return bytes.copyRange(this, this.node(id), this.node(request.toNode), request)
  }

  syncfs(_caller: Caller, _id: NodeId): void {
    for (const layer of this.stack.layers) {
      if (layer.rw !== null) bytes.flushTree(layer.rw.root)
    }
  }

  destroy(): void {
    this.peers.delete(this)
    this.owed.giveUp()
    this.behind.giveUp()
    this.opened.clear()
    this.#handles.clear()
    this.closeAll()
    this.#closeStack()
    for (const branch of this.#base?.ros ?? []) branch.close()
    this.#base?.rw?.close()
  }

  pathOf(id: NodeId): string {
    const node = this.nodes.get(id)
    if (node === undefined) return `node ${id}`
    if (node.parent === null && node !== this.root) return `node ${id}, which has no name`
    return `/${shown(viewPath(node))}`
  }

  /** How many nodes and open directories the kernel holds. */
  get counts(): { nodes: number; handles: number } {
    return { nodes: this.nodes.size, handles: this.#handles.size }
  }

  /** A node by its number, as each request begins. Throws ESTALE for one that was forgotten. */
  node(id: NodeId): UnionNode {
    this.fresh = null
    this.forgetUntold()
    const node = this.nodes.get(id) ?? fail('ESTALE')
    if (this.behind.some) this.behind.catchUp(node)
    return node
  }

  directory(id: NodeId): UnionNode {
    const node = this.node(id)
    // Its path means another directory, or none.
    if (node.stale && node.fd === -1) fail('ESTALE')
    return node.isDirectory ? node : fail('ENOTDIR')
  }

  /** The node at a path of the view, or null; made without a lookup of the kernel's. */
  resolve(path: RelPath): UnionNode | null {
    let node: UnionNode | null = this.root
    for (const part of path === '' ? [] : path.split('/')) {
      if (node === null || !node.isDirectory) return null
      node = this.child(node, part)
    }
    return node
  }
}

function checkName(name: string): void {
  if (name.length > NAME_MAX) fail('ENAMETOOLONG')
}
