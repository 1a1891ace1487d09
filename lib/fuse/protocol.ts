// Numbers of the kernel's FUSE protocol: flags, sizes of structures, notification codes.
// Layouts are those of linux/fuse.h; what is newer than 7.38 is marked with its minor version.
//
//   request   header 40: length u32, opcode u32, unique u64, node u64, uid, gid, pid u32,
//                        extensions u16, padding u16; then the operation's own fields
//   reply     header 16: length u32, error s32 (negative errno), unique u64; then the answer
//   notify    the reply's header with unique 0 and a NOTIFY code where the error is
//
// Rule: opcodes stand in operations.ts, and nowhere else.

export const MAJOR = 7
/** Newest minor version whose layouts this code knows. */
export const MINOR = 45

export const REQUEST_HEADER = 40
export const REPLY_HEADER = 16

/** Largest WRITE and READ that are negotiated: 256 pages. */
export const MAX_PAGES = 256
export const MAX_WRITE = MAX_PAGES * 4096

/** A request is never longer: the largest WRITE, its header and its fields, with room to spare. */
export const REQUEST_BUFFER = MAX_WRITE + 8192
/** A reply is never longer: the largest READ and its header. */
export const REPLY_BUFFER = MAX_WRITE + 8192

/** Bytes before the entry's name in a READDIR reply (struct fuse_dirent), padded to 8. */
export const DIRENT = 24
/** Bytes of struct fuse_entry_out, which READDIRPLUS puts before each struct fuse_dirent. */
export const ENTRY = 128

/** INIT flags. Those from bit 32 on travel in a second word, so all are written as bit numbers. */
export const INIT = {
  ASYNC_READ: 0,
  ATOMIC_O_TRUNC: 3,
  EXPORT_SUPPORT: 4,
  BIG_WRITES: 5,
  DONT_MASK: 6,
  DO_READDIRPLUS: 13,
  READDIRPLUS_AUTO: 14,
  ASYNC_DIO: 15,
  WRITEBACK_CACHE: 16,
  PARALLEL_DIROPS: 18,
  POSIX_ACL: 20,
  MAX_PAGES: 22,
  CACHE_SYMLINKS: 23,
  HANDLE_KILLPRIV_V2: 28,
  SETXATTR_EXT: 29,
  INIT_EXT: 30,
  HAS_EXPIRE_ONLY: 35,
  /** 7.39 */
  DIRECT_IO_ALLOW_MMAP: 36,
  /** 7.40 */
  PASSTHROUGH: 37,
} as const

export type InitFlag = keyof typeof INIT

export const GETATTR_FH = 1
export const OPEN_KILL_SUIDGID = 1
export const WRITE_CACHE = 1
export const WRITE_KILL_SUIDGID = 4
export const FSYNC_FDATASYNC = 1
export const SETXATTR_ACL_KILL_SGID = 1
export const EXPIRE_ONLY = 1

/** Codes of what the kernel is told without having asked. */
export const NOTIFY = {
  INVAL_INODE: 2,
  INVAL_ENTRY: 3,
  STORE: 4,
  RETRIEVE: 5,
  /** 7.45 */
  PRUNE: 9,
} as const

/** "For ever" in seconds: nothing the kernel does to it overflows. */
export const FOREVER = 1e9

/** How long a name or its attributes are valid, in the two fields of the protocol. */
export const wholeSeconds = (valid: number): number => Math.floor(Math.min(valid, FOREVER))
export const nanoseconds = (valid: number): number =>
  valid >= FOREVER ? 0 : Math.floor((valid % 1) * 1e9)
