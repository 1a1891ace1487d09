// A place in a FileSystem that runs in this process: the union without a mount.
//
// Rule: what the kernel checks before it asks a filesystem is checked here too (names that
// exist, kinds, renames into oneself), so that the filesystem meets the requests it would meet.

import { fail } from '../../lib/base/errno.ts'
import {
  type Attr,
  type Caller,
  type Entry,
  FATTR,
  type HandleId,
  type NodeId,
  type SetattrRequest,
} from '../../lib/fuse/filesystem.ts'
import { O, RENAME_EXCHANGE, RENAME_NOREPLACE, S } from '../../lib/host/sys.ts'
import { InProcessDirectory, InProcessFile } from './in-process-file.ts'
import {
  isDirectory,
  isFile,
  isLink,
  type Known,
  type LittleKernel,
  type Walked,
} from './little-kernel.ts'
import {
  bufferOf,
  byName,
  type Facts,
  kindOf,
  type Listed,
  type Need,
  NotHere,
  type OpenDirectory,
  type OpenFile,
  type Place,
  type Time,
} from './place.ts'

const EMPTY: SetattrRequest = {
  valid: 0,
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
}

export class InProcessPlace implements Place {
  readonly kernel: LittleKernel
  readonly #start: string
  readonly #open = new Set<{ close(): void }>()

  /** `start` is a path in the filesystem. */
  constructor(kernel: LittleKernel, start: string) {
    this.kernel = kernel
    this.#start = start
  }

