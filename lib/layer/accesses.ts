// When programs last accessed the files of a published tree: they are read from its index, so
// the disk does not learn of it, and the tree itself never changes.
//
//   <index>.accessed   per file, 16 bytes: number u32, nanosecond u32, second i64
//
// Rule: a time is as a disk with relatime has it. What is noted is written when the tree is closed;
// a daemon that is killed loses what it noted, and no more.

import { Cursor, Writer } from '../base/cursor.ts'
import { ERRNO, Errno } from '../base/errno.ts'
import { readWhole, writeWhole } from '../host/file.ts'
import type { Stat } from '../host/stat.ts'
import type { IndexTables } from './index-tables.ts'

const RECORD = 16

/** Where the accesses of an indexed tree are kept. */
export const accessesOf = (index: string): string => `${index}.accessed`

export class Accesses {
  readonly #path: string
  /** A bit for each number. */
  #noted = new Uint8Array(0)
  #count = 0
  #changed = false

  constructor(path: string) {
    this.#path = path
  }

  get isEmpty(): boolean {
    return this.#count === 0
  }

  /** Puts the times that were kept into the tables. */
  load(tables: IndexTables): void {
    this.#noted = new Uint8Array((tables.columns.inodes.length >> 3) + 1)
    const cursor = new Cursor(readOrNothing(this.#path))
    while (cursor.left >= RECORD) {
      const number = cursor.u32()
      const nsec = cursor.u32()
      const seconds = cursor.i64()
      if (number === 0 || number >= tables.columns.inodes.length || nsec >= 1e9) continue
      tables.setAccess(number, seconds, nsec)
      this.#mark(number)
    }
  }

  /** The same times, put into other tables of the same tree. */
  move(from: IndexTables, to: IndexTables): void {
    for (let number = 1; number < to.columns.inodes.length; number++)
      if (this.#has(number)) to.setAccess(number, ...from.accessOf(number))
  }

  /** A file was accessed now. */
  note(tables: IndexTables, number: number): void {
    const now = Date.now()
    const seconds = Math.floor(now / 1000)
    if (!tables.isDue(number, seconds)) return
    tables.setAccess(number, seconds, (now % 1000) * 1e6)
    this.#mark(number)
    this.#changed = true
  }

  /** What the disk says of a file that was read past us. */
  learn(tables: IndexTables, number: number, { atime, atimeNsec }: Stat): void {
    const [seconds, nsec] = tables.accessOf(number)
    if (atime < seconds || (atime === seconds && atimeNsec <= nsec)) return
    tables.setAccess(number, atime, atimeNsec)
    this.#mark(number)
    this.#changed = true
  }

  /** Sets the time of a file that was accessed. */
  show(tables: IndexTables, number: number, into: Stat): void {
    if (this.#has(number)) into.setAtime(...tables.accessOf(number))
  }

  #has(number: number): boolean {
    return ((this.#noted[number >> 3] ?? 0) & (1 << (number & 7))) !== 0
  }

  #mark(number: number): void {
    if (this.#has(number)) return
    this.#noted[number >> 3]! |= 1 << (number & 7)
    this.#count += 1
  }

  /** Writes them down. A disk that is full, or read-only, costs them. */
  close(tables: IndexTables): void {
    if (!this.#changed) return
    const out = new Writer(Buffer.alloc(this.#count * RECORD))
    for (let number = 1; number < tables.columns.inodes.length; number++) {
      if (!this.#has(number)) continue
      const [seconds, nsec] = tables.accessOf(number)
      out.u32(number)
      out.u32(nsec)
      out.u64(seconds)
    }
    this.#changed = false
    try {
      writeWhole(this.#path, out.bytes)
    } catch (err) {
      if (!(err instanceof Errno)) throw err
    }
  }
}

function readOrNothing(path: string): Buffer {
  try {
    return readWhole(path)
  } catch (err) {
    if (err instanceof Errno && err.number === ERRNO.ENOENT) return Buffer.alloc(0)
    throw err
  }
}
