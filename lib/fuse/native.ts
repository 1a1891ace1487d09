// The second transport: fuse-native (libfuse 2), for systems where /dev/fuse cannot be used
// directly. It speaks paths; this adapter turns them into the nodes of the same FileSystem.
//
//   libfuse thread ─▶ Node's main loop ─▶ path ─ lookup each name ─▶ FileSystem ─▶ answer
//                                                 and forget each at the end
//
// What it cannot do: the caller's uid (files belong to who mounted), telling the kernel that
// something changed (the kernel trusts names for a second), passthrough, O_TMPFILE, fallocate, holes,
// names that are not UTF-8, times finer than a millisecond. utimens gets the access time twice, so
// it sets both times to it.
//
// Rule: only in the process's main thread, under Node's own loop; the package is optional, and
// loaded when the first mount asks for it.

import { execFile } from 'node:child_process'
import { ERRNO, Errno, errnoOf, fail } from '../base/errno.ts'
import { Failure } from '../base/failure.ts'
import type { Log } from '../base/log.ts'
import { bytesOf, NAME_MAX, shown } from '../base/path.ts'
import {
  ABSENT,
  type Attr,
  type Caller,
  type DirSink,
  type Entry,
  FATTR,
  type FileSystem,
  type HandleId,
  type Job,
  type NodeId,
  Parked,
  ROOT_NODE,
  type SetattrRequest,
} from './filesystem.ts'
import { type FuseNative, loadFuseNative, type NativeFuse, type NativeOps } from './native-load.ts'

export interface NativeOptions {
  readonly fs: FileSystem
  /** Absolute, internal bytes as latin1; must be UTF-8. */
  readonly mountPoint: string
  readonly source: string
  readonly readOnly: boolean
  readonly allowOther: boolean
  readonly log: Log
  /** As for Session: `done` is called in this thread. */
  readonly submit: (job: Job, done: (job: Job) => void) => void
}

interface OpenFile {
  readonly node: NodeId
  readonly handle: HandleId
}

/** Where a path leads: its last name in its parent's node. */
interface Place {
  readonly parent: NodeId
  readonly name: string
}

type Reply = (error: number, ...values: unknown[]) => void

const CREATE_FLAGS = 0o302 // O_RDWR | O_CREAT | O_EXCL

export class NativeMount {
  requests = 0
  readonly #fs: FileSystem
  readonly #options: NativeOptions
  readonly #fuse: NativeFuse
  /** Files that are open, by the number libfuse keeps for us: 31 bits, never 0. */
  readonly #open = new Map<number, OpenFile>()
  #nextFile = 1
  /** Nodes looked up by the request under way, forgotten at its end. */
  #seen: NodeId[] = []

