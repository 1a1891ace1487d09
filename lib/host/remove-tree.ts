// Removing a directory with all it holds, however deep, without following anything.

import { ERRNO, Errno } from '../base/errno.ts'
import { DT, listDirectory } from './directory.ts'
import { Stat } from './stat.ts'
import { AT_REMOVEDIR, must, O, sys } from './sys.ts'

/**
 * Removes `name` of the directory `dir`, whatever it is; absent is no failure. A directory that
 * its owner may not enter is opened up first. Never enters a mount: throws EBUSY there, with
 * what was removed already gone. Throws Errno.
 */
export function removeTree(dir: number, name: string): void {
  const done = sys.unlinkat(dir, name)
  if (done >= 0 || done === -ERRNO.ENOENT) return
  if (done !== -ERRNO.EISDIR && done !== -ERRNO.EPERM) must(done, name)
  const fd = openUp(dir, name)
  try {
    for (const entry of listDirectory(fd)) {
      if (entry.type === DT.DIR || entry.type === DT.UNKNOWN) removeTree(fd, entry.name)
      else must(sys.unlinkat(fd, entry.name), entry.name)
    }
  } finally {
    sys.close(fd)
  }
  must(sys.unlinkat(dir, name, AT_REMOVEDIR), name)
}

/** The same for what nobody sees any more: where it fails, the next opening of its directory clears it. */
export function removeQuietly(dir: number, name: string): void {
  try {
    removeTree(dir, name)
  } catch (err) {
    if (!(err instanceof Errno)) throw err
  }
}

function openUp(dir: number, name: string): number {
  const path = must(sys.openat(dir, name, O.PATH | O.DIRECTORY | O.NOFOLLOW), name)
  try {
    const stat = new Stat()
    // The directory that holds it: `dir`, unless the name is a path from elsewhere.
    const slash = name.lastIndexOf('/')
    must(sys.stat(dir, slash < 0 ? '' : name.slice(0, slash) || '/', stat), name)
    const { dev } = stat
    must(sys.stat(path, '', stat), name)
    if (stat.dev !== dev) must(-ERRNO.EBUSY, name)
    // A failure shows in the calls that follow: the owner of a directory may always do this.
    if ((stat.mode & 0o700) !== 0o700) sys.chmodFd(path, 0o700)
    return must(sys.reopen(path, O.RDONLY | O.DIRECTORY), name)
  } finally {
    sys.close(path)
  }
}
