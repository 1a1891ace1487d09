// Mounting: FUSE at a directory, and a private copy of a tree of mounts.
//
//   root   open /dev/fuse ─▶ mount(2) with its number among the options
//   user   fusermount3 does both, and passes the descriptor over a socket (fusermount.ts)
//
// Rule: mount(2) and umount2(2) walk paths that may lead through a mount which this process
// serves: never called by the thread that serves it. All paths are internal (latin1).

import { ERRNO, Errno, errnoName } from '../base/errno.ts'
import { Failure } from '../base/failure.ts'
import { shown } from '../base/path.ts'
import { fusermount, fuserumount } from './fusermount.ts'
import { errno, libc } from './libc.ts'
import { AT_EMPTY_PATH, AT_FDCWD, MNT_DETACH, must, O, sys } from './sys.ts'

export interface MountRequest {
  readonly mountPoint: string
  /** First field of /proc/mounts. */
  readonly source: string
  readonly readOnly: boolean
  /** Users other than the one who mounts may enter. */
  readonly allowOther: boolean
}

const FILESYSTEM_TYPE = 'fuse.svsfs'

const MS_RDONLY = 1
const MS_PRIVATE = 1 << 18
const OPEN_TREE_CLONE = 1
const AT_RECURSIVE = 0x8000
/** The same on x86-64 and arm64, as all calls are since 5.0. */
const SYS_OPEN_TREE = 428
const SYS_MOUNT_SETATTR = 442

const isRoot = (): boolean => process.geteuid?.() === 0

/** Mounts, and answers the device: O_NONBLOCK, closed on exec. The kernel's INIT waits in it. */
export function mountFuse(request: MountRequest): number {
  const device = isRoot() ? mountAsRoot(request) : fusermount(request)
  // fusermount3 opens the device itself, for reading that waits.
  must(sys.setWaiting(device, false), 'fcntl')
  return device
}

/** Unmounts; SVS_MOUNT_BUSY where something in it is in use, unless `lazy`. Not mounted is no failure. */
export function unmountFuse(mountPoint: string, lazy: boolean): void {
  if (!isRoot()) {
    fuserumount(mountPoint, lazy)
    return
  }
  const done = sys.umount2(mountPoint, lazy ? MNT_DETACH : 0)
  if (done === -ERRNO.EBUSY) throw new Failure('SVS_MOUNT_BUSY', shown(mountPoint))
  if (done < 0 && done !== -ERRNO.EINVAL) throw new Errno(-done, `umount ${shown(mountPoint)}`)
}

/**
 * A copy of the tree of mounts under `path`, reachable by the answered descriptor (O_PATH) alone.
 * What is mounted later, or by us, does not appear in it. Root only. Throws Errno.
 */
export function cloneTree(path: string): number {
  const flags = OPEN_TREE_CLONE | AT_RECURSIVE | O.CLOEXEC
  const fd = libc.openTree(SYS_OPEN_TREE, AT_FDCWD, terminated(path), flags)
  if (fd < 0) throw new Errno(errno(), `open_tree ${shown(path)}`)
  // Of a shared mount the copy would be a peer, into which new mounts propagate.
  const attr = new BigUint64Array([0n, 0n, BigInt(MS_PRIVATE), 0n])
  const how = Buffer.from(attr.buffer)
  const within = AT_EMPTY_PATH | AT_RECURSIVE
  if (
    libc.mountSetattr(SYS_MOUNT_SETATTR, Number(fd), terminated(''), within, how, how.length) < 0
  ) {
    const number = errno()
    sys.close(Number(fd))
    throw new Errno(number, `mount_setattr ${shown(path)}`)
  }
  return Number(fd)
}

function mountAsRoot(request: MountRequest): number {
  const device = sys.openat(AT_FDCWD, '/dev/fuse', O.RDWR | O.NONBLOCK)
  if (device < 0) throw new Failure('SVS_FUSE_UNAVAILABLE', errnoName(-device))
  const options = [
    `fd=${device}`,
    'rootmode=40000',
    `user_id=${process.geteuid?.() ?? 0}`,
    `group_id=${process.getegid?.() ?? 0}`,
    'default_permissions',
    ...(request.allowOther ? ['allow_other'] : []),
  ]
  const done = libc.mount(
    terminated(request.source),
    terminated(request.mountPoint),
    terminated(FILESYSTEM_TYPE),
    request.readOnly ? MS_RDONLY : 0,
    terminated(options.join(',')),
  )
  if (done >= 0) return device
  const number = errno()
  sys.close(device)
  throw mountFailure(request.mountPoint, number)
}

function mountFailure(mountPoint: string, number: number): Failure {
  const cause = { cause: new Errno(number, 'mount') }
  if (number === ERRNO.ENODEV) {
    return new Failure('SVS_FUSE_UNAVAILABLE', 'the kernel has no FUSE', cause)
  }
  return new Failure('SVS_MOUNT_POINT_INVALID', shown(mountPoint), reasonOf(number), cause)
}

const REASONS: Record<number, string> = {
  [ERRNO.ENOENT]: 'it does not exist',
  [ERRNO.ENOTDIR]: 'it is not a directory',
  [ERRNO.EPERM]: 'mounting is not permitted here (a container without CAP_SYS_ADMIN?)',
}

const reasonOf = (number: number): string => REASONS[number] ?? errnoName(number)

const terminated = (text: string): Buffer => Buffer.from(`${text}\0`, 'latin1')