  constructor(Fuse: FuseNative, options: NativeOptions) {
    this.#fs = options.fs
    this.#options = options
    const place = Buffer.from(options.mountPoint, 'latin1').toString('utf8')
    this.#fuse = new Fuse(place, this.#operations(), {
      timeout: false,
      defaultPermissions: true,
      allowOther: options.allowOther,
      fsname: fsname(options),
    })
    this.#fuse._op_getxattr = (signal, path, name, into) => this.#getxattr(signal, path, name, into)
    this.#fuse._op_listxattr = (signal, path, into) => this.#listxattr(signal, path, into)
  }

  /** Mounts; resolves when the kernel's INIT was answered. */
  mount(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#fuse.mount((err) => {
        if (!err) resolve()
        else reject(this.#mountFailure(err))
      })
    })
  }

  /** Unmounts and destroys the filesystem; SVS_MOUNT_BUSY where it is in use, unless `lazy`. */
  async unmount(lazy: boolean): Promise<void> {
    await runUmount(this.#fuse.mnt, lazy)
    this.gone()
  }

  /** Somebody else unmounted it: what is open is closed. */
  gone(): void {
    this.#fuse.mountIsGone()
    for (const file of this.#open.values()) this.#fs.forget(file.node, 1)
    this.#open.clear()
    this.#fs.destroy()
  }

  #mountFailure(cause: Error): Failure {
    const reason = /in use/i.test(cause.message) ? 'something is mounted there' : 'libfuse refused'
    return new Failure('SVS_MOUNT_POINT_INVALID', shown(this.#options.mountPoint), reason, {
      cause,
    })
  }

  // --- Running a request

  /** Runs `work`, again after each job it waits for, and replies with what it answers. */
  #run(name: string, path: string, reply: Reply, work: (caller: Caller) => unknown[]): void {
    this.requests++
    const attempt = (finished: Job | null): void => {
      try {
        reply(0, ...this.#forgetting(() => work(callerWith(finished))))
      } catch (err) {
        if (err instanceof Parked) this.#wait(err.job, attempt)
        else {
          if (finished !== null) this.#fs.abandon?.(finished)
          reply(-this.#errorOf(err, name, path))
        }
      }
    }
    attempt(null)
  }

  #wait(job: Job, attempt: (job: Job) => void): void {
    if (job.done) setImmediate(attempt, job)
    else this.#options.submit(job, attempt)
  }

  #errorOf(err: unknown, name: string, path: string): number {
    const number = errnoOf(err)
    if (number !== null) return number
    this.#options.log.error(`${name} of ${path} failed unexpectedly`, err)
    return ERRNO.EIO
  }

  // --- Paths

  #forgetting<T>(work: () => T): T {
    this.#seen = []
    try {
      return work()
    } finally {
      for (const node of this.#seen) this.#fs.forget(node, 1)
    }
  }

  #step(caller: Caller, parent: NodeId, name: string): Entry {
    if (name.length > NAME_MAX) fail('ENAMETOOLONG', name)
    const entry = this.#fs.lookup(caller, parent, name)
    if (entry.node === ABSENT) fail('ENOENT', name)
    this.#seen.push(entry.node)
    return entry
  }

  #node(caller: Caller, path: string): NodeId {
    let node = ROOT_NODE
    for (const name of namesOf(path)) node = this.#step(caller, node, name).node
    return node
  }

  #place(caller: Caller, path: string): Place {
    const names = namesOf(path)
    const name = names.pop() ?? fail('EBUSY', path)
    if (name.length > NAME_MAX) fail('ENAMETOOLONG', name)
    let parent = ROOT_NODE
    for (const each of names) parent = this.#step(caller, parent, each).node
    return { parent, name }
  }

  /** Keeps what an answer made known until the request ends. */
  #made(entry: Entry): void {
    this.#seen.push(entry.node)
  }

  #file(number: number): OpenFile {
    return this.#open.get(number) ?? fail('EBADF')
  }

  // An open file keeps its node known: one lookup more, forgotten by release.
  #keep(node: NodeId, handle: HandleId): number {
    const last = this.#seen.lastIndexOf(node)
    if (last !== -1) this.#seen.splice(last, 1)
    while (this.#open.has(this.#nextFile)) this.#next()
    const number = this.#nextFile
    this.#next()
    this.#open.set(number, { node, handle })
    return number
  }

  #next(): void {
    this.#nextFile = this.#nextFile >= 0x7fff_fffe ? 1 : this.#nextFile + 1
  }

  // --- Operations, as fuse-native calls them

  #operations(): NativeOps {
    const fs = this.#fs
    const run = this.#run.bind(this)
    return {
      getattr: (path, reply) => run('getattr', path, reply, (who) => [this.#stat(who, path)]),
      readdir: (path, reply) => run('readdir', path, reply, (who) => [this.#list(who, path)]),
      statfs: (path, reply) => run('statfs', path, reply, (who) => [this.#statfs(who, path)]),
      readlink: (path, reply) =>
        run('readlink', path, reply, (who) => [toText(fs.readlink(who, this.#node(who, path)))]),
      truncate: (path, size, reply) => this.#change('truncate', path, reply, { size }, FATTR.SIZE),
      ftruncate: (path, file, size, reply) =>
        run('ftruncate', path, reply, (who) => {
          const { node, handle } = this.#file(file)
          fs.setattr(who, node, changes(FATTR.SIZE | FATTR.FH, { size, handle }))
          return []
        }),
      chmod: (path, mode, reply) => this.#change('chmod', path, reply, { mode }, FATTR.MODE),
      chown: (path, uid, gid, reply) => {
        const valid = (uid === NOBODY ? 0 : FATTR.UID) | (gid === NOBODY ? 0 : FATTR.GID)
        this.#change('chown', path, reply, { uid, gid }, valid)
      },
      utimens: (path, atime, mtime, reply) =>
        this.#change('utimens', path, reply, times(atime, mtime), FATTR.ATIME | FATTR.MTIME),
      mknod: (path, mode, rdev, reply) =>
        this.#make('mknod', path, reply, (who, { parent, name }) =>
          fs.mknod(who, parent, { name, mode, umask: 0, rdev }),
        ),
      mkdir: (path, mode, reply) =>
        this.#make('mkdir', path, reply, (who, { parent, name }) =>
          fs.mkdir(who, parent, { name, mode, umask: 0 }),
        ),
      symlink: (target, path, reply) =>
        this.#make('symlink', path, reply, (who, { parent, name }) =>
          fs.symlink(who, parent, name, bytesOf(target)),
        ),
      link: (from, path, reply) =>
        this.#make('link', path, reply, (who, { parent, name }) =>
          fs.link(who, parent, { node: this.#node(who, from), name }),
        ),
      unlink: (path, reply) =>
        this.#at('unlink', path, reply, (who, { parent, name }) => fs.unlink(who, parent, name)),
      rmdir: (path, reply) =>
        this.#at('rmdir', path, reply, (who, { parent, name }) => fs.rmdir(who, parent, name)),
      rename: (from, to, reply) =>
        this.#at('rename', from, reply, (who, { parent, name }) => {
          const { parent: newParent, name: newName } = this.#place(who, to)
          fs.rename(who, parent, { name, newParent, newName, flags: 0 })
        }),
      open: (path, flags, reply) =>
        run('open', path, reply, (who) => {
          const node = this.#node(who, path)
          return [this.#keep(node, fs.open(who, node, flags, false).handle)]
        }),
      create: (path, mode, reply) =>
        run('create', path, reply, (who) => {
          const { parent, name } = this.#place(who, path)
          const made = fs.create(who, parent, { name, mode, umask: 0, flags: CREATE_FLAGS })
          return [this.#keep(made.entry.node, made.opened.handle)]
        }),
      // fuse-native takes the count where others take the error.
      read: (path, file, into, length, offset, reply) =>
        run('read', path, counted(reply), (who) => {
          const { node, handle } = this.#file(file)
          return [fs.read(who, node, { handle, offset, flags: 0 }, into.subarray(0, length))]
        }),
      write: (path, file, data, length, offset, reply) =>
        run('write', path, counted(reply), (who) => {
          const { node, handle } = this.#file(file)
          const bytes = data.subarray(0, length)
          const request = { handle, offset, data: bytes, killPriv: false, fromCache: false }
          return [fs.write(who, node, request)]
        }),
      release: (path, file, reply) =>
        run('release', path, reply, (who) => this.#release(who, file)),
      fsync: (path, dataOnly, file, reply) =>
        run('fsync', path, reply, (who) => {
          const { node, handle } = this.#file(file)
          fs.fsync(who, node, handle, dataOnly !== 0)
          return []
        }),
      setxattr: (path, name, value, _position, flags, reply) =>
        run('setxattr', path, reply, (who) => {
          const request = { name: bytesOf(name), value, flags, killSgid: false }
          fs.setxattr(who, this.#node(who, path), request)
          return []
        }),
      getxattr: () => {},
      listxattr: () => {},
      removexattr: (path, name, reply) =>
        run('removexattr', path, reply, (who) => {
          fs.removexattr(who, this.#node(who, path), bytesOf(name))
          return []
        }),
    }
  }

  #stat(caller: Caller, path: string): NativeStat {
    const names = namesOf(path)
    const name = names.pop()
    if (name === undefined) return statOf(this.#fs.getattr(caller, ROOT_NODE, null).attr)
    let parent = ROOT_NODE
    for (const each of names) parent = this.#step(caller, parent, each).node
    return statOf(this.#step(caller, parent, name).attr)
  }

  #list(caller: Caller, path: string): string[] {
    const node = this.#node(caller, path)
    const { handle } = this.#fs.opendir(caller, node, 0)
    try {
      const names: string[] = []
      const sink: DirSink = {
        wantsPlus: false,
        hasRoom: () => true,
        plain: (name) => names.push(toText(name)) > 0,
        plus: (name) => names.push(toText(name)) > 0,
      }
      this.#fs.readdir(caller, node, handle, 0, sink)
      return names
    } finally {
      this.#fs.releasedir(caller, node, handle)
    }
  }

  #statfs(caller: Caller, path: string): Record<string, number> {
    const answer = this.#fs.statfs(caller, this.#node(caller, path))
    return { ...answer, favail: answer.ffree, namemax: answer.namelen }
  }

  #release(caller: Caller, number: number): unknown[] {
    const { node, handle } = this.#file(number)
    this.#open.delete(number)
    this.#seen.push(node)
    this.#fs.release(caller, node, handle)
    return []
  }

  #change(
    name: string,
    path: string,
    reply: Reply,
    what: Partial<SetattrRequest>,
    valid: number,
  ): void {
    this.#run(name, path, reply, (caller) => {
      this.#fs.setattr(caller, this.#node(caller, path), changes(valid, what))
      return []
    })
  }

  #at(name: string, path: string, reply: Reply, work: (who: Caller, place: Place) => void): void {
    this.#run(name, path, reply, (caller) => {
      work(caller, this.#place(caller, path))
      return []
    })
  }

  #make(
    name: string,
    path: string,
    reply: Reply,
    work: (who: Caller, place: Place) => Entry,
  ): void {
    this.#at(name, path, reply, (caller, place) => this.#made(work(caller, place)))
  }

  // fuse-native's own forms of these two would copy a value that is longer than the caller's buffer.
  #getxattr(signal: Reply, path: string, name: string, into: Buffer): void {
    this.#run('getxattr', path, sized(signal, into), (caller) => {
      const value = this.#fs.getxattr(caller, this.#node(caller, path), bytesOf(name))
      return [value ?? fail('ENODATA')]
    })
  }

  #listxattr(signal: Reply, path: string, into: Buffer): void {
    this.#run('listxattr', path, sized(signal, into), (caller) => {
      const names = this.#fs.listxattr(caller, this.#node(caller, path))
      return [Buffer.from(names.map((name) => `${name}\0`).join(''), 'latin1')]
    })
  }
}

