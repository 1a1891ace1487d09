// A large file and a plain copy of it in memory: the same random steps on both.
//
//   const beside = new Beside(drawLarge(path, size), randomOf(seed), extras)
//   beside.step(file)         writes, cuts, grows, reads, seeks …; throws where the two differ
//
// Rule: the copy is changed before the file is asked, so after a crash `before` and `expected` are
// what the file may be.

import { closeSync, openSync, writeSync } from 'node:fs'
import { ERRNO, Errno } from '../../lib/base/errno.ts'
import { AT_FDCWD, must, O, sys } from '../../lib/host/sys.ts'
import { sharedMapping } from '../behaviour/libc.ts'
import type { OpenFile } from '../behaviour/place.ts'

const MIB = 1024 * 1024

/** Bytes that differ from place to place. */
export const bytesOf = (seed: number, length: number): Buffer => {
  const bytes = Buffer.alloc(length)
  for (let at = 0; at < length; at += 4)
    bytes.writeUInt32LE((at * 2654435761 + seed) >>> 0, Math.min(at, length - 4))
  return bytes
}

/** Draws a file with a hole from its third MiB to its fourth; answers its bytes. */
export function drawLarge(path: string, size: number): Buffer {
  const bytes = bytesOf(7, size)
  bytes.fill(0, 2 * MIB, 3 * MIB)
  closeSync(openSync(path, 'w'))
  writeAt(path, bytes.subarray(0, 2 * MIB), 0)
  writeAt(path, bytes.subarray(3 * MIB), 3 * MIB)
  return bytes
}

/** Writes bytes into a file that is there. */
export function writeAt(path: string, bytes: Buffer, at: number): void {
  const fd = openSync(path, 'r+')
  writeSync(fd, bytes, 0, bytes.length, at)
  closeSync(fd)
}

export class Beside {
  expected: Buffer
  /** What the last step changed: where, what was there, and the size before. */
  last = { at: 0, old: Buffer.alloc(0), size: 0 }
  readonly #more: readonly ((file: OpenFile) => string)[]
  readonly #next: (most: number) => number

  /** `more`: steps that change nothing. */
  constructor(
    lower: Buffer,
    next: (most: number) => number,
    more: readonly ((file: OpenFile) => string)[] = [],
  ) {
    this.expected = Buffer.from(lower)
    this.#next = next
    this.#more = more
  }

  step(file: OpenFile): string {
    const next = (most: number) => this.#next(Math.max(1, most))
    const size = this.expected.length
    switch (next(10)) {
      case 0:
      case 1:
      case 2:
        return this.#write(file, next(size), 1 + next(9000))
      case 3:
        return this.#write(file, next(size), 1 + next(600_000))
      case 4:
        return this.#write(file, Math.max(0, size - next(5000)), 1 + next(10_000))
      case 5:
        return this.#resize(file, Math.max(0, size - next(next(40) === 0 ? size : 300_000)))
      case 6:
        return this.#resize(file, size + next(400_000))
      case 7:
        return this.#compare(file, next(size + 1), next(300_000))
      case 8:
        return this.#seek(file, next(size + 1))
      default: {
        const more = this.#more[next(this.#more.length)]
        return more?.(file) ?? this.#compare(file, 0, 100_000)
      }
    }
  }

  #write(file: OpenFile, at: number, length: number): string {
    const bytes = bytesOf(this.#next(1 << 30), Math.max(4, length))
    this.#remember(at, at + bytes.length)
    if (at + bytes.length > this.expected.length) this.#cut(at + bytes.length)
    bytes.copy(this.expected, at)
    for (let done = 0; done < bytes.length; ) {
      const count = file.pwrite(bytes.subarray(done), at + done)
      if (count === 0) throw new Error(`${done} bytes of ${bytes.length} written`)
      done += count
    }
    return `write ${at} ${bytes.length}`
  }

  #resize(file: OpenFile, size: number): string {
    this.#remember(size, this.expected.length)
    this.#cut(size)
    file.truncate(size)
    return `resize ${size}`
  }

  /** Writes through a mapping of the file. `path` is where it is mounted. */
  map(path: string): string {
    const fd = must(sys.openat(AT_FDCWD, path, O.RDWR), path)
    const size = this.expected.length
    const mapping = sharedMapping(fd, size)
    sys.close(fd)
    const at = this.#next(size)
    const bytes = bytesOf(this.#next(1 << 30), Math.min(4 + this.#next(20_000), size - at))
    const there = Buffer.from(mapping.bytes.subarray(at, at + bytes.length))
    const same = there.equals(this.expected.subarray(at, at + bytes.length))
    bytes.copy(mapping.bytes, at)
    bytes.copy(this.expected, at)
    must(mapping.sync(), 'msync')
    must(mapping.free(), 'munmap')
    if (!same) throw new Error(`map ${at} ${bytes.length}`)
    return `map ${at} ${bytes.length}`
  }

  #remember(at: number, end: number): void {
    const old = Buffer.from(this.expected.subarray(at, end))
    this.last = { at, old, size: this.expected.length }
  }

  /** Where `found` is neither the file nor, at what the last step changed, the one before; -1: nowhere. */
  differs(found: Buffer): number {
    const { at, old, size } = this.last
    if (found.length !== this.expected.length && found.length !== size) return found.length
    if (found.equals(this.expected)) return -1
    for (let i = 0; i < found.length; i++) {
      const inLast = i >= at && i < at + old.length && found[i] === old[i - at]
      // What was not there before may be zeros still.
      const isNew = i >= size && found[i] === 0
      if (found[i] !== this.expected[i] && !inLast && !isNew) return i
    }
    return -1
  }

  #cut(size: number): void {
    const now = Buffer.alloc(size)
    this.expected.copy(now)
    this.expected = now
  }

  #compare(file: OpenFile, at: number, length: number): string {
    const want = this.expected.subarray(at, at + length)
    let done = 0
    // A call in whose midst the mount dies answers what it has; the next one tells.
    do {
      const got = file.pread(length - done, at + done)
      const isSame = got.equals(want.subarray(done, done + got.length))
      if (!isSame || (got.length === 0 && done < want.length))
        throw new Error(`read ${at} ${length}: differs from ${at + done} on`)
      done += got.length
    } while (done < want.length)
    return `read ${at} ${length}`
  }

  // Where a hole is told, zeros must be; where none is, it must end.
  #seek(file: OpenFile, at: number): string {
    if (at >= this.expected.length) return 'seek past the end'
    const hole = file.seek(at, 4)
    if (hole < at || hole > this.expected.length) throw new Error(`hole at ${hole}`)
    let data = this.expected.length
    try {
      data = file.seek(hole, 3)
    } catch (err) {
      if (!(err instanceof Errno && err.number === ERRNO.ENXIO)) throw err
      // None follows.
    }
    if (this.expected.subarray(hole, data).some((byte) => byte !== 0))
      throw new Error(`no hole: ${hole}-${data}`)
    return `seek ${at}`
  }
}
