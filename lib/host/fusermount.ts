// Mounting without privilege: fusermount3, a setuid program of the package fuse3, opens the
// device, mounts it, and passes its descriptor back over a unix socket.
//
//   socketpair ── [3] ─▶ fusermount3 (_FUSE_COMMFD=3) ── sendmsg(SCM_RIGHTS: device) ─▶ recvmsg
//
// Rule: it is waited for with a timeout, and the socket is read without waiting once it has
// ended: whatever it does, nothing here hangs. What it prints becomes the reason.

import { spawnSync } from 'node:child_process'
import { Errno } from '../base/errno.ts'
import { Failure } from '../base/failure.ts'
import { shown } from '../base/path.ts'
import { addressOf, errno, libc } from './libc.ts'
import type { MountRequest } from './mount.ts'
import { AT_FDCWD, must, O, sys } from './sys.ts'

const PROGRAM = 'fusermount3'
const PATIENCE = 20_000

const AF_UNIX = 1
const SOCK_STREAM = 1
const SOCK_CLOEXEC = 0o2000000
const MSG_DONTWAIT = 0x40
const MSG_CMSG_CLOEXEC = 0x40000000

/** The device of a new mount. Throws a Failure with what fusermount3 said. */
export function fusermount(request: MountRequest): number {
  const pair = new Int32Array(2)
  if (libc.socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, Buffer.from(pair.buffer)) < 0) {
    throw new Errno(errno(), 'socketpair')
  }
  const [ours, theirs] = pair as unknown as [number, number]
  try {
    atMountPoint(request.mountPoint, (place) => {
      call(['-o', options(request), '--', place], theirs, (said) => failureOf(request, said))
    })
    return receiveDescriptor(ours) ?? unavailable('fusermount3 passed no descriptor')
  } finally {
    sys.close(ours)
    sys.close(theirs)
  }
}

/** Unmounts as fusermount3 does. SVS_MOUNT_BUSY where it is in use; not mounted is no failure. */
export function fuserumount(mountPoint: string, lazy: boolean): void {
  call(['-u', ...(lazy ? ['-z'] : []), '--', nodeText(mountPoint)], null, (said) => {
    if (/not found in|not mounted|Invalid argument/.test(said)) return null
    return /busy/i.test(said)
      ? new Failure('SVS_MOUNT_BUSY', shown(mountPoint))
      : new Failure('SVS_MOUNT_POINT_INVALID', shown(mountPoint), said)
  })
}

/** Runs it to its end; `judge` makes the failure of what it printed, or null where it is none. */
function call(
  args: string[],
  socket: number | null,
  judge: (said: string) => Failure | null,
): void {
  const ran = spawnSync(PROGRAM, args, {
    stdio: ['ignore', 'ignore', 'pipe', ...(socket === null ? [] : [socket])],
    env: { ...process.env, LC_ALL: 'C', ...(socket === null ? {} : { _FUSE_COMMFD: '3' }) },
    timeout: PATIENCE,
    killSignal: 'SIGKILL',
  })
  const code = (ran.error as NodeJS.ErrnoException | undefined)?.code
  if (code === 'ENOENT') throw new Failure('SVS_FUSERMOUNT_MISSING')
  if (ran.status === 0) return
  const said = ran.stderr?.toString().trim() ?? ''
  const failure = judge(
    said !== '' ? said : `${PROGRAM} ended with ${code ?? ran.signal ?? ran.status}`,
  )
  if (failure !== null) throw failure
}

function failureOf(request: MountRequest, said: string): Failure {
  if (/\/dev\/fuse|fuse device/.test(said)) return new Failure('SVS_FUSE_UNAVAILABLE', said)
  if (said.includes('allow_other')) return new Failure('SVS_ALLOW_OTHER_REFUSED')
  return new Failure('SVS_MOUNT_POINT_INVALID', shown(request.mountPoint), said)
}

const unavailable = (why: string): never => {
  throw new Failure('SVS_FUSE_UNAVAILABLE', why)
}

function options(request: MountRequest): string {
  const list = [
    request.readOnly ? 'ro' : 'rw',
    'nosuid',
    'nodev',
    'default_permissions',
    `fsname=${escaped(nodeText(request.source))}`,
    'subtype=svsfs',
  ]
  if (request.allowOther) list.push('allow_other')
  return list.join(',')
}

// fusermount3 splits at commas, and takes a backslash as "the next one is no separator".
const escaped = (text: string): string => text.replace(/[\\,]/g, '\\$&')

/** Arguments of a program are UTF-8 in Node: other bytes cannot be passed. */
function nodeText(bytes: string): string {
  const text = Buffer.from(bytes, 'latin1').toString('utf8')
  return text.includes('\ufffd') ? bytes : text
}

// A mount point whose name is not UTF-8 is reached by a descriptor: fusermount3 resolves the link.
function atMountPoint(mountPoint: string, use: (place: string) => void): void {
  const text = nodeText(mountPoint)
  if (text !== mountPoint || !/[\x80-\xff]/.test(mountPoint)) {
    use(text)
    return
  }
  const fd = sys.openat(AT_FDCWD, mountPoint, O.PATH | O.DIRECTORY)
  if (fd < 0) throw new Failure('SVS_MOUNT_POINT_INVALID', shown(mountPoint), 'it cannot be opened')
  try {
    use(`/proc/${process.pid}/fd/${fd}`)
  } finally {
    sys.close(fd)
  }
}

// struct msghdr {name*, namelen u32, iov*, iovlen u64, control*, controllen u64, flags s32} of a
// 64-bit machine; control: struct cmsghdr {len u64, level s32, type s32} and the descriptor.
function receiveDescriptor(socket: number): number | null {
  const byte = Buffer.alloc(8)
  const control = Buffer.alloc(24)
  const vector = Buffer.alloc(16)
  vector.writeBigUInt64LE(addressOf(byte), 0)
  vector.writeBigUInt64LE(1n, 8)
  const message = Buffer.alloc(56)
  message.writeBigUInt64LE(addressOf(vector), 16)
  message.writeBigUInt64LE(1n, 24)
  message.writeBigUInt64LE(addressOf(control), 32)
  message.writeBigUInt64LE(BigInt(control.length), 40)
  const got = libc.recvmsg(socket, message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)
  const SOL_SOCKET = 1
  const SCM_RIGHTS = 1
  if (got < 0 || message.readBigUInt64LE(40) < 20n) return null
  if (control.readInt32LE(8) !== SOL_SOCKET || control.readInt32LE(12) !== SCM_RIGHTS) return null
  return must(control.readInt32LE(16), 'recvmsg')
}
