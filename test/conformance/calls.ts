// Calls of Linux that no Place has, for trials: locks, ioctl, mappings, hints, handles, AIO.
//
//   t.says('flock(a)', () => call.flock(a.fd, LOCK.EX))
//
// Rule: on descriptors, as the kernel's manual names them; a refusal throws an Errno.

import koffi from 'koffi'
import { Errno } from '../../lib/base/errno.ts'

type Call = (...args: unknown[]) => number

const c = koffi.load('libc.so.6')
const declare = (prototype: string): Call => {
  const call = c.func(prototype) as unknown as Call
  return (...args) => {
    const value = call(...args)
    if (value < 0) throw new Errno(koffi.errno(), prototype.split('(')[0])
    return value
  }
}
const text = (path: string): Buffer => Buffer.from(`${path}\0`, 'latin1')

const raw = {
  fcntl: declare('int fcntl(int fd, int command, int64_t argument)'),
  fcntlWith: declare('int fcntl64(int fd, int command, void *lock)'),
  ioctl: declare('int ioctl(int fd, uint64_t request, void *argument)'),
  flock: declare('int flock(int fd, int operation)'),
  syncRange: declare('int sync_file_range(int fd, int64_t offset, int64_t length, uint32_t flags)'),
  readahead: declare('int64_t readahead(int fd, int64_t offset, size_t length)'),
  syncfs: declare('int syncfs(int fd)'),
  fsync: declare('int fsync(int fd)'),
  fdatasync: declare('int fdatasync(int fd)'),
  fchmodat: declare('int fchmodat(int dir, const void *path, uint32_t mode, int flags)'),
  fchmod: declare('int fchmod(int fd, uint32_t mode)'),
  fchownat: declare(
    'int fchownat(int dir, const void *path, uint32_t uid, uint32_t gid, int flags)',
  ),
  utimensat: declare('int utimensat(int dir, const void *path, const void *times, int flags)'),
  futimens: declare('int futimens(int fd, const void *times)'),
  pwritev2: declare(
    'int64_t pwritev2(int fd, const void *vector, int count, int64_t offset, int flags)',
  ),
  preadv2: declare(
    'int64_t preadv2(int fd, const void *vector, int count, int64_t offset, int flags)',
  ),
  sendfile: declare('int64_t sendfile64(int out, int in, void *offset, size_t count)'),
  splice: declare(
    'int64_t splice(int in, void *inOffset, int out, void *outOffset, size_t count, uint32_t flags)',
  ),
  copyRange: declare(
    'int64_t copy_file_range(int in, void *inOffset, int out, void *outOffset, size_t count, uint32_t flags)',
  ),
  pipe: declare('int pipe(void *pair)'),
  syscall: declare(
    'int64_t syscall(int64_t number, int64_t a, int64_t b, int64_t c, int64_t d, int64_t e, int64_t f)',
  ),
  setrlimit: declare('int setrlimit(int resource, const void *limit)'),
  getrlimit: declare('int getrlimit(int resource, void *limit)'),
  inotifyInit: declare('int inotify_init1(int flags)'),
  inotifyAdd: declare('int inotify_add_watch(int fd, const void *path, uint32_t mask)'),
  nameToHandle: declare(
    'int name_to_handle_at(int dir, const void *path, void *handle, void *mount, int flags)',
  ),
  openByHandle: declare('int open_by_handle_at(int mount, void *handle, int flags)'),
  mount: declare(
    'int mount(const void *source, const void *target, const void *type, uint64_t flags, const void *options)',
  ),
  umount: declare('int umount2(const void *target, int flags)'),
  munmap: declare('int munmap(void *at, size_t length)'),
  msync: declare('int msync(void *at, size_t length, int flags)'),
  mprotect: declare('int mprotect(void *at, size_t length, int protection)'),
  madvise: declare('int madvise(void *at, size_t length, int advice)'),
  mincore: declare('int mincore(void *at, size_t length, void *found)'),
}
const mmap = c.func(
  'void *mmap(void *at, size_t length, int protection, int flags, int fd, int64_t offset)',
) as unknown as (...args: unknown[]) => unknown
// These two answer the errno itself.
const fadvise = c.func(
  'int posix_fadvise(int fd, int64_t offset, int64_t length, int advice)',
) as unknown as Call
const posixAllocate = c.func(
  'int posix_fallocate(int fd, int64_t offset, int64_t length)',
) as unknown as Call

export const LOCK = { SH: 1, EX: 2, NB: 4, UN: 8 } as const
/** fcntl commands; struct flock's types are F.RDLCK and its kin. */
export const F = {
  GETFL: 3,
  SETFL: 4,
  GETLK: 5,
  SETLK: 6,
  SETLKW: 7,
  OFD_GETLK: 36,
  OFD_SETLK: 37,
  SETLEASE: 1024,
  GETLEASE: 1025,
  NOTIFY: 1026,
  RDLCK: 0,
  WRLCK: 1,
  UNLCK: 2,
} as const
export const PROT = { NONE: 0, READ: 1, WRITE: 2, EXEC: 4 } as const
export const MAP = {
  SHARED: 1,
  PRIVATE: 2,
  SHARED_VALIDATE: 3,
  ANONYMOUS: 0x20,
  SYNC: 0x80000,
} as const

/** A value that a call answers instead of setting errno. */
function errnoAnswer(value: number): void {
  if (value !== 0) throw new Errno(value)
}

