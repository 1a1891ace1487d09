// Open files and directories of a place without a mount: the offset and the access mode are
// kept here, as the kernel keeps them.

import { fail } from '../../lib/base/errno.ts'
import {
  type Caller,
  type DirSink,
  FATTR,
  type HandleId,
  type NodeId,
} from '../../lib/fuse/filesystem.ts'
import { O } from '../../lib/host/sys.ts'
import { factsOf, type InProcessPlace, owners, times } from './in-process-place.ts'
import {
  bufferOf,
  type Facts,
  kindOfEntry,
  type Listed,
  NotHere,
  type OpenDirectory,
  type OpenFile,
  type Time,
} from './place.ts'

const SEEK_CUR = 1
const SEEK_END = 2
const SEEK_DATA = 3

export class InProcessFile implements OpenFile {
  readonly node: NodeId
  /** null for a directory opened with open(2). */
  readonly handle: HandleId | null
  readonly #place: InProcessPlace
  readonly #flags: number
  readonly #way: readonly NodeId[]
  #offset = 0
  #closed = false

  constructor(
    place: InProcessPlace,
    node: NodeId,
    handle: HandleId | null,
    flags: number,
    way: readonly NodeId[],
  ) {
    this.#place = place
    this.node = node
    this.handle = handle
    this.#flags = flags
    this.#way = [...way, node]
    place.kernel.hold(this.#way, 1)
  }

  read(count: number): Buffer {
    const bytes = this.pread(count, this.#offset)
    this.#offset += bytes.length
    return bytes
  }

  write(data: string | Buffer): number {
    if (this.#flags & O.APPEND) this.#offset = this.stat().size
    const count = this.pwrite(data, this.#offset)
    this.#offset += count
    return count
  }

  pread(count: number, offset: number): Buffer {
    if ((this.#flags & O.ACCMODE) === O.WRONLY) fail('EBADF')
    const into = Buffer.alloc(count)
    const { fs } = this.#place.kernel
    const request = { handle: this.#handle, offset, flags: this.#flags }
    const got = this.#ask((caller) => fs.read(caller, this.node, request, into))
    return into.subarray(0, got)
  }

  pwrite(data: string | Buffer, offset: number): number {
    this.#mustWrite()
    const { fs, uid } = this.#place.kernel
    const request = {
      handle: this.#handle,
      // Wherever it was asked for, as Linux has it.
      offset: this.#flags & O.APPEND ? this.stat().size : offset,
      data: bufferOf(data),
      killPriv: uid !== 0,
      fromCache: false,
    }
    return this.#ask((caller) => fs.write(caller, this.node, request))
  }

  seek(offset: number, whence: number): number {
    if (whence < SEEK_DATA) {
      const from = whence === SEEK_CUR ? this.#offset : whence === SEEK_END ? this.stat().size : 0
      this.#offset = from + offset
      return this.#offset
    }
    const { fs } = this.#place.kernel
    return this.#ask((caller) => fs.lseek(caller, this.node, this.#handle, offset, whence))
  }

  stat(): Facts {
    const { fs } = this.#place.kernel
    return factsOf(this.#ask((caller) => fs.getattr(caller, this.node, this.handle)).attr)
  }

  truncate(size: number): void {
    if ((this.#flags & O.ACCMODE) === O.RDONLY) fail('EINVAL')
    const kill = this.#place.kernel.uid === 0 ? 0 : FATTR.KILL_SUIDGID
    const valid = FATTR.SIZE | FATTR.FH | kill
    this.#place.setattr(this.node, { valid, size, handle: this.handle })
  }

  sync(dataOnly = false): void {
    const { fs } = this.#place.kernel
    this.#ask((caller) => fs.fsync(caller, this.node, this.#handle, dataOnly))
  }

  allocate(mode: number, offset: number, length: number): void {
    this.#mustWrite()
    const { fs } = this.#place.kernel
    const request = { handle: this.#handle, mode, offset, length }
    this.#ask((caller) => fs.fallocate(caller, this.node, request))
  }

  chmod(mode: number): void {
    this.#place.setattr(this.node, { valid: FATTR.MODE, mode })
  }

  chown(uid: number, gid: number): void {
    this.#place.setattr(this.node, owners(uid, gid))
  }

  utimens(atime: Time, mtime: Time): void {
    this.#place.setattr(this.node, times(atime, mtime))
  }

  getxattr(name: string): Buffer | null {
    return this.#ask((caller) => this.#place.kernel.fs.getxattr(caller, this.node, name))
  }

  setxattr(name: string, value: string): void {
    this.#place.setNodeXattr(this.node, name, bufferOf(value), 0)
  }

  linkTo(path: string): void {
    this.#place.linkNode(this.node, path)
  }

  copyTo(to: OpenFile, offset: number, toOffset: number, length: number): number {
    const target = to as InProcessFile
    const { fs } = this.#place.kernel
    const request = {
      handle: this.#handle,
      offset,
      toNode: target.node,
      toHandle: target.#handle,
      toOffset,
      length,
    }
    return this.#ask((caller) => fs.copyFileRange(caller, this.node, request))
  }

  map(): Buffer {
    throw new NotHere('needs a kernel between caller and files')
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    const { kernel } = this.#place
    if (this.handle !== null)
      kernel.ask((caller) => kernel.fs.release(caller, this.node, this.#handle))
    kernel.hold(this.#way, -1)
    kernel.settle()
    this.#place.forgetOpen(this)
  }

  get #handle(): HandleId {
    return this.handle ?? fail('EISDIR')
  }

  #mustWrite(): void {
    if ((this.#flags & O.ACCMODE) === O.RDONLY) fail('EBADF')
  }

  #ask<T>(request: (caller: Caller) => T): T {
    return this.#place.kernel.ask(request)
  }
}

/** Entries that one READDIR has room for: few, so that long lists take several. */
const ROOM = 24

export class InProcessDirectory implements OpenDirectory {
  readonly #place: InProcessPlace
  readonly #node: NodeId
  readonly #handle: HandleId
  readonly #way: readonly NodeId[]
  #offset = 0
  #asked = 0
  #closed = false

  constructor(place: InProcessPlace, node: NodeId, handle: HandleId, way: readonly NodeId[]) {
    this.#place = place
    this.#node = node
    this.#handle = handle
    this.#way = way
    place.kernel.hold(way, 1)
  }

  some(): Listed[] {
    const { kernel } = this.#place
    for (;;) {
      const before = this.#offset
      const entries: Listed[] = []
      // Every other READDIR is a READDIRPLUS, as the kernel mixes them.
      const sink = this.#sink(entries, this.#asked++ % 2 === 0)
      kernel.ask((caller) =>
        kernel.fs.readdir(caller, this.#node, this.#handle, this.#offset, sink),
      )
      kernel.settle()
      const names = entries.filter(({ name }) => name !== '.' && name !== '..')
      if (names.length > 0 || this.#offset === before) return names
    }
  }

  #sink(entries: Listed[], wantsPlus: boolean): DirSink {
    const { kernel } = this.#place
    const told = (next: number, listed: Listed): boolean => {
      if (entries.length >= ROOM) return false
      this.#offset = next
      entries.push(listed)
      return true
    }
    return {
      wantsPlus,
      hasRoom: () => entries.length < ROOM,
      plain: (name, ino, type, next) => told(next, { name, ino, kind: kindOfEntry(type) }),
      plus: (name, entry, next) => {
        const { ino, mode } = entry.attr
        const taken = told(next, { name, ino, kind: kindOfEntry(mode >> 12) })
        if (taken) kernel.take(entry)
        return taken
      },
    }
  }

  rewind(): void {
    this.#offset = 0
  }

  sync(): void {
    const { kernel } = this.#place
    kernel.ask((caller) => kernel.fs.fsyncdir(caller, this.#node, this.#handle, false))
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    const { kernel } = this.#place
    kernel.ask((caller) => kernel.fs.releasedir(caller, this.#node, this.#handle))
    kernel.hold(this.#way, -1)
    kernel.settle()
    this.#place.forgetOpen(this)
  }
}
