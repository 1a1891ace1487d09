// Small files as a whole: read at once, or replaced so that a crash leaves the old or the new.
//
// Paths are absolute and internal (bytes as latin1 text).

import { open } from 'node:fs/promises'
import { ERRNO, Errno } from '../base/errno.ts'
import { Stat } from './stat.ts'
import { AT_FDCWD, must, O, sys } from './sys.ts'

/** The file's bytes, or its first `most`. Throws Errno. */
export function readWhole(path: string, most = Number.POSITIVE_INFINITY): Buffer {
  const fd = must(sys.openat(AT_FDCWD, path, O.RDONLY), path)
  try {
    const stat = new Stat()
    must(sys.stat(fd, '', stat), path)
    const bytes = Buffer.alloc(Math.min(stat.size, most))
    for (let at = 0; at < bytes.length; ) {
      const length = must(sys.read(fd, bytes.subarray(at), bytes.length - at), path)
      if (length === 0) return bytes.subarray(0, at)
      at += length
    }
    return bytes
  } finally {
    sys.close(fd)
  }
}

/** Replaces the file: written beside it, flushed, renamed, the directory flushed. Throws Errno. */
export function writeWhole(path: string, bytes: Buffer, mode = 0o644): void {
  const temporary = `${path}.new`
  const fd = must(sys.openat(AT_FDCWD, temporary, O.WRONLY | O.CREAT | O.TRUNC, mode), temporary)
  try {
    for (let at = 0; at < bytes.length; ) {
      const rest = bytes.subarray(at)
      const length = must(sys.write(fd, rest, rest.length), temporary)
      if (length === 0) throw new Errno(ERRNO.EIO, temporary)
      at += length
    }
    must(sys.fsync(fd), temporary)
  } finally {
    sys.close(fd)
  }
  must(sys.renameat(AT_FDCWD, temporary, AT_FDCWD, path), path)
  syncDirectory(path.slice(0, path.lastIndexOf('/') + 1) || '.')
}

/** Makes names made or removed in a directory outlive a power loss. Throws Errno. */
export function syncDirectory(path: string): void {
  const fd = must(sys.openat(AT_FDCWD, path, O.RDONLY | O.DIRECTORY), path)
  const done = sys.fsync(fd)
  sys.close(fd)
  must(done, path)
}

/** The same for a path as Node has it, while other work goes on. Throws Node's errors. */
export async function flushDirectory(path: string): Promise<void> {
  const dir = await open(path, 'r')
  try {
    await dir.sync()
  } finally {
    await dir.close()
  }
}
