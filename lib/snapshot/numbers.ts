// The log of a writable sublayer's inode numbers, `rw/<n>.numbers`: 16 bytes a record,
// backing inode u64, number u64, little-endian. The last record of a backing inode counts.
//
// Rule: it only grows. A record that a crash cut short is cut off before the next is appended.

import { Cursor, Writer } from '../base/cursor.ts'
import { ERRNO, Errno } from '../base/errno.ts'
import { shown } from '../base/path.ts'
import { readWhole } from '../host/file.ts'
import { Stat } from '../host/stat.ts'
import { AT_FDCWD, must, O, sys } from '../host/sys.ts'

const RECORD = 16

export interface NumberRecord {
  readonly ino: number
  readonly number: number
}

/** Numbers by backing inode; empty where there is no log. */
export function readNumbers(path: string | null): Map<number, number> {
  const numbers = new Map<number, number>()
  if (path === null) return numbers
  const cursor = new Cursor(readOrEmpty(path))
  while (cursor.left >= RECORD) {
    const ino = cursor.u64()
    numbers.set(ino, cursor.u64())
  }
  return numbers
}

function readOrEmpty(path: string): Buffer {
  try {
    return readWhole(path)
  } catch (err) {
    if (err instanceof Errno && err.number === ERRNO.ENOENT) return Buffer.alloc(0)
    throw err
  }
}

/** Appends records in one write. Throws Errno. */
export function appendNumbers(path: string, records: readonly NumberRecord[]): void {
  if (records.length === 0) return
  const bytes = Buffer.alloc(records.length * RECORD)
  const out = new Writer(bytes)
  for (const { ino, number } of records) {
    out.u64(ino)
    out.u64(number)
  }
  const fd = must(sys.openat(AT_FDCWD, path, O.WRONLY | O.CREAT, 0o600), shown(path))
  try {
    const stat = new Stat()
    must(sys.stat(fd, '', stat), shown(path))
    const end = stat.size - (stat.size % RECORD)
    for (let done = 0; done < bytes.length; ) {
      const rest = bytes.subarray(done)
      done += must(sys.pwrite(fd, rest, rest.length, end + done), shown(path))
    }
  } finally {
    sys.close(fd)
  }
}
