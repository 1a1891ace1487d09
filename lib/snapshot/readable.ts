// Something to read from at an offset: a file of a tree, an open file, bytes in memory.
//
// Rule: no link of a tree is followed, and a path may be longer than PATH_MAX.

import { type RelPath, shown } from '../base/path.ts'
import { Stat } from '../host/stat.ts'
import { AT_FDCWD, must, O, S, sys } from '../host/sys.ts'
import { FileCut, readFull } from './file-data.ts'

/** Bytes at an offset of a reference, or of what becomes a file. */
export interface Readable {
  readonly size: number
  /** Fills `into` from `offset`. */
  read(into: Buffer, offset: number): void
  close(): void
}

/** Bytes as something to read from. */
export const inMemory = (bytes: Buffer): Readable => ({
  size: bytes.length,
  read(into, offset) {
    if (offset + into.length > bytes.length) throw new FileCut(`content ends at ${bytes.length}`)
    bytes.copy(into, 0, offset)
  },
  close() {},
})

/** Writes all of `bytes`. Throws Errno. */
export function writeFull(fd: number, bytes: Buffer, offset: number): void {
  for (let done = 0; done < bytes.length; ) {
    const rest = done === 0 ? bytes : bytes.subarray(done)
    done += must(sys.pwrite(fd, rest, rest.length, offset + done), 'pwrite')
  }
}

/** An open file as something to read from. */
export const readable = (fd: number, size: number): Readable => ({
  size,
  read: (into, offset) => readFull(fd, into, offset),
  close: () => void sys.close(fd),
})

const lowerStat = new Stat()

/** A regular file of the read-only sublayer; null where there is none. Follows no link. */
export function openLower(roots: readonly string[], path: RelPath | undefined): Readable | null {
  if (path === undefined) return null
  for (const root of roots) {
    const fd = openBelow(root, path)
    if (fd === null) continue
    must(sys.stat(fd, '', lowerStat), shown(path))
    if ((lowerStat.mode & S.IFMT) === S.IFREG) return readable(fd, lowerStat.size)
    sys.close(fd)
    return null
  }
  return null
}

/**
 * Opens a file of a tree; null where there is none. Name by name, each relative to the directory
 * before: a path may be longer than PATH_MAX.
 */
export function openBelow(root: string, path: RelPath): number | null {
  let dir = must(sys.openat(AT_FDCWD, root, O.PATH | O.DIRECTORY), shown(root))
  const names = path.split('/')
  const last = names.pop()!
  for (const name of names) {
    const next = sys.openat(dir, name, O.PATH | O.DIRECTORY | O.NOFOLLOW)
    sys.close(dir)
    if (next < 0) return null
    dir = next
  }
  const fd = sys.openat(dir, last, O.RDONLY | O.NOFOLLOW | O.NONBLOCK)
  sys.close(dir)
  return fd < 0 ? null : fd
}
