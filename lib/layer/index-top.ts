// The first look into an index: the tree's own directory, without all the rest.
//
//   the pieces of the file that tell its names and their attributes ─▶ one checksum, in the header
//
// Layers above each other are asked for the same names, most of which only one of them has; a layer
// that was just activated, or that lies below one that went, is asked for its top names first. So
// that takes as long as there are such names, not as long as there are files.
//
// Rule: nothing is answered from here that the checksum does not cover; where there is none, or
// anything is unusual, the whole index is loaded instead.

import { crc32 } from 'node:zlib'
import { must, sys } from '../host/sys.ts'
import { type Columns, FILE_COLUMNS } from './index-format.ts'

/** Names, and kinds of files, of a tree above which all of it is loaded. */
const MOST_NAMES = 64
const MOST_KINDS = 512

type Column = Float64Array | Uint32Array

const bytesOf = (column: Column, row: number, rows: number): Uint8Array => {
  const { buffer, byteOffset, BYTES_PER_ELEMENT: size } = column
  return new Uint8Array(buffer, byteOffset + row * size, rows * size)
}

// One after the other: where a piece lies is said by those before. False where the rest is needed.
function* pieces(columns: Columns): Generator<Uint8Array, boolean> {
  const { first, kind, nameAt, number, names, inodes, odd, overrides } = columns
  if (first.length < 2 || kind.length > MOST_KINDS) return false
  if (odd.length > 0 || overrides.length > 0) return false
  yield bytesOf(first, 0, 2)
  const count = first[1]!
  if (first[0] !== 0 || count > MOST_NAMES || count > number.length) return false
  yield bytesOf(kind, 0, kind.length)
  yield bytesOf(nameAt, 0, count + 1)
  yield bytesOf(number, 0, count)
  if (nameAt[count]! > names.length) return false
  yield names.subarray(0, nameAt[count])
  for (const [start, end] of runs(numbersOf(columns))) {
    if (start === 0 || end > inodes.length) return false
    for (const column of FILE_COLUMNS) yield bytesOf(columns[column], start, end - start)
  }
  return true
}

// Those that follow each other are read with one call.
function runs(numbers: readonly number[]): [start: number, end: number][] {
  const all: [number, number][] = []
  for (const one of numbers) {
    const last = all.at(-1)
    if (last?.[1] === one) last[1] += 1
    else all.push([one, one + 1])
  }
  return all
}

const numbersOf = ({ first, number }: Columns): number[] => [1, ...number.subarray(0, first[1])]

/** The checksum of what is looked at first, begun with that of the header; 0 where there is none. */
export function topChecksum(columns: Columns, header: number): number {
  const all = pieces(columns)
  let sum = header
  for (let next = all.next(); ; next = all.next()) {
    if (next.done) return next.value ? sum : 0
    sum = crc32(next.value, sum)
  }
}

/**
 * Reads it from the file into `columns`, which are over a buffer as long as the file, `start` bytes
 * into its own. Answers the numbers that can be asked for, or null. Throws Errno.
 */
export function readTop(
  fd: number,
  columns: Columns,
  start: number,
  header: number,
  wanted: number,
): ReadonlySet<number> | null {
  const all = pieces(columns)
  let sum = header
  for (let next = all.next(); ; next = all.next()) {
    if (next.done) return next.value && sum === wanted ? new Set(numbersOf(columns)) : null
    const piece = next.value
    const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.length)
    const done = must(sys.pread(fd, bytes, bytes.length, piece.byteOffset - start), 'index')
    if (done !== bytes.length) return null
    sum = crc32(bytes, sum)
  }
}
