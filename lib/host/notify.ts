// Words to the service manager that started this process: sd_notify(3).
//
//   $NOTIFY_SOCKET = /run/… or @abstract  ◀── one datagram: "READY=1"
//
// Rule: without the variable nothing is said, and a manager that cannot be reached is no failure here:
// it decides itself what becomes of a service that says nothing.

import { libc } from './libc.ts'
import { sys } from './sys.ts'

const AF_UNIX = 1
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0o2000000
/** Room for a path in sockaddr_un. */
const LONGEST = 108

/** True where the words were taken. */
export function notifyManager(words: string, socket = process.env.NOTIFY_SOCKET ?? ''): boolean {
  const address = addressOfSocket(socket)
  if (address === null) return false
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
  if (fd < 0) return false
  const bytes = Buffer.from(words)
  const sent = libc.sendto(fd, bytes, bytes.length, 0, address, address.length)
  sys.close(fd)
  return sent === bytes.length
}

/** sockaddr_un; null of what is none. */
function addressOfSocket(socket: string): Buffer | null {
  if (!/^[/@]./.test(socket)) return null
  const path = Buffer.from(socket)
  if (path.length >= LONGEST) return null
  if (socket.startsWith('@')) path[0] = 0
  const end = socket.startsWith('@') ? 0 : 1
  const address = Buffer.alloc(2 + path.length + end)
  address.writeUInt16LE(AF_UNIX)
  path.copy(address, 2)
  return address
}
