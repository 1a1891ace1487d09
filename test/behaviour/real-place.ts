// A place on a real path: a plain directory, or a mount that another process serves.
//
// Every call goes through libc, because Node's own fs has no bytes of names, no nanoseconds,
// no attributes. Works relative to one descriptor, so that paths of 4,095 bytes work.
//
// Rule: never for a mount served by this very process, whose thread would wait for itself.

import { Errno } from '../../lib/base/errno.ts'
import { Stat } from '../../lib/host/stat.ts'
import { must, O, sys, UTIME_NOW, UTIME_OMIT } from '../../lib/host/sys.ts'
import { getXattr, listXattr, removeXattr, setXattr } from '../../lib/host/xattr.ts'
import { more, sharedMapping } from './libc.ts'
import {
  bufferOf,
  byName,
  type Facts,
  kindOf,
  kindOfEntry,
  type Listed,
  type Need,
  NotHere,
  type OpenDirectory,
  type OpenFile,
  type Place,
  type Time,
} from './place.ts'

const AT_SYMLINK_NOFOLLOW = 0x100
const ENODATA = -61
const KEEP = 0xffffffff

export class RealPlace implements Place {
  readonly root: string
  /** The directory itself, O_PATH. */
  readonly fd: number
  readonly #open = new Set<{ close(): void }>()
  /** The place that this one lies in, and is closed with. */
  #outer: RealPlace | null = null
  #closed = false

  /** `root` is absolute, or relative to an open directory; bytes as latin1. */
  constructor(root: string, from = 0) {
    this.root = root
    this.fd = must(sys.openat(from, root, O.PATH | O.DIRECTORY), 'open')
  }

  /** A place of its own in a directory of this one, which it follows wherever that is moved. */
  inside(path: string): RealPlace {
    const inner = this.#keep(new RealPlace(path || '.', this.fd))
    inner.#outer = this
    return inner
  }

