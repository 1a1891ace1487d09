// A large file of which little changed in place, as databases do: the former bytes, and the runs
// of pages that differ from them.
//
//   former  ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒       part: over the same stretch of the former content,
//   now     ▒▒█▒▒▒▒▒██▒▒▒▒▒▒             runs [2,1, 8,2], frame = the bytes of the runs
//
// Such parts lie over each other in a chain, and each costs its runs alone, to store and to read:
// a stretch is made by making the one below, and laying the runs over it.
//
// Rule: runs ascend and lie within their part, whatever a record says; making needs no memory
// but the part's own and that of its runs.

import { compress, decompress, hasZstd } from '../host/zstd.ts'
import { pack, unpack } from './codec.ts'
import { Damage } from './depot.ts'
import type { Part } from './records.ts'

const PAGE = 4096
/** Stretches of this size that are equal are passed over at once. */
const STRIDE = 16 * PAGE
/** With more than this part of it changed, a stretch is stored as others are. */
const MOST_CHANGED = 4
/** A frame of the runs' bytes above this part of them is held against plain compression. */
const DOUBTFUL = 2

/** Where `now` differs from `before`: offsets and lengths; null where that is too much of it. */
export function runsOf(now: Buffer, before: Buffer): number[] | null {
  const runs: number[] = []
  let changed = 0
  for (let at = 0; at < now.length; at += STRIDE) {
    const end = Math.min(now.length, at + STRIDE)
    if (now.compare(before, at, end, at, end) === 0) continue
    for (let page = at; page < end; page += PAGE) {
      const last = Math.min(end, page + PAGE)
      if (now.compare(before, page, last, page, last) === 0) continue
      changed += last - page
      addRun(runs, page, last - page)
    }
    if (changed > now.length / MOST_CHANGED) return null
  }
  return runs
}

function addRun(runs: number[], offset: number, length: number): void {
  const last = runs.length - 2
  if (last >= 0 && runs[last]! + runs[last + 1]! === offset) runs[last + 1]! += length
  else runs.push(offset, length)
}

/** The bytes of the runs, one after the other. */
function gathered(bytes: Buffer, runs: readonly number[]): Buffer {
  const all = Buffer.allocUnsafe(lengthOf(runs))
  let to = 0
  for (let index = 0; index < runs.length; index += 2)
    to += bytes.copy(all, to, runs[index]!, runs[index]! + runs[index + 1]!)
  return all
}

/** Bytes of all runs together. */
export const lengthOf = (runs: readonly number[]): number =>
  runs.reduce((sum, value, index) => sum + (index % 2 === 0 ? 0 : value), 0)

export type PackedRuns = NonNullable<Part['packed']>

/** The frame of the runs; null for none. */
export function packRuns(
  now: Buffer,
  before: Buffer,
  runs: readonly number[],
): { packed: PackedRuns; frame: Buffer; length: number } | null {
  if (runs.length === 0) return null
  const bytes = gathered(now, runs)
  const { length } = bytes
  const delta = hasZstd() ? compress(bytes, { prefix: gathered(before, runs) }) : null
  if (delta !== null && delta.length < length / DOUBTFUL)
    return { packed: 'delta', frame: delta, length }
  const plain = pack(bytes)
  if (delta !== null && delta.length < Math.min(plain.frame.length, length))
    return { packed: 'delta', frame: delta, length }
  if (plain.frame.length < length) return { packed: plain.codec, frame: plain.frame, length }
  return { packed: 'raw', frame: bytes, length }
}

/** Lays a part's runs, as they are stored, over the former bytes of the whole part. Throws Damage, BadFrame. */
export function layOver(bytes: Buffer, part: Part, stored: Buffer): void {
  const { runs = [] } = part
  checkRuns(part, bytes.length)
  if (runs.length === 0) return
  const former = part.packed === 'delta' ? gathered(bytes, runs) : null
  const laid = unpackRuns(part, stored, former)
  let from = 0
  for (let index = 0; index < runs.length; index += 2)
    from += laid.copy(bytes, runs[index]!, from, from + runs[index + 1]!)
}

/**
 * The bytes of a part's runs, one after the other; `former`: what lies below them, where they are stored as
 * `delta`. Throws Damage, BadFrame.
 */
export function unpackRuns(part: Part, stored: Buffer, former: Buffer | null): Buffer {
  const { packed, frame = 0 } = part
  const laid = unpackFrame(packed, stored, frame, former)
  if (laid.length !== frame) throw new Damage('runs of another length')
  return laid
}

function unpackFrame(
  packed: Part['packed'],
  stored: Buffer,
  size: number,
  former: Buffer | null,
): Buffer {
  switch (packed) {
    case 'delta':
      return decompress(stored, size, former)
    case 'zstd':
    case 'brotli':
      return unpack(packed, stored, size)
    default:
      return stored
  }
}

/** Throws Damage. `length` is the part's. */
export function checkRuns({ runs = [], frame = 0 }: Part, length: number): void {
  let end = 0
  for (let index = 0; index < runs.length; index += 2) {
    if (runs[index]! < end) throw new Damage('runs out of order')
    end = runs[index]! + (runs[index + 1] ?? Number.NaN)
    if (!(end <= length)) throw new Damage('a run beyond its part')
  }
  if (lengthOf(runs) !== frame) throw new Damage('runs of another length')
}
