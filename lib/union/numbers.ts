// Inode numbers of a writable sublayer: the number that programs see, for each inode of the
// disk. Backing numbers change with every copy-up and restore; these do not.
//
//   number = tag * 2^40 + slot * 2^32 + sequence      slot 255 for what was born in `rw`, 254
//                                                     in `scratch`, version % 254 in a
//                                                     read-only sublayer
//
// Log: 16-byte records, appended, little-endian: backing inode u64, number u64. The last
// record of an inode wins; a torn one at the end is ignored. Without it (a drop-in mount
// that gave none) numbers live as long as the mount.
//
// Rule: a number is never given twice in one layer. A record is written before the reply
// that tells the kernel of the file; what a full disk refuses is kept and written with the next
// one, because nothing that was done is undone for the sake of a number.

import { readFileSync } from 'node:fs'
import { must, O, sys } from '../host/sys.ts'

const TAG = 2 ** 40
const SLOT = 2 ** 32
const RECORD = 16
/** Tags of layers end here; above them are the disks of a base. */
export const LAST_TAG = 8000
/** Slots of what was born in a writable sublayer, and in a scratch area. */
export const BORN = 255
export const BORN_SCRATCH = 254

/** What is added to a position in a read-only sublayer to make the file's number. */
export const publishedBase = (tag: number, version: number): number =>
  tag * TAG + (version % BORN_SCRATCH) * SLOT

export class Numbers {
  readonly #known = new Map<number, number>()
  readonly #tag: number
  readonly #log: number
  /** Records that the disk has not taken yet. */
  #unwritten: [backing: number, number: number][] = []
  readonly #path: string | null
  #next: number
  /** How many files had none when they were first asked for. */
  given = 0

  /** `path` is the log (made where it is absent), or null. Throws Errno. */
  constructor(path: string | null, tag: number, slot = BORN) {
    this.#tag = tag
    this.#next = tag * TAG + slot * SLOT + 1
    this.#log = path === null ? -1 : openLog(path)
    this.#path = path
    this.refresh()
  }

  /** The number of a backing inode; one never seen gets the next, or `own` in a drop-in. */
  of(backing: number, own: number): number {
    const known = this.#known.get(backing)
    if (known !== undefined) return known
    if (this.#tag === 0) return own
    this.given += 1
    const number = this.#next++
    this.set(backing, number)
    return number
  }

  /** Gives a backing inode a number: its copy-up's, its restore's. */
  set(backing: number, number: number): void {
    if (this.#known.get(backing) === number) return
    this.#known.set(backing, number)
    if (this.#log === -1 || (this.#unwritten.length === 0 && this.#writeOne(backing, number)))
      return
    this.#unwritten.push([backing, number])
    this.#write()
  }

  // False where the disk took nothing of it.
  #writeOne(backing: number, number: number): boolean {
    oneWords[0] = backing % SLOT
    oneWords[1] = Math.floor(backing / SLOT)
    oneWords[2] = number % SLOT
    oneWords[3] = Math.floor(number / SLOT)
    const written = sys.write(this.#log, one, RECORD)
    if (written > 0 && written < RECORD) this.#cut(written)
    return written === RECORD
  }

  // A part of a record would shift all that follow.
  #cut(torn: number): void {
    must(sys.ftruncate(this.#log, sys.lseek(this.#log, 0, 2) - torn), 'numbers log')
  }

  #write(): void {
    const records = Buffer.alloc(this.#unwritten.length * RECORD)
    let at = 0
    for (const [backing, number] of this.#unwritten) {
      putNumber(records, at, backing)
      putNumber(records, at + 8, number)
      at += RECORD
    }
    const written = sys.write(this.#log, records, records.length)
    if (written < 0) return
    if (written === records.length) {
      this.#unwritten.length = 0
      return
    }
    this.#unwritten = this.#unwritten.slice(Math.floor(written / RECORD))
    const torn = written % RECORD
    if (torn > 0) this.#cut(torn)
  }

  /** The number of a file just made: never what an earlier file of that inode had. */
  fresh(backing: number, own: number): number {
    const number = this.#tag === 0 ? own : this.#next++
    if (this.#tag !== 0 || this.#known.has(backing)) this.set(backing, number)
    return number
  }

  /** Backing inodes whose number is not a layer's: copies of what the base has. */
  *fromBase(): Generator<number> {
    const last = (LAST_TAG + 1) * TAG
    for (const [backing, number] of this.#known) if (number < TAG || number >= last) yield backing
  }

  close(): void {
    if (this.#log === -1) return
    if (this.#unwritten.length > 0) this.#write()
    sys.close(this.#log)
  }

  /** Reads the log again: a restore appended to it. */
  refresh(): void {
    if (this.#path === null) return
    const bytes = readFileSync(Buffer.from(this.#path, 'latin1'))
    const u64 = (at: number) => bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * SLOT
    for (let at = 0; at + RECORD <= bytes.length; at += RECORD) {
      const number = u64(at + 8)
      this.#known.set(u64(at), number)
      if (number >= this.#next && number - this.#next < SLOT) this.#next = number + 1
    }
    // A record torn by a power loss would shift all that follow.
    const whole = bytes.length - (bytes.length % RECORD)
    if (whole !== bytes.length) must(sys.ftruncate(this.#log, whole), 'numbers log')
  }
}

const oneWords = new Uint32Array(RECORD / 4)
const one = Buffer.from(oneWords.buffer)

function putNumber(into: Buffer, at: number, value: number): void {
  into.writeUInt32LE(value % SLOT, at)
  into.writeUInt32LE(Math.floor(value / SLOT), at + 4)
}

const openLog = (path: string): number =>
  must(sys.openat(-100, path, O.RDWR | O.CREAT | O.APPEND, 0o600), 'numbers log')
