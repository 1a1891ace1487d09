// Going through a mount of ours: for its root, for directories in it that are touched so that
// inotify watchers look again, and for files whose times and sizes the kernel keeps by itself.
//
// Rule: only the kernel-call thread calls this, because each call waits for the thread that
// serves the mount. Nothing else than the mount itself is entered: no link, no other mount.

import { ERRNO } from '../base/errno.ts'
import { baseName, parentPath, type RelPath } from '../base/path.ts'
import { errno, libc, statAside } from './libc.ts'
import { Stat } from './stat.ts'
import { AT_FDCWD, AT_SYMLINK_NOFOLLOW, O, S, sys, UTIME_NOW, UTIME_OMIT } from './sys.ts'

const SYS_OPENAT2 = 437
const RESOLVE_NO_XDEV = 1
const RESOLVE_NO_MAGICLINKS = 2
const RESOLVE_NO_SYMLINKS = 4
const RESOLVE_BENEATH = 8
const FUSE_SUPER_MAGIC = 0x65735546

/** Longest path that one call takes; a longer one is walked in pieces. */
const PATH_PIECE = 4000

/**
 * Opens the root of what is mounted at `mountPoint`, or answers the negative errno; ENODEV where
 * that is no FUSE mount (any more), so that nothing below it is mistaken for the mount.
 */
export function openInside(mountPoint: string, flags: number): number {
  const fd = sys.openat(AT_FDCWD, mountPoint, flags | O.DIRECTORY)
  if (fd < 0 || isFuse(fd)) return fd
  sys.close(fd)
  return -ERRNO.ENODEV
}

const statfs = Buffer.alloc(128)

const isFuse = (fd: number): boolean =>
  sys.fstatfs(fd, statfs) === 0 && statfs.readUInt32LE(0) === FUSE_SUPER_MAGIC

/** Sets the times of a directory (path from the root) to now. 0, or the negative errno. */
export function touchDirectory(root: number, path: string): number {
  const fd = openDirectory(root, path)
  if (fd < 0) return fd
  const done = sys.utimensat(fd, '', 0, UTIME_NOW, 0, UTIME_NOW)
  sys.close(fd)
  return done
}

const AT_NO_AUTOMOUNT = 0x800

/** To be called once. */
export type Ask = () => Promise<void>

/**
 * Finds what is needed to ask for a name (path from the mount's root). The answer asks, in another
 * thread, and does nothing with what it hears: the kernel takes down what it knows below a name
 * that is gone while it is asked for.
 */
export function prepareAsk(mountPoint: string, path: string): Ask {
  const root = openInside(mountPoint, O.PATH)
  if (root < 0) return async () => {}
  const dir = openDirectory(root, parentPath(path as RelPath))
  sys.close(root)
  if (dir < 0) return async () => {}
  const name = Buffer.from(`${baseName(path as RelPath)}\0`, 'latin1')
  const flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT
  return async () => {
    await statAside(dir, name, flags, new Stat().bytes)
    sys.close(dir)
  }
}

const found = new Stat()

export interface FileChange {
  /** From the root. */
  readonly path: string
  /** The file that is meant: another at that path is left alone. */
  readonly ino: number
  /** Null where it was not cut. */
  readonly size: number | null
  readonly mtime: number
  readonly mtimeNsec: number
}

/** Has the kernel take a file's size and time of change from us. 0, or the negative errno. */
export function changeFile(root: number, change: FileChange): number {
  const dir = openDirectory(root, parentPath(change.path as RelPath))
  if (dir < 0) return dir
  const fd = sys.openat(dir, baseName(change.path as RelPath), O.PATH | O.NOFOLLOW)
  sys.close(dir)
  if (fd < 0) return fd
  const same = sys.stat(fd, '', found) >= 0 && found.ino === change.ino
  const { size, mtime, mtimeNsec } = change
  if (same && size !== null && (found.mode & S.IFMT) === S.IFREG) sys.truncate(fd, size)
  const done = same ? sys.utimensat(fd, '', 0, UTIME_OMIT, mtime, mtimeNsec) : 0
  sys.close(fd)
  return done
}

function openDirectory(root: number, path: string): number {
  let at = openBeneath(root, '.')
  let rest = path
  while (at >= 0 && rest !== '') {
    const piece = firstPiece(rest)
    const next = openBeneath(at, piece)
    sys.close(at)
    at = next
    rest = rest.slice(piece.length + 1)
  }
  return at
}

function firstPiece(path: string): string {
  if (path.length <= PATH_PIECE) return path
  return path.slice(0, path.lastIndexOf('/', PATH_PIECE))
}

// struct open_how {flags u64, mode u64, resolve u64}
const how = new BigUint64Array([
  BigInt(O.PATH | O.DIRECTORY | O.CLOEXEC),
  0n,
  BigInt(RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH),
])
const howBytes = Buffer.from(how.buffer)

function openBeneath(dir: number, path: string): number {
  const name = Buffer.from(`${path}\0`, 'latin1')
  const fd = libc.openat2(SYS_OPENAT2, dir, name, howBytes, howBytes.length)
  return fd < 0 ? -errno() : Number(fd)
}
