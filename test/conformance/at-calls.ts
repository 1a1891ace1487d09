// Calls with paths that no Place has: the flags of the *at family, working directories,
// addresses that are none, and who a thread really is.
//
//   t.says('linkat(f, n, AT_SYMLINK_FOLLOW)', () => at.link(t.place, 'f', 'n', AT.FOLLOW))
//
// Rule: a refusal throws an Errno, as a Place does; a path may be an address, where none lies.

import koffi from 'koffi'
import { Errno } from '../../lib/base/errno.ts'
import type { RealPlace } from '../behaviour/real-place.ts'

/** A path, or the address of one. */
export type PathOrAddress = string | bigint

/** Flags of linux/fcntl.h. */
export const AT = {
  NOFOLLOW: 0x100,
  EACCESS: 0x200,
  REMOVEDIR: 0x200,
  FOLLOW: 0x400,
  EMPTY_PATH: 0x1000,
} as const
/** What openat2 may refuse to walk through: linux/openat2.h. */
export const RESOLVE = {
  NO_XDEV: 1,
  NO_MAGICLINKS: 2,
  NO_SYMLINKS: 4,
  BENEATH: 8,
  IN_ROOT: 0x10,
  CACHED: 0x20,
} as const

const arm = process.arch === 'arm64'
const SYS = { setresuid: arm ? 147 : 117, setresgid: arm ? 149 : 119, openat2: 437 } as const

const c = koffi.load('libc.so.6')
const declare = (prototype: string) => {
  const call = c.func(prototype) as unknown as (...args: unknown[]) => number
  return (...args: unknown[]): number => {
    const value = call(...args)
    if (value < 0) throw new Errno(koffi.errno(), prototype.split('(')[0])
    return value
  }
}

const raw = {
  openat: declare('int openat(int dir, const void *path, int flags, uint32_t mode)'),
  close: declare('int close(int fd)'),
  linkat: declare('int linkat(int from, const void *path, int to, const void *as, int flags)'),
  unlinkat: declare('int unlinkat(int dir, const void *path, int flags)'),
  faccessat: declare('int faccessat(int dir, const void *path, int mask, int flags)'),
  mkdirat: declare('int mkdirat(int dir, const void *path, uint32_t mode)'),
  mknodat: declare('int mknodat(int dir, const void *path, uint32_t mode, uint64_t device)'),
  symlinkat: declare('int symlinkat(const void *target, int dir, const void *path)'),
  readlinkat: declare('int readlinkat(int dir, const void *path, void *into, size_t size)'),
  renameat: declare('int renameat2(int a, const void *from, int b, const void *to, uint32_t how)'),
  fchmodat: declare('int fchmodat(int dir, const void *path, uint32_t mode, int flags)'),
  fchownat: declare('int fchownat(int dir, const void *path, uint32_t u, uint32_t g, int flags)'),
  truncate: declare('int truncate64(const void *path, int64_t length)'),
  statx: declare('int statx(int dir, const void *path, int flags, uint32_t mask, void *out)'),
  chdir: declare('int chdir(const void *path)'),
  fchdir: declare('int fchdir(int fd)'),
  syscall: declare('int64_t syscall(int64_t number, int64_t a, int64_t b, int64_t c)'),
  openat2: declare(
    'int64_t syscall(int64_t number, int dir, const void *path, const void *how, size_t size)',
  ),
}
const getcwd = c.func('void *getcwd(void *into, size_t size)') as unknown as (
  into: Buffer,
  size: number,
) => unknown

const bytes = (path: PathOrAddress): Buffer | bigint =>
  typeof path === 'string' ? Buffer.from(`${path}\0`, 'latin1') : path

/** Opens and closes. */
const shut = (fd: number): void => void raw.close(fd)