/** Loads the package, mounts, and resolves when the mount answers. */
export async function mountNative(options: NativeOptions): Promise<NativeMount> {
  const mount = new NativeMount(await loadFuseNative(), options)
  await mount.mount()
  return mount
}

type NativeStat = Omit<Attr, 'atime' | 'mtime' | 'ctime'> &
  Record<'atime' | 'mtime' | 'ctime', number>

/** An owner that chown leaves as it is: -1. */
const NOBODY = 0xffff_ffff

const callerWith = (finished: Job | null): Caller => ({
  uid: process.geteuid?.() ?? 0,
  gid: process.getegid?.() ?? 0,
  pid: 0,
  finished,
})

const namesOf = (path: string): string[] =>
  bytesOf(path)
    .split('/')
    .filter((name) => name !== '')

const toText = (name: string): string => Buffer.from(name, 'latin1').toString('utf8')

// Milliseconds, as fuse-native wants them.
function statOf(attr: Attr): NativeStat {
  const millis = (seconds: number, nsec: number) => seconds * 1000 + Math.floor(nsec / 1e6)
  return {
    ...attr,
    atime: millis(attr.atime, attr.atimeNsec),
    mtime: millis(attr.mtime, attr.mtimeNsec),
    ctime: millis(attr.ctime, attr.ctimeNsec),
  }
}

