// C functions that behaviours need beyond those of lib/host: calls that follow links, that
// take whole paths, and shared mappings. Same rule as sys.ts: >= 0, or the negative errno.

import koffi from 'koffi'
import { Errno } from '../../lib/base/errno.ts'

type Call = (...args: unknown[]) => number

const c = koffi.load('libc.so.6')
const declare = (prototype: string): Call => c.func(prototype) as unknown as Call

const calls = {
  statx: declare('int statx(int dir, const void *path, int flags, uint32_t mask, void *out)'),
  faccessat: declare('int faccessat(int dir, const void *path, int mode, int flags)'),
  fchownat: declare(
    'int fchownat(int dir, const void *path, uint32_t uid, uint32_t gid, int flags)',
  ),
  fchmodat: declare('int fchmodat(int dir, const void *path, uint32_t mode, int flags)'),
  utimensat: declare('int utimensat(int dir, const void *path, const void *times, int flags)'),
  truncate: declare('int truncate64(const void *path, int64_t length)'),
  setfsuid: declare('int setfsuid(uint32_t uid)'),
  setfsgid: declare('int setfsgid(uint32_t gid)'),
  setgroups: declare('int64_t syscall(int64_t number, int count, const void *list)'),
  clockGettime: declare('int clock_gettime(int clock, void *into)'),
  fadvise: declare('int posix_fadvise64(int fd, int64_t offset, int64_t length, int advice)'),
}
/** By number, because glibc's own would change every thread. */
const SYS_SETGROUPS = process.arch === 'arm64' ? 159 : 116
const mmap = c.func(
  'void *mmap(void *at, size_t length, int protection, int flags, int fd, int64_t offset)',
) as unknown as (...args: unknown[]) => unknown
const munmap = c.func('int munmap(void *at, size_t length)') as unknown as Call
const msync = c.func('int msync(void *at, size_t length, int flags)') as unknown as Call

const memcpy = c.func('void *memcpy(void *to, const void *from, size_t length)') as unknown as Call

const result = (value: number): number => (value < 0 ? -koffi.errno() : value)
const name = (text: string): Buffer => Buffer.from(`${text}\0`, 'latin1')

/** The time of day, and what it was at the last tick of the kernel, some milliseconds ago at most. */
const CLOCKS = { exact: 0, tick: 5 } as const
const timespec = new BigInt64Array(2)

export const more = {
  /** A clock of the kernel: nanoseconds since 1970. */
  clock: (which: keyof typeof CLOCKS): bigint => {
    calls.clockGettime(CLOCKS[which], timespec)
    return timespec[0]! * 1_000_000_000n + timespec[1]!
  },
  /** statx that follows a last link. */
  stat: (dir: number, path: string, into: Buffer): number =>
    result(calls.statx(dir, name(path), 0, 0xfff, into)),
  access: (dir: number, path: string, mask: number): number =>
    // AT_EACCESS: ask for the filesystem's uid, not the real one.
    result(calls.faccessat(dir, name(path), mask, 0x200)),
  chown: (dir: number, path: string, uid: number, gid: number, flags: number): number =>
    result(calls.fchownat(dir, name(path), uid >>> 0, gid >>> 0, flags)),
  chmod: (dir: number, path: string, mode: number): number =>
    result(calls.fchmodat(dir, name(path), mode, 0)),
  utimens: (dir: number, path: string, times: Buffer, flags: number): number =>
    result(calls.utimensat(dir, name(path), times, flags)),
  truncate: (path: string, size: number): number => result(calls.truncate(name(path), size)),
  setfsuid: (uid: number): number => calls.setfsuid(uid),
  setfsgid: (gid: number): number => calls.setfsgid(gid),
  /** The supplementary groups of this thread. */
  setgroups: (groups: readonly number[]): number => {
    const list = Buffer.from(new Uint32Array(groups).buffer)
    return result(calls.setgroups(SYS_SETGROUPS, groups.length, list))
  },
  /** Gives back the cached pages of a file (POSIX_FADV_DONTNEED); answers the errno itself. */
  dropCache: (fd: number): number => calls.fadvise(fd, 0, 0, 4),
}

/** Part of a file in memory. Whoever touches it keeps within the file, or is ended by SIGBUS. */
export interface Mapping {
  readonly length: number
  read(offset: number, into: Buffer): void
  write(offset: number, from: Buffer): void
  /** flags: MS_ASYNC 1, MS_INVALIDATE 2, MS_SYNC 4. */
  sync(flags?: number): number
  free(): number
}

export interface MappingWish {
  readonly length: number
  readonly offset?: number
  readonly shared: boolean
  readonly writable: boolean
}

function mapAt(fd: number, { length, offset = 0, shared, writable }: MappingWish): unknown {
  const at = mmap(null, length, writable ? 3 : 1, shared ? 1 : 2, fd, offset)
  if (BigInt(koffi.address(at)) === 0xffffffffffffffffn) throw new Errno(koffi.errno(), 'mmap')
  return at
}

/** mmap(2). Throws Errno. */
export function mapFile(fd: number, wish: MappingWish): Mapping {
  const at = mapAt(fd, wish)
  const address = BigInt(koffi.address(at))
  const { length } = wish
  return {
    length,
    read: (from, into) => void memcpy(into, address + BigInt(from), into.length),
    write: (to, from) => void memcpy(address + BigInt(to), from, from.length),
    sync: (flags = 4) => result(msync(at, length, flags)),
    free: () => result(munmap(at, length)),
  }
}

/** A shared mapping that can be written, as bytes. `sync` and `free` end its life in order. */
export function sharedMapping(fd: number, length: number) {
  const at = mapAt(fd, { length, shared: true, writable: true })
  return {
    bytes: Buffer.from(koffi.view(at, length)),
    sync: () => result(msync(at, length, 4)),
    free: () => result(munmap(at, length)),
  }
}

/** An address that O_DIRECT takes: a multiple of 4,096. */
export function alignedBuffer(length: number): Buffer {
  const room = Buffer.alloc(length + 4096)
  const skip = (4096 - Number(BigInt(koffi.address(room)) % 4096n)) % 4096
  return room.subarray(skip, skip + length)
}