// struct iovec of one buffer.
const vector = (bytes: Buffer): Buffer =>
  Buffer.from(new BigUint64Array([BigInt(koffi.address(bytes)), BigInt(bytes.length)]).buffer)

const offsetAt = (offset: number | null): Buffer | null =>
  offset === null ? null : Buffer.from(new BigInt64Array([BigInt(offset)]).buffer)

export const call = {
  ...raw,
  fchmodat: (dir: number, path: string, mode: number, flags: number) =>
    raw.fchmodat(dir, text(path), mode, flags),
  fchownat: (dir: number, path: string, uid: number, gid: number, flags: number) =>
    raw.fchownat(dir, text(path), uid >>> 0, gid >>> 0, flags),
  /** Seconds and nanoseconds as they are, also those that no clock shows. */
  utimensat: (dir: number, path: string, times: readonly bigint[] | null, flags: number) =>
    raw.utimensat(
      dir,
      text(path),
      times === null ? null : Buffer.from(new BigInt64Array(times).buffer),
      flags,
    ),
  fadvise: (fd: number, offset: number, length: number, advice: number) =>
    errnoAnswer(fadvise(fd, offset, length, advice)),
  posixAllocate: (fd: number, offset: number, length: number) =>
    errnoAnswer(posixAllocate(fd, offset, length)),
  pwritev2: (fd: number, data: string, offset: number, flags: number) => {
    const bytes = Buffer.from(data, 'latin1')
    return raw.pwritev2(fd, vector(bytes), 1, offset, flags)
  },
  preadv2(fd: number, length: number, offset: number, flags: number): string {
    const bytes = Buffer.alloc(length)
    return bytes.latin1Slice(0, raw.preadv2(fd, vector(bytes), 1, offset, flags))
  },
  sendfile: (out: number, from: number, offset: number | null, count: number) =>
    raw.sendfile(out, from, offsetAt(offset), count),
  splice: (from: number, offset: number | null, to: number, toOffset: number | null, n: number) =>
    raw.splice(from, offsetAt(offset), to, offsetAt(toOffset), n, 0),
  copyRange: (
    from: number,
    offset: number | null,
    to: number,
    toOffset: number | null,
    count: number,
    flags = 0,
  ) => raw.copyRange(from, offsetAt(offset), to, offsetAt(toOffset), count, flags),
  /** Both ends: to read from, to write to. */
  pipe(): readonly [number, number] {
    const pair = Buffer.alloc(8)
    raw.pipe(pair)
    return [pair.readInt32LE(0), pair.readInt32LE(4)]
  },
  /** A record lock; answers the lock that is in the way for GETLK commands. */
  lock(fd: number, command: number, type: number, start: number, length: number, whence = 0) {
    // struct flock: type, whence s16, 4 unused, start, length s64, pid s32
    const lock = Buffer.alloc(32)
    lock.writeInt16LE(type, 0)
    lock.writeInt16LE(whence, 2)
    lock.writeBigInt64LE(BigInt(start), 8)
    lock.writeBigInt64LE(BigInt(length), 16)
    raw.fcntlWith(fd, command, lock)
    if (command !== F.GETLK && command !== F.OFD_GETLK) return undefined
    const found = ['read', 'write', 'none'][lock.readInt16LE(0)]
    return found === 'none'
      ? found
      : `${found} ${lock.readBigInt64LE(8)}+${lock.readBigInt64LE(16)}`
  },
  /** The file's handle, as open_by_handle_at(2) takes it. */
  handleOf(dir: number, path: string): Buffer {
    const handle = Buffer.alloc(136)
    handle.writeUInt32LE(128)
    raw.nameToHandle(dir, text(path), handle, Buffer.alloc(4), 0)
    return handle
  },
  watch: (fd: number, path: string, mask: number) => raw.inotifyAdd(fd, text(path), mask),
  mount: (source: string, target: string, type: string, flags: number) =>
    raw.mount(text(source), text(target), text(type), flags, null),
  umount: (target: string, flags = 0) => raw.umount(text(target), flags),
  /** Runs `work` under another limit of one resource (RLIMIT_FSIZE is 1). */
  limited<T>(resource: number, soft: number, work: () => T): T {
    const limit = new BigUint64Array(2)
    const bytes = Buffer.from(limit.buffer)
    raw.getrlimit(resource, bytes)
    const before = limit[0]!
    limit[0] = BigInt(soft)
    raw.setrlimit(resource, bytes)
    try {
      return work()
    } finally {
      limit[0] = before
      raw.setrlimit(resource, bytes)
    }
  },
}

/** A mapping of a file. `bytes` is for those that may be read, and written where it may be. */
export class Mapping {
  readonly #at: unknown
  readonly bytes: Buffer

  constructor(fd: number, length: number, protection: number, flags: number, offset = 0) {
    this.#at = mmap(null, length, protection, flags, fd, offset)
    if (koffi.address(this.#at) === 0xffffffffffffffffn) throw new Errno(koffi.errno(), 'mmap')
    this.bytes = Buffer.from(koffi.view(this.#at, length))
  }

  sync(flags = 4): void {
    raw.msync(this.#at, this.bytes.length, flags)
  }

  protect(protection: number): void {
    raw.mprotect(this.#at, this.bytes.length, protection)
  }

  advise(advice: number): void {
    raw.madvise(this.#at, this.bytes.length, advice)
  }

  free(): void {
    raw.munmap(this.#at, this.bytes.length)
  }
}
