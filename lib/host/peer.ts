// Who is at the other end of a unix socket, as the kernel recorded it at connect(2).

import { errno, libc } from './libc.ts'

const SOL_SOCKET = 1
const SO_PEERCRED = 17

/** uid of the process that connected, or the negative errno. */
export function peerUid(fd: number): number {
  // struct ucred: pid, uid, gid; beside it the length, which the kernel writes back.
  const credentials = Buffer.alloc(12)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(credentials.length)
  const done = libc.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, length)
  return done < 0 ? -errno() : credentials.readUInt32LE(4)
}