  /** Closes what behaviours left open, and the place itself. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#outer?.forgetOpen(this)
    for (const each of [...this.#open]) each.close()
    sys.close(this.fd)
  }

  needs(...needs: Need[]): void {
    if (needs.includes('root') && process.geteuid?.() !== 0) throw new NotHere('needs root')
  }

  path(name = ''): string {
    const path = name === '' ? this.root : `${this.root}/${name}`
    return Buffer.from(path, 'latin1').toString('utf8')
  }

  open(path: string, flags: number = O.RDONLY, mode = 0o666): RealFile {
    return this.#keep(
      new RealFile(must(sys.openat(this.fd, path || '.', flags, mode), 'open'), this),
    )
  }

  tmpfile(directory: string, flags: number = O.RDWR, mode = 0o666): RealFile {
    return this.open(directory, O.TMPFILE | flags, mode)
  }

  opendir(path: string): OpenDirectory {
    const flags = O.RDONLY | O.DIRECTORY
    return this.#keep(
      new RealDirectory(must(sys.openat(this.fd, path || '.', flags), 'opendir'), this),
    )
  }

  list(path: string): Listed[] {
    const directory = this.opendir(path)
    const all: Listed[] = []
    for (let some = directory.some(); some.length > 0; some = directory.some()) all.push(...some)
    directory.close()
    return all.sort(byName)
  }

  stat(path: string): Facts {
    const stat = new Stat()
    must(more.stat(this.fd, path || '.', stat.bytes), 'stat')
    return factsOf(stat)
  }

  lstat(path: string): Facts {
    return lstatAt(this.fd, path)
  }

  access(path: string, mask: number): void {
    must(more.access(this.fd, path, mask), 'access')
  }

  mkdir(path: string, mode = 0o777): void {
    must(sys.mkdirat(this.fd, path, mode), 'mkdir')
  }

  mknod(path: string, mode: number, rdev = 0): void {
    must(sys.mknodat(this.fd, path, mode, rdev), 'mknod')
  }

  symlink(target: string, path: string): void {
    must(sys.symlinkat(target, this.fd, path), 'symlink')
  }

  readlink(path: string): string {
    const target = Buffer.alloc(8192)
    return target.latin1Slice(0, must(sys.readlinkat(this.fd, path, target), 'readlink'))
  }

  link(from: string, to: string): void {
    must(sys.linkat(this.fd, from, this.fd, to), 'link')
  }

  unlink(path: string): void {
    must(sys.unlinkat(this.fd, path), 'unlink')
  }

  rmdir(path: string): void {
    must(sys.unlinkat(this.fd, path, 0x200), 'rmdir')
  }

  rename(from: string, to: string, flags = 0): void {
    must(sys.renameat(this.fd, from, this.fd, to, flags), 'rename')
  }

  truncate(path: string, size: number): void {
    must(more.truncate(`/proc/self/fd/${this.fd}/${path}`, size), 'truncate')
  }

  chmod(path: string, mode: number): void {
    must(more.chmod(this.fd, path || '.', mode), 'chmod')
  }

  chown(path: string, uid: number, gid: number): void {
    must(more.chown(this.fd, path || '.', uid, gid, 0), 'chown')
  }

  lchown(path: string, uid: number, gid: number): void {
    must(more.chown(this.fd, path || '.', uid, gid, AT_SYMLINK_NOFOLLOW), 'lchown')
  }

  utimens(path: string, atime: Time, mtime: Time): void {
    must(more.utimens(this.fd, path || '.', timespecs(atime, mtime), 0), 'utimens')
  }

  lutimens(path: string, atime: Time, mtime: Time): void {
    const times = timespecs(atime, mtime)
    must(more.utimens(this.fd, path || '.', times, AT_SYMLINK_NOFOLLOW), 'lutimens')
  }

  getxattr(path: string, name: string): Buffer | null {
    return valueIn(getXattr(this.fd, path || '.', name))
  }

  setxattr(path: string, name: string, value: string | Buffer, flags = 0): void {
    must(setXattr(this.fd, path || '.', name, bufferOf(value), flags), 'setxattr')
  }

  listxattr(path: string): string[] {
    return listXattr(this.fd, path || '.').sort()
  }

  removexattr(path: string, name: string): void {
    must(removeXattr(this.fd, path || '.', name), 'removexattr')
  }

  statfs(path: string): { namelen: number; blocks: number; bsize: number } {
    const fd = must(sys.openat(this.fd, path || '.', O.PATH), 'statfs')
    const bytes = Buffer.alloc(120)
    const done = sys.fstatfs(fd, bytes)
    sys.close(fd)
    must(done, 'statfs')
    // struct statfs64: type, bsize, blocks, bfree, bavail, files, ffree, fsid, namelen
    const at = (offset: number) => Number(bytes.readBigUInt64LE(offset))
    return { bsize: at(8), blocks: at(16), namelen: at(64) }
  }

  umask<T>(mask: number, work: () => T): T {
    const before = sys.umask(mask)
    try {
      return work()
    } finally {
      sys.umask(before)
    }
  }

  as<T>(uid: number, gid: number, work: () => T, groups?: readonly number[]): T {
    this.needs('root')
    const before = groups === undefined ? null : (process.getgroups?.() ?? [])
    if (groups !== undefined) must(more.setgroups(groups), 'setgroups')
    more.setfsgid(gid)
    more.setfsuid(uid)
    try {
      return work()
    } finally {
      more.setfsuid(0)
      more.setfsgid(0)
      if (before !== null) must(more.setgroups(before), 'setgroups')
    }
  }

  linkFd(fd: number, path: string): void {
    must(sys.linkFd(fd, this.fd, path), 'link')
  }

  forgetOpen(each: { close(): void }): void {
    this.#open.delete(each)
  }

  #keep<T extends { close(): void }>(each: T): T {
    this.#open.add(each)
    return each
  }
}

export class RealFile implements OpenFile {
  readonly fd: number
  readonly #place: RealPlace
  #mapping: ReturnType<typeof sharedMapping> | null = null
  #closed = false

  constructor(fd: number, place: RealPlace) {
    this.fd = fd
    this.#place = place
  }

  read(count: number): Buffer {
    const into = Buffer.alloc(count)
    return into.subarray(0, must(sys.read(this.fd, into, count), 'read'))
  }

  write(data: string | Buffer): number {
    const bytes = bufferOf(data)
    return must(sys.write(this.fd, bytes, bytes.length), 'write')
  }

  pread(count: number, offset: number): Buffer {
    const into = Buffer.alloc(count)
    return into.subarray(0, must(sys.pread(this.fd, into, count, offset), 'pread'))
  }

  pwrite(data: string | Buffer, offset: number): number {
    const bytes = bufferOf(data)
    return must(sys.pwrite(this.fd, bytes, bytes.length, offset), 'pwrite')
  }

  seek(offset: number, whence: number): number {
    return must(sys.lseek(this.fd, offset, whence), 'lseek')
  }

  stat(): Facts {
    return lstatAt(this.fd, '')
  }

  truncate(size: number): void {
    must(sys.ftruncate(this.fd, size), 'ftruncate')
  }

  sync(dataOnly = false): void {
    must(dataOnly ? sys.fdatasync(this.fd) : sys.fsync(this.fd), 'fsync')
  }

  allocate(mode: number, offset: number, length: number): void {
    must(sys.fallocate(this.fd, mode, offset, length), 'fallocate')
  }

  chmod(mode: number): void {
    must(sys.fchmod(this.fd, mode), 'fchmod')
  }

  chown(uid: number, gid: number): void {
    must(sys.chownat(this.fd, '', uid === -1 ? KEEP : uid, gid === -1 ? KEEP : gid), 'fchown')
  }

  utimens(atime: Time, mtime: Time): void {
    must(more.utimens(this.fd, '', timespecs(atime, mtime), 0x1000), 'futimens')
  }

  getxattr(name: string): Buffer | null {
    return valueIn(getXattr(this.fd, '', name))
  }

  setxattr(name: string, value: string): void {
    must(setXattr(this.fd, '', name, bufferOf(value)), 'fsetxattr')
  }

  linkTo(path: string): void {
    this.#place.linkFd(this.fd, path)
  }

  copyTo(to: OpenFile, offset: number, toOffset: number, length: number): number {
    const target = (to as RealFile).fd
    return must(sys.copyFileRange(this.fd, offset, target, toOffset, length), 'copy_file_range')
  }

  map(length: number): Buffer {
    this.#mapping ??= sharedMapping(this.fd, length)
    return this.#mapping.bytes
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#place.forgetOpen(this)
    if (this.#mapping !== null) {
      must(this.#mapping.sync(), 'msync')
      must(this.#mapping.free(), 'munmap')
    }
    must(sys.close(this.fd), 'close')
  }
}

class RealDirectory implements OpenDirectory {
  readonly #fd: number
  readonly #place: RealPlace
  #closed = false
  readonly #block = Buffer.alloc(2048)

  constructor(fd: number, place: RealPlace) {
    this.#fd = fd
    this.#place = place
  }

  some(): Listed[] {
    for (;;) {
      const got = sys.getdents(this.#fd, this.#block)
      // A directory that was removed while it was open ends here, as readdir(3) of glibc says.
      const length = got === -2 ? 0 : must(got, 'getdents')
      const entries = entriesIn(this.#block, length)
      // A block may hold nothing but `.` and `..`, which is not yet the end.
      if (entries.length > 0 || length === 0) return entries
    }
  }

  rewind(): void {
    must(sys.lseek(this.#fd, 0, 0), 'rewinddir')
  }

  sync(): void {
    must(sys.fsync(this.#fd), 'fsync')
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#place.forgetOpen(this)
    must(sys.close(this.#fd), 'closedir')
  }
}

// struct linux_dirent64: ino u64, offset s64, record length u16, type u8, name with NUL
function entriesIn(block: Buffer, length: number): Listed[] {
  const entries: Listed[] = []
  for (let at = 0; at < length; at += block.readUInt16LE(at + 16)) {
    const name = block.latin1Slice(at + 19, block.indexOf(0, at + 19))
    if (name === '.' || name === '..') continue
    const ino = Number(block.readBigUInt64LE(at))
    entries.push({ name, ino, kind: kindOfEntry(block[at + 18]!) })
  }
  return entries
}

function lstatAt(dir: number, path: string): Facts {
  const stat = new Stat()
  must(sys.stat(dir, path, stat), 'lstat')
  return factsOf(stat)
}

function factsOf(stat: Stat): Facts {
  const time = (seconds: number, nsec: number) => BigInt(seconds) * 1_000_000_000n + BigInt(nsec)
  return {
    kind: kindOf(stat.mode),
    mode: stat.mode & 0o7777,
    nlink: stat.nlink,
    uid: stat.uid,
    gid: stat.gid,
    ino: stat.ino,
    size: stat.size,
    blocks: stat.blocks,
    rdev: stat.rdev,
    atime: time(stat.atime, stat.atimeNsec),
    mtime: time(stat.mtime, stat.mtimeNsec),
    ctime: time(stat.ctime, stat.ctimeNsec),
  }
}

// Two struct timespec.
function timespecs(...times: Time[]): Buffer {
  const parts = times.flatMap((time) => {
    if (time === 'now') return [0n, BigInt(UTIME_NOW)]
    if (time === 'keep') return [0n, BigInt(UTIME_OMIT)]
    const nsec = ((time % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n
    return [(time - nsec) / 1_000_000_000n, nsec]
  })
  return Buffer.from(new BigInt64Array(parts).buffer)
}

function valueIn(found: Buffer | number): Buffer | null {
  if (typeof found !== 'number') return found
  if (found === ENODATA) return null
  throw new Errno(-found, 'getxattr')
}
