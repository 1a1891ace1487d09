// A place: a directory that a behaviour works in, as POSIX calls see it. Names and paths are
// relative to it, bytes as latin1 text; contents given as text are latin1 too.
//
//   behaviour ─▶ Place ─▶ RealPlace       libc, on a directory or a mount of another process
//                     ─▶ InProcessPlace   a FileSystem of lib/fuse, without a kernel
//
// Rule: a failed call throws an Errno, whichever place it is; a behaviour knows nothing else
// about how its place was made.

import { Errno, type ErrnoName } from '../../lib/base/errno.ts'
import { S } from '../../lib/host/sys.ts'

export type Kind =
  | 'file'
  | 'directory'
  | 'symlink'
  | 'fifo'
  | 'socket'
  | 'character'
  | 'block'
  | 'unknown'

/** Attributes of one file. */
export interface Facts {
  readonly kind: Kind
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number
  readonly nlink: number
  readonly uid: number
  readonly gid: number
  readonly ino: number
  readonly size: number
  /** 512-byte units. */
  readonly blocks: number
  /** new_encode_dev form. */
  readonly rdev: number
  /** Nanoseconds since 1970. */
  readonly atime: bigint
  readonly mtime: bigint
  readonly ctime: bigint
}

export interface Listed {
  readonly name: string
  readonly ino: number
  readonly kind: Kind
}

/** Nanoseconds since 1970, the present moment, or "leave it as it is". */
export type Time = bigint | 'now' | 'keep'

/** One open file. */
export interface OpenFile {
  /** At the file's own offset, which it moves. */
  read(count: number): Buffer
  write(data: string | Buffer): number
  pread(count: number, offset: number): Buffer
  pwrite(data: string | Buffer, offset: number): number
  /** whence: 0 start, 1 here, 2 end, 3 next data, 4 next hole. */
  seek(offset: number, whence: number): number
  stat(): Facts
  truncate(size: number): void
  sync(dataOnly?: boolean): void
  /** mode: FALLOC_FL_* bits. */
  allocate(mode: number, offset: number, length: number): void
  chmod(mode: number): void
  chown(uid: number, gid: number): void
  utimens(atime: Time, mtime: Time): void
  getxattr(name: string): Buffer | null
  setxattr(name: string, value: string): void
  /** Gives the file one more name. */
  linkTo(path: string): void
  /** copy_file_range: answers how many bytes it moved. */
  copyTo(to: OpenFile, offset: number, toOffset: number, length: number): number
  /** A shared writable mapping of the first `length` bytes. Needs 'kernel'. */
  map(length: number): Buffer
  close(): void
}

/** One open directory. */
export interface OpenDirectory {
  /** The next few entries, without `.` and `..`; none at the end. */
  some(): Listed[]
  rewind(): void
  sync(): void
  close(): void
}

/** What some behaviours cannot do without. */
export type Need =
  /** A kernel between caller and files: permissions, page cache, programs. */
  | 'kernel'
  /** Rights of root: owners, devices, other callers. */
  | 'root'

export interface Place {
  /** Throws NotHere where the place lacks one of them. */
  needs(...needs: Need[]): void
  /** Absolute path for programs and links; needs 'kernel'. */
  path(name?: string): string
  open(path: string, flags?: number, mode?: number): OpenFile
  /** O_TMPFILE: an open file without a name. */
  tmpfile(directory: string, flags?: number, mode?: number): OpenFile
  opendir(path: string): OpenDirectory
  /** A directory in it as a place of its own. */
  inside(path: string): Place & { close(): void }
  /** All entries, in byte order of their names. */
  list(path: string): Listed[]
  /** Follows a last symbolic link; lstat does not. */
  stat(path: string): Facts
  lstat(path: string): Facts
  access(path: string, mask: number): void
  mkdir(path: string, mode?: number): void
  /** mode with the type's bits; rdev in new_encode_dev form. */
  mknod(path: string, mode: number, rdev?: number): void
  symlink(target: string, path: string): void
  readlink(path: string): string
  link(from: string, to: string): void
  unlink(path: string): void
  rmdir(path: string): void
  /** flags: RENAME_NOREPLACE, RENAME_EXCHANGE. */
  rename(from: string, to: string, flags?: number): void
  truncate(path: string, size: number): void
  chmod(path: string, mode: number): void
  /** -1 keeps an owner. */
  chown(path: string, uid: number, gid: number): void
  lchown(path: string, uid: number, gid: number): void
  utimens(path: string, atime: Time, mtime: Time): void
  lutimens(path: string, atime: Time, mtime: Time): void
  /** Extended attributes of the name itself, no link followed; null where it is not set. */
  getxattr(path: string, name: string): Buffer | null
  setxattr(path: string, name: string, value: string | Buffer, flags?: number): void
  listxattr(path: string): string[]
  removexattr(path: string, name: string): void
  statfs(path: string): { namelen: number; blocks: number; bsize: number }
  /** Runs `work` with another umask. */
  umask<T>(mask: number, work: () => T): T
  /** Runs `work` as another user and group, with these further groups. Needs 'root'. */
  as<T>(uid: number, gid: number, work: () => T, groups?: readonly number[]): T
}

/** Thrown by `needs`: the behaviour does not apply to this place. */
export class NotHere extends Error {
  override name = 'NotHere'
}

export const kindOf = (mode: number): Kind => KINDS.get(mode & S.IFMT) ?? 'unknown'

/** Kind for a DT_* number of readdir. */
export const kindOfEntry = (type: number): Kind => kindOf(type << 12)

const KINDS = new Map<number, Kind>([
  [S.IFREG, 'file'],
  [S.IFDIR, 'directory'],
  [S.IFLNK, 'symlink'],
  [S.IFIFO, 'fifo'],
  [S.IFSOCK, 'socket'],
  [S.IFCHR, 'character'],
  [S.IFBLK, 'block'],
])

export const bufferOf = (data: string | Buffer): Buffer =>
  typeof data === 'string' ? Buffer.from(data, 'latin1') : data

/** Byte order of latin1 names. */
export const byName = (a: { name: string }, b: { name: string }): number =>
  a.name < b.name ? -1 : a.name > b.name ? 1 : 0

/** The name of the errno that `work` ends with; null where it succeeds. */
export function errnoOfCall(work: () => unknown): ErrnoName | string | null {
  try {
    work()
    return null
  } catch (err) {
    if (err instanceof Errno) return err.code
    throw err
  }
}