  close(): void {
    for (const each of [...this.#open]) each.close()
    this.kernel.settle()
  }

  inside(path: string): InProcessPlace {
    return new InProcessPlace(this.kernel, path === '' ? this.#start : `${this.#start}/${path}`)
  }

  needs(...needs: Need[]): void {
    if (needs.includes('kernel')) throw new NotHere('needs a kernel between caller and files')
    if (needs.includes('root') && process.geteuid?.() !== 0) throw new NotHere('needs root')
  }

  path(): string {
    throw new NotHere('needs a kernel between caller and files')
  }

  open(path: string, flags: number = O.RDONLY, mode = 0o666): OpenFile {
    const exclusive = (flags & O.CREAT) !== 0 && (flags & O.EXCL) !== 0
    const walked = this.#walk(path, (flags & O.NOFOLLOW) === 0 && !exclusive)
    const { found, parent, name } = walked
    if (found === null) {
      if ((flags & O.CREAT) === 0) fail('ENOENT')
      const { umask, fs } = this.kernel
      const request = { name, flags, mode: mode | S.IFREG, umask }
      const created = this.#ask((caller) => fs.create(caller, parent.node, request))
      const known = this.kernel.take(created.entry)!
      return this.#opened(walked, known, created.opened.handle, flags)
    }
    if (exclusive) fail('EEXIST')
    if (isLink(found)) fail('ELOOP')
    if ((flags & O.DIRECTORY) !== 0 && !isDirectory(found)) fail('ENOTDIR')
    if (isDirectory(found)) {
      if ((flags & (O.ACCMODE | O.CREAT | O.TRUNC)) !== 0) fail('EISDIR')
      const { handle } = this.#ask((caller) => this.kernel.fs.opendir(caller, found.node, flags))
      this.#ask((caller) => this.kernel.fs.releasedir(caller, found.node, handle))
      return this.#opened(walked, found, null, flags)
    }
    if (!isFile(found)) throw new NotHere('needs a kernel to open special files')
    const kill = (flags & O.TRUNC) !== 0 && this.kernel.uid !== 0
    const asked = flags & ~(O.CREAT | O.EXCL | O.NOFOLLOW)
    const { handle } = this.#ask((caller) => this.kernel.fs.open(caller, found.node, asked, kill))
    return this.#opened(walked, found, handle, flags)
  }

  tmpfile(directory: string, flags: number = O.RDWR, mode = 0o666): OpenFile {
    const { found, way } = this.#walkTo(directory, true)
    const { umask, fs } = this.kernel
    const request = { name: '', flags: flags | O.TMPFILE, mode: mode | S.IFREG, umask }
    const { entry, opened } = this.#ask((caller) => fs.tmpfile(caller, found.node, request))
    const known = this.kernel.take(entry)!
    return this.#keep(new InProcessFile(this, known.node, opened.handle, flags, idsOf(way, found)))
  }

  #opened(walked: Walked, known: Known, handle: HandleId | null, flags: number): OpenFile {
    const way = idsOf(walked.way, known)
    return this.#keep(new InProcessFile(this, known.node, handle, flags, way))
  }

  opendir(path: string): OpenDirectory {
    const { found, way } = this.#walkTo(path, true)
    if (!isDirectory(found)) fail('ENOTDIR')
    const { handle } = this.#ask((caller) => this.kernel.fs.opendir(caller, found.node, O.RDONLY))
    return this.#keep(new InProcessDirectory(this, found.node, handle, idsOf(way, found)))
  }

  list(path: string): Listed[] {
    const directory = this.opendir(path)
    const all: Listed[] = []
    for (let some = directory.some(); some.length > 0; some = directory.some()) all.push(...some)
    directory.close()
    return all.sort(byName)
  }

  stat(path: string): Facts {
    return this.#finish(factsOf(this.kernel.attributes(this.#walkTo(path, true).found.node)))
  }

  lstat(path: string): Facts {
    return this.#finish(factsOf(this.kernel.attributes(this.#walkTo(path, false).found.node)))
  }

  access(path: string): void {
    this.#walkTo(path, true)
    this.kernel.settle()
  }

  mkdir(path: string, mode = 0o777): void {
    const { umask, fs } = this.kernel
    this.#make(path, (caller, parent, name) => fs.mkdir(caller, parent, { name, mode, umask }))
  }

  mknod(path: string, mode: number, rdev = 0): void {
    const { umask, fs } = this.kernel
    this.#make(path, (caller, parent, name) =>
      fs.mknod(caller, parent, { name, mode, umask, rdev }),
    )
  }

  symlink(target: string, path: string): void {
    if (target === '') fail('ENOENT')
    this.#make(path, (caller, parent, name) => this.kernel.fs.symlink(caller, parent, name, target))
  }

  readlink(path: string): string {
    const { found } = this.#walkTo(path, false)
    if (!isLink(found)) fail('EINVAL')
    return this.#finish(this.#ask((caller) => this.kernel.fs.readlink(caller, found.node)))
  }

  link(from: string, to: string): void {
    const { found } = this.#walkTo(from, false)
    this.linkNode(found.node, to, isDirectory(found))
  }

  /** Gives a node, which may have no name, one more. */
  linkNode(node: NodeId, to: string, directory = false): void {
    this.#make(to, (caller, parent, name) => {
      if (directory) fail('EPERM')
      return this.kernel.fs.link(caller, parent, { node, name })
    })
  }

  #make(path: string, request: (caller: Caller, parent: NodeId, name: string) => Entry): void {
    const { parent, name, found } = this.#walk(path, false)
    if (found !== null) fail('EEXIST')
    this.kernel.take(this.#ask((caller) => request(caller, parent.node, name)))
    this.kernel.settle()
  }

  unlink(path: string): void {
    const { parent, name, found } = this.#walkTo(path, false)
    if (isDirectory(found)) fail('EISDIR')
    this.#ask((caller) => this.kernel.fs.unlink(caller, parent.node, name))
    this.kernel.settle()
  }

  rmdir(path: string): void {
    const { parent, name, found } = this.#walkTo(path, false)
    if (!isDirectory(found)) fail('ENOTDIR')
    this.#ask((caller) => this.kernel.fs.rmdir(caller, parent.node, name))
    this.kernel.settle()
  }

  rename(from: string, to: string, flags = 0): void {
    // Both directories are found before either last name is looked up.
    const walked = this.#walk(from, false)
    const target = this.#walk(to, false)
    const source = { ...walked, found: walked.found ?? fail('ENOENT') }
    if (checkRename(source, target, flags)) {
      const request = { name: source.name, newParent: target.parent.node, newName: target.name }
      this.#ask((caller) =>
        this.kernel.fs.rename(caller, source.parent.node, { ...request, flags }),
      )
    }
    this.kernel.settle()
  }

  truncate(path: string, size: number): void {
    const { found } = this.#walkTo(path, true)
    if (isDirectory(found)) fail('EISDIR')
    const kill = this.kernel.uid === 0 ? 0 : FATTR.KILL_SUIDGID
    this.setattr(found.node, { valid: FATTR.SIZE | kill, size })
    this.kernel.settle()
  }

  chmod(path: string, mode: number): void {
    const { found } = this.#walkTo(path, true)
    this.setattr(found.node, { valid: FATTR.MODE, mode: mode | (found.attr.mode & S.IFMT) })
    this.kernel.settle()
  }

  chown(path: string, uid: number, gid: number): void {
    this.#chown(this.#walkTo(path, true).found.node, uid, gid)
  }

  lchown(path: string, uid: number, gid: number): void {
    this.#chown(this.#walkTo(path, false).found.node, uid, gid)
  }

  #chown(node: NodeId, uid: number, gid: number): void {
    this.setattr(node, owners(uid, gid))
    this.kernel.settle()
  }

  utimens(path: string, atime: Time, mtime: Time): void {
    this.setattr(this.#walkTo(path, true).found.node, times(atime, mtime))
    this.kernel.settle()
  }

  lutimens(path: string, atime: Time, mtime: Time): void {
    this.setattr(this.#walkTo(path, false).found.node, times(atime, mtime))
    this.kernel.settle()
  }

  setattr(node: NodeId, some: Partial<SetattrRequest>): void {
    this.#ask((caller) => this.kernel.fs.setattr(caller, node, { ...EMPTY, ...some }))
  }

  getxattr(path: string, name: string): Buffer | null {
    const { found } = this.#walkTo(path, false)
    return this.#finish(this.#ask((caller) => this.kernel.fs.getxattr(caller, found.node, name)))
  }

  setxattr(path: string, name: string, value: string | Buffer, flags = 0): void {
    const { found } = this.#walkTo(path, false)
    // fs/xattr.c: xattr_permission
    if (name.startsWith('user.') && !isFile(found) && !isDirectory(found)) fail('EPERM')
    this.setNodeXattr(found.node, name, bufferOf(value), flags)
    this.kernel.settle()
  }

  setNodeXattr(node: NodeId, name: string, value: Buffer, flags: number): void {
    const request = { name, value, flags, killSgid: false }
    this.#ask((caller) => this.kernel.fs.setxattr(caller, node, request))
  }

  listxattr(path: string): string[] {
    const { found } = this.#walkTo(path, false)
    const names = this.#ask((caller) => this.kernel.fs.listxattr(caller, found.node))
    return this.#finish([...names].sort())
  }

  removexattr(path: string, name: string): void {
    const { found } = this.#walkTo(path, false)
    this.#ask((caller) => this.kernel.fs.removexattr(caller, found.node, name))
    this.kernel.settle()
  }

  statfs(path: string): { namelen: number; blocks: number; bsize: number } {
    const { found } = this.#walkTo(path, true)
    const { namelen, blocks, bsize } = this.#ask((c) => this.kernel.fs.statfs(c, found.node))
    return this.#finish({ namelen, blocks, bsize })
  }

  umask<T>(mask: number, work: () => T): T {
    const before = this.kernel.umask
    this.kernel.umask = mask
    try {
      return work()
    } finally {
      this.kernel.umask = before
    }
  }

  as<T>(uid: number, gid: number, work: () => T): T {
    this.needs('root')
    Object.assign(this.kernel, { uid, gid })
    try {
      return work()
    } finally {
      Object.assign(this.kernel, { uid: 0, gid: 0 })
    }
  }

  forgetOpen(each: { close(): void }): void {
    this.#open.delete(each)
  }

  #keep<T extends { close(): void }>(each: T): T {
    this.#open.add(each)
    this.kernel.settle()
    return each
  }

  #finish<T>(value: T): T {
    this.kernel.settle()
    return value
  }

  #ask<T>(request: (caller: Caller) => T): T {
    try {
      return this.kernel.ask(request)
    } catch (err) {
      this.kernel.settle()
      throw err
    }
  }

  #walk(path: string, follow: boolean): Walked {
    try {
      return this.kernel.walk(this.#start, path, follow)
    } catch (err) {
      this.kernel.settle()
      throw err
    }
  }

  #walkTo(path: string, follow: boolean): Walked & { found: Known } {
    const walked = this.#walk(path, follow)
    return { ...walked, found: walked.found ?? fail('ENOENT') }
  }
}

