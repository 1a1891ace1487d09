// Going through a mount of ours: for its root, and for directories in it that are touched so
// that inotify watchers look again.
//
// Rule: only the kernel-call thread calls this, because each call waits for the thread that
// serves the mount. Nothing else than the mount itself is entered: no link, no other mount.

import { ERRNO } from '../base/errno.ts'
import { errno, libc } from './libc.ts'
import { AT_FDCWD, O, sys, UTIME_NOW } from './sys.ts'

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
