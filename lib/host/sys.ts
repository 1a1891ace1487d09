// System calls as the union uses them: relative to directory descriptors, names as latin1
// text, nothing followed.
//
// Rule: every function answers a value >= 0, or the negative errno of the call (-2 is
// ENOENT). `must` turns the latter into an Errno where a failure is not an expected answer.
// Synchronous, no allocation but where a value is made.

import { ERRNO, Errno } from '../base/errno.ts'
import { errno, libc } from './libc.ts'
import type { Stat } from './stat.ts'

export const AT_FDCWD = -100
export const AT_SYMLINK_NOFOLLOW = 0x100
export const AT_REMOVEDIR = 0x200
export const AT_EMPTY_PATH = 0x1000
const AT_SYMLINK_FOLLOW = 0x400

/** Open flags of asm-generic/fcntl.h; those that arm64 numbers otherwise are set below. */
const arm = process.arch === 'arm64'
export const O = {
  RDONLY: 0,
  WRONLY: 1,
  RDWR: 2,
  ACCMODE: 3,
  CREAT: 0o100,
  EXCL: 0o200,
  NOCTTY: 0o400,
  TRUNC: 0o1000,
  APPEND: 0o2000,
  NONBLOCK: 0o4000,
  DSYNC: 0o10000,
  SYNC: 0o4010000,
  DIRECT: arm ? 0o200000 : 0o40000,
  DIRECTORY: arm ? 0o40000 : 0o200000,
  NOFOLLOW: arm ? 0o100000 : 0o400000,
  NOATIME: 0o1000000,
  CLOEXEC: 0o2000000,
  PATH: 0o10000000,
  TMPFILE: 0o20000000 | (arm ? 0o40000 : 0o200000),
} as const

export const S = {
  IFMT: 0o170000,
  IFSOCK: 0o140000,
  IFLNK: 0o120000,
  IFREG: 0o100000,
  IFBLK: 0o060000,
  IFDIR: 0o040000,
  IFCHR: 0o020000,
  IFIFO: 0o010000,
  ISUID: 0o4000,
  ISGID: 0o2000,
  ISVTX: 0o1000,
} as const

export const RENAME_NOREPLACE = 1
export const RENAME_EXCHANGE = 2
export const RENAME_WHITEOUT = 4

/** Detach a busy mount from its place at once (umount2). */
export const MNT_DETACH = 2

export const UTIME_NOW = 0x3fffffff
export const UTIME_OMIT = 0x3ffffffe

/** The value of a call, or its Errno thrown. */
export function must(value: number, where = ''): number {
  if (value < 0) throw new Errno(-value, where)
  return value
}

const result = (value: number): number => (value < 0 ? -errno() : value)

// Names are written here before each call; two, because rename and link take two.
const nameA = Buffer.alloc(8192)
const nameB = Buffer.alloc(8192)

/** Up to this length a loop is faster than a call into Node. */
const SHORT = 32

function put(into: Buffer, text: string): Buffer {
  const { length } = text
  if (length >= into.length) throw new Errno(36, 'path') // ENAMETOOLONG
  if (length > SHORT) into.latin1Write(text, 0)
  else for (let at = 0; at < length; at++) into[at] = text.charCodeAt(at)
  into[length] = 0
  return into
}

/** Linux 6.6; the same number on x86-64 and arm64. */
const SYS_FCHMODAT2 = 452
let fchmodat2Known = true

