// The bytes of one file, with its holes, and the name that its content has.
//
//   data ████░░░░██   map: [4, 4]      holes as offset, length, …
//
//   id without holes = SHA-256 of the bytes
//   id with holes    = SHA-256 of `svsfs sparse 1\n`, JSON of [size, …map], `\n`, the data's bytes
//
// Holes are part of a content's identity, so that a file of a terabyte that holds a megabyte
// is read, hashed and made again as a megabyte.
//
// Rule: whoever reads a file that may change asks for it through FileData, which swaps to
// the preserved copy where there is one.

import { createHash, type Hash, hash } from 'node:crypto'
import { ERRNO } from '../base/errno.ts'
import { must, sys } from '../host/sys.ts'

const SEEK_DATA = 3
const SEEK_HOLE = 4
const PIECE = 4 * 1024 * 1024

export interface FileData {
  readonly size: number
  /** Offset and length of each hole, in order. */
  readonly holes: readonly number[]
  /** All of them, where they are in memory. */
  readonly bytes?: Buffer
  /** Fills `into` from `offset`. Throws FileCut where the file is shorter. */
  read(into: Buffer, offset: number): void
  close(): void
}

/** The holes of an open file up to `size`. A disk that cannot say has none. */
export function holesOf(fd: number, size: number): number[] {
  const holes: number[] = []
  let at = 0
  while (at < size) {
    const hole = sys.lseek(fd, at, SEEK_HOLE)
    if (hole < 0 || hole >= size) break
    const data = sys.lseek(fd, hole, SEEK_DATA)
    const end = data === -ERRNO.ENXIO ? size : Math.min(size, must(data, 'lseek'))
    holes.push(hole, end - hole)
    at = end
  }
  return holes
}

/** A file is shorter than it was when its size was asked. */
export class FileCut extends Error {
  override name = 'FileCut'
}

/** Reads until `into` is full. Throws FileCut where the file ends before. */
export function readFull(fd: number, into: Buffer, offset: number): void {
  const done = readSome(fd, into, offset)
  if (done < into.length) throw new FileCut(`file ends at ${offset + done}`)
}

/** Reads until `into` is full or the file ends; answers how many bytes there were. */
export function readSome(fd: number, into: Buffer, offset: number): number {
  let done = 0
  while (done < into.length) {
    const rest = done === 0 ? into : into.subarray(done)
    const length = must(sys.pread(fd, rest, rest.length, offset + done), 'pread')
    if (length === 0) break
    done += length
  }
  return done
}

/** Begins the hash that names a content. Its data's bytes, without the holes', go in next. */
export function beginId(size: number, holes: readonly number[]): Hash {
  const hash = createHash('sha256')
  if (holes.length > 0) hash.update(`svsfs sparse 1\n${JSON.stringify([size, ...holes])}\n`)
  return hash
}

/** Stretches of data within [from, to): those outside of the holes. */
export function* dataWithin(
  holes: readonly number[],
  from: number,
  to: number,
): Generator<{ start: number; end: number }> {
  let at = from
  for (let index = firstHoleAfter(holes, from); index < holes.length; index += 2) {
    const hole = holes[index]!
    if (hole >= to) break
    if (hole > at) yield { start: at, end: hole }
    at = Math.max(at, hole + holes[index + 1]!)
  }
  if (at < to) yield { start: at, end: to }
}

// The first hole that ends after `offset`, by halving: a sparse file may have very many.
function firstHoleAfter(holes: readonly number[], offset: number): number {
  let low = 0
  let high = holes.length / 2
  while (low < high) {
    const middle = (low + high) >>> 1
    if (holes[middle * 2]! + holes[middle * 2 + 1]! > offset) high = middle
    else low = middle + 1
  }
  return low * 2
}

/** The id of a file's content; '' for an empty file. */
export function contentId(file: FileData): string {
  if (file.size === 0) return ''
  if (file.bytes !== undefined && file.holes.length === 0) return hash('sha256', file.bytes)
  const sum = beginId(file.size, file.holes)
  const block = Buffer.allocUnsafeSlow(Math.min(PIECE, file.size))
  for (const { start, end } of dataWithin(file.holes, 0, file.size)) {
    for (let at = start; at < end; at += block.length) {
      const part = block.subarray(0, Math.min(block.length, end - at))
      file.read(part, at)
      sum.update(part)
    }
  }
  return sum.digest('hex')
}
