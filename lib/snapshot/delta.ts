// Storing the content of a file: in parts, each one zstd frame, which refers to the files
// that it probably came from (the one below in `ro`, the one of the state before).
//
//   file       [ 32 MiB ][ 32 MiB ] ░░hole░░ [ rest ]
//                   │
//   frame = zstd(part, prefix = windows of the references around the same place)
//
// Rule: a delta is kept only where it is smaller than plain compression; memory is one part and
// one window whatever the file's size. The content's name is computed on the way (file-data.ts).

import { compress, LARGEST_WINDOW } from '../host/zstd.ts'
import { LARGEST_PART, type Readable, scratch } from './content.ts'
import { type Depot, putChunks, sha256 } from './depot.ts'
import { beginId, dataWithin, type FileData } from './file-data.ts'
import type { Content, Part, Reference } from './records.ts'

/** Parts without references are shorter, so that a stretch of a large file needs less read. */
const PLAIN_PART = 8 * 1024 * 1024
/** A hole of this size ends a part; smaller ones lie within. */
const LARGE_HOLE = 1024 * 1024
/** Around what a part's place in the target says of its place in the reference. */
const MARGIN = 4 * 1024 * 1024

/** A file that the new content may refer to. */
export interface Candidate {
  readonly from: Pick<Reference, 'source' | 'path' | 'content'>
  readonly bytes: Readable
  /** Depth of what refers to it: 0 for a file of `ro`. */
  readonly depth: number
}

export interface Encoded {
  readonly id: string
  readonly content: Content
}

/** Stores the chunks of a file's content. The record is the caller's to put. */
export async function encode(
  file: FileData,
  candidates: readonly Candidate[],
  depot: Depot,
): Promise<Encoded> {
  const hash = beginId(file.size, file.holes)
  const parts: Part[] = []
  let stored = 0
  for (const { start, end, hole } of partsOf(file, candidates.length > 0)) {
    if (hole) {
      parts.push({ codec: 'hole', length: end - start })
      continue
    }
    const bytes = readPart(file, start, end)
    for (const data of dataWithin(file.holes, start, end))
      hash.update(bytes.subarray(data.start - start, data.end - start))
    const { part, size } = await encodePart(bytes, start, file.size, candidates, depot)
    const holes = holesWithin(file.holes, start, end)
    parts.push(holes.length === 0 ? part : { ...part, holes })
    stored += size
  }
  const depth = depthOf(parts, candidates)
  return { id: hash.digest('hex'), content: { size: file.size, depth, stored, parts } }
}

// A chain is as deep as what it refers to, and one more.
function depthOf(parts: readonly Part[], candidates: readonly Candidate[]): number {
  let depth = 0
  for (const reference of parts.flatMap((part) => part.references ?? [])) {
    const used = candidates.find(({ from }) => from.content === reference.content)
    if (reference.source === 'content') depth = Math.max(depth, (used?.depth ?? 0) + 1)
  }
  return depth
}

interface Stretch {
  readonly start: number
  readonly end: number
  readonly hole: boolean
}

function* partsOf(file: FileData, refers: boolean): Generator<Stretch> {
  const longest = refers ? LARGEST_PART : PLAIN_PART
  let at = 0
  for (let index = 0; index < file.holes.length; index += 2) {
    const hole = file.holes[index]!
    const length = file.holes[index + 1]!
    if (length < LARGE_HOLE) continue
    yield* cut(at, hole, longest)
    yield { start: hole, end: hole + length, hole: true }
    at = hole + length
  }
  yield* cut(at, file.size, longest)
}

function* cut(from: number, to: number, longest: number): Generator<Stretch> {
  for (let start = from; start < to; start += longest)
    yield { start, end: Math.min(to, start + longest), hole: false }
}

function readPart(file: FileData, start: number, end: number): Buffer {
  const bytes = scratch('part', end - start)
  if (file.holes.length > 0) bytes.fill(0)
  for (const data of dataWithin(file.holes, start, end))
    file.read(bytes.subarray(data.start - start, data.end - start), data.start)
  return bytes
}

function holesWithin(holes: readonly number[], start: number, end: number): number[] {
  const within: number[] = []
  let at = start
  for (const data of dataWithin(holes, start, end)) {
    if (data.start > at) within.push(at - start, data.start - at)
    at = data.end
  }
  if (at < end) within.push(at - start, end - at)
  return within
}

async function encodePart(
  bytes: Buffer,
  offset: number,
  size: number,
  candidates: readonly Candidate[],
  depot: Depot,
): Promise<{ part: Part; size: number }> {
  const length = bytes.length
  const delta = candidates.length === 0 ? null : encodeDelta(bytes, offset, size, candidates)
  // Where most of it was found in the references, plain compression cannot be smaller.
  const plain = delta !== null && delta.frame.length < length / 4 ? null : compress(bytes)
  if (delta !== null && (plain === null || delta.frame.length < plain.length)) {
    const chunks = await putChunks(depot, delta.frame)
    const { references } = delta
    return { part: { codec: 'zstd', length, chunks, references }, size: delta.frame.length }
  }
  const packs = plain !== null && plain.length < length
  const frame = packs ? plain : bytes
  const chunks = await putChunks(depot, frame)
  return { part: { codec: packs ? 'zstd' : 'raw', length, chunks }, size: frame.length }
}

function encodeDelta(
  bytes: Buffer,
  offset: number,
  size: number,
  candidates: readonly Candidate[],
): { frame: Buffer; references: Reference[] } {
  const room = Math.floor((LARGEST_WINDOW - bytes.length) / candidates.length)
  const references: Reference[] = []
  const memory = scratch('prefix', room * candidates.length)
  let at = 0
  for (const { from, bytes: source } of candidates) {
    const window = windowFor(offset, bytes.length, size, source.size, room)
    if (window.length === 0) continue
    const stretch = memory.subarray(at, at + window.length)
    source.read(stretch, window.offset)
    // A content's own name vouches for it; a file of `ro` has none that is at hand.
    const digest = from.source === 'ro' ? sha256(stretch) : ''
    references.push({ ...from, ...window, digest })
    at += window.length
  }
  return { frame: compress(bytes, { prefix: memory.subarray(0, at) }), references }
}

/**
 * Where in a reference the bytes of a part may come from: its own place, its place counted from the end
 * (what was put in or taken out moves the rest), and a margin; the whole where that has room.
 */
export function windowFor(
  offset: number,
  length: number,
  size: number,
  sourceSize: number,
  room: number,
): { offset: number; length: number } {
  if (sourceSize <= Math.min(room, LARGEST_PART)) return { offset: 0, length: sourceSize }
  const shift = sourceSize - size
  const start = Math.max(0, Math.min(offset, offset + shift) - MARGIN)
  const end = Math.min(sourceSize, Math.max(offset, offset + shift) + length + MARGIN)
  if (end - start <= room) return { offset: start, length: Math.max(0, end - start) }
  // Too far apart for one window: its own place has it.
  const margin = Math.max(0, Math.floor((room - length) / 2))
  const from = Math.min(Math.max(0, offset - margin), Math.max(0, sourceSize - room))
  return { offset: from, length: Math.min(room, sourceSize - from) }
}