function times(atime: number, mtime: number): Partial<SetattrRequest> {
  return {
    atime: Math.floor(atime / 1000),
    atimeNsec: Math.round((atime % 1000) * 1e6),
    mtime: Math.floor(mtime / 1000),
    mtimeNsec: Math.round((mtime % 1000) * 1e6),
  }
}

function changes(valid: number, what: Partial<SetattrRequest>): SetattrRequest {
  return {
    valid,
    handle: null,
    size: 0,
    atime: 0,
    atimeNsec: 0,
    mtime: 0,
    mtimeNsec: 0,
    ctime: 0,
    ctimeNsec: 0,
    mode: 0,
    uid: 0,
    gid: 0,
    ...what,
  }
}

const counted =
  (reply: Reply): Reply =>
  (error, count) =>
    reply(error !== 0 ? error : (count as number))

/** A value into the caller's buffer: its length, or ERANGE; an empty buffer asks for the length. */
const sized =
  (signal: Reply, into: Buffer): Reply =>
  (error, value) => {
    const bytes = value as Buffer
    if (error !== 0) signal(error, into.buffer)
    else if (into.length === 0) signal(bytes.length, into.buffer)
    else if (bytes.length > into.length) signal(-ERRNO.ERANGE, into.buffer)
    else {
      bytes.copy(into)
      signal(bytes.length, into.buffer)
    }
  }

// The option string is put together unescaped, so options that fuse-native has no word for can
// stand behind the name; libfuse takes a backslash as "the next one is no separator".
function fsname({ source, readOnly }: NativeOptions): string {
  const more = ['big_writes', 'max_write=131072', 'subtype=svsfs', readOnly ? 'ro' : 'rw']
  // A mount may cover its own base.
  more.push('nonempty')
  if (process.geteuid?.() === 0) more.push('suid', 'dev')
  return [toText(source).replace(/[\\,]/g, '\\$&'), ...more].join(',')
}

// In a program of its own: umount(2) may wait for writes that this very thread must serve.
function runUmount(place: string, lazy: boolean): Promise<void> {
  const root = process.geteuid?.() === 0
  const [program, args] = root
    ? ['umount', lazy ? ['-l', place] : [place]]
    : ['fusermount3', ['-u', ...(lazy ? ['-z'] : []), '--', place]]
  return new Promise((resolve, reject) => {
    execFile(
      program as string,
      args as string[],
      { env: { ...process.env, LC_ALL: 'C' } },
      (err, _, said) => {
        if (err === null || /not mounted|not found in/.test(said)) resolve()
        else if (/busy/i.test(said)) reject(new Failure('SVS_MOUNT_BUSY', place))
        else reject(new Errno(ERRNO.EIO, `umount ${place}: ${said.trim()}`))
      },
    )
  })
}
