// How the things of a writable sublayer are opened while a program goes on using them.
//
// Rule: nothing that a program sees is changed for longer than a moment.

import { ERRNO, Errno } from '../base/errno.ts'
import { shown } from '../base/path.ts'
import { Stat } from '../host/stat.ts'
import { must, O, sys } from '../host/sys.ts'

const privileged = process.geteuid?.() === 0

/** Opens an O_PATH descriptor, its access time untouched where that is allowed: it is the application's. */
export function openForReading(fd: number): number {
  return allowed(fd, 0o400, () => tryOpen(fd))
}

function tryOpen(fd: number): number {
  const quiet = sys.reopen(fd, O.RDONLY | O.NOATIME)
  return must(quiet === -ERRNO.EPERM ? sys.reopen(fd, O.RDONLY) : quiet, 'open')
}

/**
 * Opens a name for reading that was a regular file when it was listed, its access time untouched:
 * one call where an O_PATH descriptor takes two. Negative where that cannot be had: then that tells why.
 */
export const openBytes = (dir: number, name: string): number =>
  sys.openat(dir, name, O.RDONLY | O.NOFOLLOW | O.NOATIME | O.NONBLOCK)

/** An O_PATH descriptor of a name; -ENOENT where there is none. */
export function openName(dir: number, name: string): number {
  return allowed(dir, 0o500, () => {
    const fd = sys.openat(dir, name, O.PATH | O.NOFOLLOW)
    return fd < 0 && fd !== -ERRNO.ENOENT ? must(fd, shown(name)) : fd
  })
}

const modeStat = new Stat()

/**
 * An ordinary user's own file may forbid even its owner to read it. Then its mode is opened up for
 * that moment, and put back unless somebody changed it meanwhile.
 */
export function allowed<T>(fd: number, bits: number, action: () => T): T {
  try {
    return action()
  } catch (err) {
    if (privileged || !(err instanceof Errno) || err.number !== ERRNO.EACCES) throw err
  }
  const mode = modeOf(fd)
  must(sys.chmodFd(fd, mode | bits), 'chmod')
  try {
    return action()
  } finally {
    if (modeOf(fd) === (mode | bits)) must(sys.chmodFd(fd, mode), 'chmod')
  }
}

function modeOf(fd: number): number {
  must(sys.stat(fd, '', modeStat), 'stat')
  return modeStat.mode & 0o7777
}
