// libc through koffi: every C function that svsfs calls is declared here, once.
//
// Rule: only lib/host imports this file. Each wrapper in sys.ts answers a value that is
// not negative, or the negative errno: no exception on the path of a request.

import koffi from 'koffi'

const c = koffi.load('libc.so.6')

type Call = (...args: unknown[]) => number
const declare = (prototype: string): Call => c.func(prototype) as unknown as Call

/** errno of the last call of this thread. */
export const errno = (): number => koffi.errno()

/** Where a buffer's bytes lie: for structures that point to others. The buffer must outlive the call. */
export const addressOf = (bytes: Buffer): bigint => BigInt(koffi.address(bytes))

export const libc = {
  open: declare('int open(const void *path, int flags, uint32_t mode)'),
  openat: declare('int openat(int dir, const void *path, int flags, uint32_t mode)'),
  close: declare('int close(int fd)'),
  read: declare('int64_t read(int fd, void *buf, size_t count)'),
  write: declare('int64_t write(int fd, const void *buf, size_t count)'),
  pread: declare('int64_t pread64(int fd, void *buf, size_t count, int64_t offset)'),
  pwrite: declare('int64_t pwrite64(int fd, const void *buf, size_t count, int64_t offset)'),
  ftruncate: declare('int ftruncate64(int fd, int64_t length)'),
  truncate: declare('int truncate64(const void *path, int64_t length)'),
  fallocate: declare('int fallocate64(int fd, int mode, int64_t offset, int64_t length)'),
  lseek: declare('int64_t lseek64(int fd, int64_t offset, int whence)'),
  copyFileRange: declare(
    'int64_t copy_file_range(int in, void *offIn, int out, void *offOut, size_t length, uint32_t flags)',
  ),
  ioctlInt: declare('int ioctl(int fd, uint64_t request, int64_t arg)'),
  ioctlBytes: declare('int ioctl(int fd, uint64_t request, void *arg)'),
  fcntl: declare('int fcntl(int fd, int command, int64_t argument)'),
  dup3: declare('int dup3(int fd, int as, int flags)'),
  syncFileRange: declare(
    'int sync_file_range(int fd, int64_t offset, int64_t length, uint32_t flags)',
  ),
  fsync: declare('int fsync(int fd)'),
  fdatasync: declare('int fdatasync(int fd)'),
  syncfs: declare('int syncfs(int fd)'),
  statx: declare('int statx(int dir, const void *path, int flags, uint32_t mask, void *out)'),
  fstatfs: declare('int fstatfs64(int fd, void *out)'),
  mkdirat: declare('int mkdirat(int dir, const void *path, uint32_t mode)'),
  mknodat: declare('int mknodat(int dir, const void *path, uint32_t mode, uint64_t dev)'),
  symlinkat: declare('int symlinkat(const void *target, int dir, const void *path)'),
  linkat: declare(
    'int linkat(int from, const void *fromPath, int to, const void *toPath, int flags)',
  ),
  unlinkat: declare('int unlinkat(int dir, const void *path, int flags)'),
  renameat2: declare(
    'int renameat2(int from, const void *fromPath, int to, const void *toPath, uint32_t flags)',
  ),
  readlinkat: declare('int64_t readlinkat(int dir, const void *path, void *buf, size_t size)'),
  fchmod: declare('int fchmod(int fd, uint32_t mode)'),
  chmod: declare('int chmod(const void *path, uint32_t mode)'),
  fchmodat2: declare(
    'int64_t syscall(int64_t number, int dir, const void *path, uint32_t mode, uint32_t flags)',
  ),
  fchownat: declare(
    'int fchownat(int dir, const void *path, uint32_t uid, uint32_t gid, int flags)',
  ),
  utimensat: declare('int utimensat(int dir, const void *path, const void *times, int flags)'),
  getdents: declare('int64_t getdents64(int fd, void *buf, size_t count)'),
  lgetxattr: declare(
    'int64_t lgetxattr(const void *path, const void *name, void *value, size_t size)',
  ),
  lsetxattr: declare(
    'int lsetxattr(const void *path, const void *name, const void *value, size_t size, int flags)',
  ),
  llistxattr: declare('int64_t llistxattr(const void *path, void *list, size_t size)'),
  lremovexattr: declare('int lremovexattr(const void *path, const void *name)'),
  getxattr: declare(
    'int64_t getxattr(const void *path, const void *name, void *value, size_t size)',
  ),
  setxattr: declare(
    'int setxattr(const void *path, const void *name, const void *value, size_t size, int flags)',
  ),
  listxattr: declare('int64_t listxattr(const void *path, void *list, size_t size)'),
  removexattr: declare('int removexattr(const void *path, const void *name)'),
  xattrAt: declare(
    'int64_t syscall(int64_t number, int dir, const void *path, uint32_t flags, const void *name, const void *args, size_t size)',
  ),
  removexattrAt: declare(
    'int64_t syscall(int64_t number, int dir, const void *path, uint32_t flags, const void *name)',
  ),
  listxattrAt: declare(
    'int64_t syscall(int64_t number, int dir, const void *path, uint32_t flags, void *list, size_t size)',
  ),
  poll: declare('int poll(void *fds, uint64_t count, int timeout)'),
  eventfd: declare('int eventfd(uint32_t value, int flags)'),
  socketpair: declare('int socketpair(int domain, int type, int protocol, void *pair)'),
  socket: declare('int socket(int domain, int type, int protocol)'),
  sendto: declare(
    'int64_t sendto(int fd, const void *bytes, size_t size, int flags, const void *address, uint32_t length)',
  ),
  recvmsg: declare('int64_t recvmsg(int fd, void *message, int flags)'),
  getsockopt: declare('int getsockopt(int fd, int level, int name, void *value, void *length)'),
  mount: declare(
    'int mount(const void *source, const void *target, const void *type, uint64_t flags, const void *data)',
  ),
  umount2: declare('int umount2(const void *target, int flags)'),
  setrlimit: declare('int setrlimit(int resource, const void *limit)'),
  getrlimit: declare('int getrlimit(int resource, void *limit)'),
  setfsuid: declare('int setfsuid(uint32_t uid)'),
  setfsgid: declare('int setfsgid(uint32_t gid)'),
  umask: declare('uint32_t umask(uint32_t mask)'),
  exit: declare('void _exit(int status)'),
  flock: declare('int flock(int fd, int operation)'),
  syscall1: declare('int64_t syscall(int64_t number, int64_t a)'),
  syscall2p: declare('int64_t syscall(int64_t number, void *a, void *b)'),
  syscall0: declare('int64_t syscall(int64_t number)'),
  openTree: declare('int64_t syscall(int64_t number, int dir, const void *path, uint32_t flags)'),
  mountSetattr: declare(
    'int64_t syscall(int64_t number, int dir, const void *path, uint32_t flags, const void *attr, size_t size)',
  ),
  setgroups: declare('int64_t syscall(int64_t number, int count, const void *list)'),
  openat2: declare(
    'int64_t syscall(int64_t number, int dir, const void *path, const void *how, size_t size)',
  ),
}

type Aside = { async(...args: unknown[]): void }

/** statx(2) in a thread of Node's pool: for a call that may take long, whose answer nobody needs. */
export function statAside(dir: number, path: Buffer, flags: number, out: Buffer): Promise<void> {
  const statx = libc.statx as unknown as Aside
  return new Promise((resolve) => statx.async(dir, path, flags, 0, out, () => resolve()))
}
