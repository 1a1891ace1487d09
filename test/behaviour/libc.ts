// C functions that behaviours need beyond those of lib/host: calls that follow links, that
// take whole paths, and shared mappings. Same rule as sys.ts: >= 0, or the negative errno.

import koffi from 'koffi'

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
}
const mmap = c.func(
  'void *mmap(void *at, size_t length, int protection, int flags, int fd, int64_t offset)',
) as unknown as (...args: unknown[]) => unknown
const munmap = c.func('int munmap(void *at, size_t length)') as unknown as Call
const msync = c.func('int msync(void *at, size_t length, int flags)') as unknown as Call

const result = (value: number): number => (value < 0 ? -koffi.errno() : value)
const name = (text: string): Buffer => Buffer.from(`${text}\0`, 'latin1')

export const more = {
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
}

/** A shared mapping: PROT_READ|PROT_WRITE, MAP_SHARED. `sync` and `free` end its life in order. */
export function sharedMapping(fd: number, length: number) {
  const at = mmap(null, length, 3, 1, fd, 0)
  const address = koffi.address(at)
  if (address === 0xffffffffffffffffn) throw new Error(`mmap: errno ${koffi.errno()}`)
  return {
    bytes: Buffer.from(koffi.view(at, length)),
    sync: () => result(msync(at, length, 4)),
    free: () => result(munmap(at, length)),
  }
}