const idsOf = (way: readonly Known[], last: Known): NodeId[] => [
  ...way.map((known) => known.node),
  last.node,
]

/** What fs/namei.c decides of a rename. False where nothing is to be done. Throws Errno. */
function checkRename(source: Walked & { found: Known }, target: Walked, flags: number): boolean {
  const { found } = target
  if ((flags & RENAME_NOREPLACE) !== 0 && found !== null) fail('EEXIST')
  const exchange = (flags & RENAME_EXCHANGE) !== 0
  if (exchange && found === null) fail('ENOENT')
  if (target.way.some((known) => known.node === source.found.node)) fail('EINVAL')
  if (found !== null && source.way.some((known) => known.node === found.node))
    fail(exchange ? 'EINVAL' : 'ENOTEMPTY')
  if (found === null) return true
  if (found.node === source.found.node) return false
  if (exchange) return true
  if (isDirectory(source.found) && !isDirectory(found)) fail('ENOTDIR')
  if (!isDirectory(source.found) && isDirectory(found)) fail('EISDIR')
  return true
}

export function owners(uid: number, gid: number): Partial<SetattrRequest> {
  const valid = (uid === -1 ? 0 : FATTR.UID) | (gid === -1 ? 0 : FATTR.GID)
  return { valid, uid, gid }
}