export const at = {
  open: (p: RealPlace, path: PathOrAddress, flags = 0, mode = 0o666): void =>
    shut(raw.openat(p.fd, bytes(path), flags, mode)),
  /** Opens relative to another open directory. */
  openFrom: (fd: number, path: PathOrAddress, flags = 0): void =>
    shut(raw.openat(fd, bytes(path), flags, 0)),
  open2: (p: RealPlace, path: string, flags: number, resolve: number, mode = 0): void => {
    const how = Buffer.from(
      new BigUint64Array([BigInt(flags), BigInt(mode), BigInt(resolve)]).buffer,
    )
    shut(raw.openat2(SYS.openat2, p.fd, bytes(path), how, how.length))
  },
  link: (p: RealPlace, from: PathOrAddress, to: PathOrAddress, flags = 0): void =>
    void raw.linkat(p.fd, bytes(from), p.fd, bytes(to), flags),
  /** Names the file of a descriptor. */
  linkFrom: (fd: number, p: RealPlace, to: string): void =>
    void raw.linkat(fd, bytes(''), p.fd, bytes(to), AT.EMPTY_PATH),
  unlink: (p: RealPlace, path: PathOrAddress, flags = 0): void =>
    void raw.unlinkat(p.fd, bytes(path), flags),
  access: (p: RealPlace, path: PathOrAddress, mask: number, flags = 0): void =>
    void raw.faccessat(p.fd, bytes(path), mask, flags),
  mkdir: (p: RealPlace, path: PathOrAddress, mode = 0o755): void =>
    void raw.mkdirat(p.fd, bytes(path), mode),
  mknod: (p: RealPlace, path: PathOrAddress, mode: number, device = 0): void =>
    void raw.mknodat(p.fd, bytes(path), mode, device),
  symlink: (p: RealPlace, target: PathOrAddress, path: PathOrAddress): void =>
    void raw.symlinkat(bytes(target), p.fd, bytes(path)),
  /** What fits into `size` bytes. */
  readlink: (p: RealPlace, path: PathOrAddress, size: number): string => {
    const into = Buffer.alloc(Math.max(size, 1))
    return into.latin1Slice(0, raw.readlinkat(p.fd, bytes(path), into, size))
  },
  rename: (p: RealPlace, from: PathOrAddress, to: PathOrAddress, flags = 0): void =>
    void raw.renameat(p.fd, bytes(from), p.fd, bytes(to), flags),
  chmod: (p: RealPlace, path: PathOrAddress, mode: number): void =>
    void raw.fchmodat(p.fd, bytes(path), mode, 0),
  chown: (p: RealPlace, path: PathOrAddress, flags = 0): void =>
    void raw.fchownat(p.fd, bytes(path), 0xffffffff, 0xffffffff, flags),
  truncate: (path: PathOrAddress, length: number): void => void raw.truncate(bytes(path), length),
  stat: (p: RealPlace, path: PathOrAddress, flags = 0): void =>
    void raw.statx(p.fd, bytes(path), flags, 0xfff, Buffer.alloc(256)),

  /** Works in a place: what `work` does with working directories is undone. */
  inside<T>(p: RealPlace, work: () => T): T {
    const before = raw.openat(-100, bytes('.'), 0o10000000, 0)
    raw.fchdir(p.fd)
    try {
      return work()
    } finally {
      raw.fchdir(before)
      raw.close(before)
    }
  },
  chdir: (path: PathOrAddress): void => void raw.chdir(bytes(path)),
  fchdir: (fd: number): void => void raw.fchdir(fd),
  /** The working directory, without the place's own path. */
  cwd(p: RealPlace, size = 8192): string {
    const into = Buffer.alloc(Math.max(size, 1))
    if (getcwd(into, size) === null) throw new Errno(koffi.errno(), 'getcwd')
    const path = into.latin1Slice(0, into.indexOf(0))
    return path.startsWith(p.root) ? `.${path.slice(p.root.length)}` : path
  },

  /** Does `work` while this thread's real user is another: what access(2) asks about. */
  reallyAs<T>(uid: number, gid: number, work: () => T): T {
    raw.syscall(SYS.setresgid, gid, -1, -1)
    raw.syscall(SYS.setresuid, uid, -1, -1)
    try {
      return work()
    } finally {
      raw.syscall(SYS.setresuid, 0, 0, 0)
      raw.syscall(SYS.setresgid, 0, 0, 0)
    }
  },
}