export const sys = {
  openat: (dir: number, name: string, flags: number, mode = 0): number =>
    result(libc.openat(dir, put(nameA, name), flags | O.CLOEXEC, mode)),
  /** Opens the file of a descriptor again, with other flags: the way from O_PATH to bytes. */
  reopen: (fd: number, flags: number): number =>
    result(libc.open(put(nameA, `/proc/self/fd/${fd}`), flags | O.CLOEXEC, 0)),
  close: (fd: number): number => result(libc.close(fd)),
  /** Another descriptor of the same open file (F_DUPFD_CLOEXEC). */
  dup: (fd: number): number => result(libc.fcntl(fd, 1030, 0)),
  /** Has descriptor `as`, which is open, mean the open file of `fd` from now on. */
  replace: (as: number, fd: number): number => result(libc.dup3(fd, as, O.CLOEXEC)),
  /** Whether reads wait (F_SETFL). */
  setWaiting: (fd: number, waits: boolean): number =>
    result(libc.fcntl(fd, 4, waits ? 0 : O.NONBLOCK)),
  read: (fd: number, into: Buffer, count: number): number => result(libc.read(fd, into, count)),
  write: (fd: number, from: Buffer, count: number): number => result(libc.write(fd, from, count)),
  pread: (fd: number, into: Buffer, count: number, offset: number): number =>
    result(libc.pread(fd, into, count, offset)),
  pwrite: (fd: number, from: Buffer, count: number, offset: number): number =>
    result(libc.pwrite(fd, from, count, offset)),
  ftruncate: (fd: number, length: number): number => result(libc.ftruncate(fd, length)),
  /** Cuts the file of a descriptor that need not be open for writing (O_PATH). */
  truncate: (fd: number, length: number): number =>
    result(libc.truncate(put(nameA, `/proc/self/fd/${fd}`), length)),
  fallocate: (fd: number, mode: number, offset: number, length: number): number =>
    result(libc.fallocate(fd, mode, offset, length)),
  lseek: (fd: number, offset: number, whence: number): number =>
    result(libc.lseek(fd, offset, whence)),
  /** SYNC_FILE_RANGE_*: 1 wait before, 2 write, 4 wait after. */
  syncFileRange: (fd: number, offset: number, length: number, flags: number): number =>
    result(libc.syncFileRange(fd, offset, length, flags)),
  fsync: (fd: number): number => result(libc.fsync(fd)),
  fdatasync: (fd: number): number => result(libc.fdatasync(fd)),
  syncfs: (fd: number): number => result(libc.syncfs(fd)),

  /** Attributes of `name` in `dir` itself, never of what it points to; of `dir` where name is ''. */
  stat: (dir: number, name: string, into: Stat): number =>
    result(
      libc.statx(dir, put(nameA, name), AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, 0xfff, into.bytes),
    ),
  mkdirat: (dir: number, name: string, mode: number): number =>
    result(libc.mkdirat(dir, put(nameA, name), mode)),
  mknodat: (dir: number, name: string, mode: number, dev: number): number =>
    result(libc.mknodat(dir, put(nameA, name), mode, dev)),
  symlinkat: (target: string, dir: number, name: string): number =>
    result(libc.symlinkat(put(nameB, target), dir, put(nameA, name))),
  linkat: (from: number, fromName: string, to: number, toName: string): number =>
    result(libc.linkat(from, put(nameA, fromName), to, put(nameB, toName), 0)),
  /** Gives the file of a descriptor a name: works for O_TMPFILE files, without privilege. */
  linkFd: (fd: number, to: number, toName: string): number =>
    result(
      libc.linkat(
        AT_FDCWD,
        put(nameA, `/proc/self/fd/${fd}`),
        to,
        put(nameB, toName),
        AT_SYMLINK_FOLLOW,
      ),
    ),
  unlinkat: (dir: number, name: string, flags = 0): number =>
    result(libc.unlinkat(dir, put(nameA, name), flags)),
  renameat: (from: number, fromName: string, to: number, toName: string, flags = 0): number =>
    result(libc.renameat2(from, put(nameA, fromName), to, put(nameB, toName), flags)),
  readlinkat: (dir: number, name: string, into: Buffer): number =>
    result(libc.readlinkat(dir, put(nameA, name), into, into.length)),
  fchmod: (fd: number, mode: number): number => result(libc.fchmod(fd, mode)),
  /** chmod of the file behind an O_PATH descriptor, which is not a symlink. */
  chmodFd: (fd: number, mode: number): number =>
    result(libc.chmod(put(nameA, `/proc/self/fd/${fd}`), mode)),
  /** chmod of a name that is no symlink, or of `dir` itself where name is ''; nothing is followed. */
  chmodat: (dir: number, name: string, mode: number): number => {
    const flags = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH
    if (fchmodat2Known) {
      const done = result(libc.fchmodat2(SYS_FCHMODAT2, dir, put(nameA, name), mode, flags))
      if (done !== -ERRNO.ENOSYS) return done
      fchmodat2Known = false
    }
    if (name === '') return sys.chmodFd(dir, mode)
    const fd = sys.openat(dir, name, O.PATH | O.NOFOLLOW)
    if (fd < 0) return fd
    const done = sys.chmodFd(fd, mode)
    sys.close(fd)
    return done
  },
  /** -1 (as 0xffffffff) leaves an owner as it is. */
  chownat: (dir: number, name: string, uid: number, gid: number): number =>
    result(libc.fchownat(dir, put(nameA, name), uid, gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)),
  /** Times in seconds and nanoseconds; nsec may be UTIME_NOW or UTIME_OMIT. '' means `dir` itself. */
  utimensat: (
    dir: number,
    name: string,
    aSec: number,
    aNsec: number,
    mSec: number,
    mNsec: number,
  ): number => {
    putSeconds(0, aSec)
    times[2] = aNsec
    putSeconds(4, mSec)
    times[6] = mNsec
    return result(
      libc.utimensat(dir, put(nameA, name), timesBytes, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH),
    )
  },
  getdents: (fd: number, into: Buffer): number => result(libc.getdents(fd, into, into.length)),
  fstatfs: (fd: number, into: Buffer): number => result(libc.fstatfs(fd, into)),
  copyFileRange: (
    from: number,
    fromOffset: number,
    to: number,
    toOffset: number,
    length: number,
  ): number => {
    offsets[0] = BigInt(fromOffset)
    offsets[1] = BigInt(toOffset)
    return result(libc.copyFileRange(from, offsetIn, to, offsetOut, length, 0))
  },
  /** Shares all blocks of `from` with `to`, where the disk can (FICLONE of linux/fs.h). */
  clone: (to: number, from: number): number => result(libc.ioctlInt(to, 0x40049409, from)),
  /**
   * Lets the kernel read and write the file of a descriptor for a FUSE device (linux/fuse.h:
   * FUSE_DEV_IOC_BACKING_OPEN). Answers the number that an OPEN may name until `backingClose`.
   */
  backingOpen: (device: number, fd: number): number => {
    backing.writeInt32LE(fd, 0)
    return result(libc.ioctlBytes(device, 0x4010e501, backing))
  },
  backingClose: (device: number, id: number): number => {
    backingId.writeUInt32LE(id, 0)
    return result(libc.ioctlBytes(device, 0x4004e502, backingId))
  },
  poll: (fds: Buffer, count: number, timeout: number): number =>
    result(libc.poll(fds, count, timeout)),
  eventfd: (): number => result(libc.eventfd(0, O.CLOEXEC | O.NONBLOCK)),
  /** Advisory lock of the whole file: 2 exclusive, 4 do not wait, 8 unlock. */
  flock: (fd: number, operation: number): number => result(libc.flock(fd, operation)),
  /** 0, MNT_FORCE 1, MNT_DETACH 2, UMOUNT_NOFOLLOW 8. */
  umount2: (target: string, flags: number): number =>
    result(libc.umount2(put(nameA, target), flags)),
  umask: (mask: number): number => libc.umask(mask),
  exit: (status: number): void => void libc.exit(status),
}

// struct fuse_backing_map {fd s32, flags u32, padding u64}
const backing = Buffer.alloc(16)
const backingId = Buffer.alloc(4)
// struct timespec[2]: seconds s64, nanoseconds s64, each in two halves.
const times = new Uint32Array(8)
const timesBytes = Buffer.from(times.buffer)
function putSeconds(at: number, seconds: number): void {
  times[at] = seconds
  times[at + 1] = Math.floor(seconds / 0x1_0000_0000)
}
const offsets = new BigInt64Array(2)
const offsetIn = Buffer.from(offsets.buffer, 0, 8)
const offsetOut = Buffer.from(offsets.buffer, 8, 8)