export function times(atime: Time, mtime: Time): Partial<SetattrRequest> {
  const bit = (time: Time, set: number, now: number) =>
    time === 'keep' ? 0 : time === 'now' ? set | now : set
  const [aSec, aNsec] = parts(atime)
  const [mSec, mNsec] = parts(mtime)
  return {
    valid: bit(atime, FATTR.ATIME, FATTR.ATIME_NOW) | bit(mtime, FATTR.MTIME, FATTR.MTIME_NOW),
    atime: aSec,
    atimeNsec: aNsec,
    mtime: mSec,
    mtimeNsec: mNsec,
  }
}

function parts(time: Time): [number, number] {
  if (typeof time === 'string') return [0, 0]
  const nsec = ((time % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n
  return [Number((time - nsec) / 1_000_000_000n), Number(nsec)]
}

export function factsOf(attr: Readonly<Attr>): Facts {
  const time = (seconds: number, nsec: number) => BigInt(seconds) * 1_000_000_000n + BigInt(nsec)
  return {
    kind: kindOf(attr.mode),
    mode: attr.mode & 0o7777,
    nlink: attr.nlink,
    uid: attr.uid,
    gid: attr.gid,
    ino: attr.ino,
    size: attr.size,
    blocks: attr.blocks,
    rdev: attr.rdev,
    atime: time(attr.atime, attr.atimeNsec),
    mtime: time(attr.mtime, attr.mtimeNsec),
    ctime: time(attr.ctime, attr.ctimeNsec),
  }
}
