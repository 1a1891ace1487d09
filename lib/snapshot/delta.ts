// Storing bytes in parts, each one frame, which refers to whatever the bytes probably came from.
//
//   file       [ 16 MiB ][ 16 MiB ] ░░hole░░ [ rest ]
//                   │
//   frame = zstd(part, prefix = stretches found by fingerprints (origins.ts), then
//                               windows of the file's own counterpart around the same place)
//
// A large file's part of which little changed in place is stored as runs over the former (over.ts).
//
// Rule: a delta is kept only where it is smaller than plain compression; memory is one part and
// one window whatever the file's size. The content's name is computed on the way (file-data.ts).

import type { RelPath } from '../base/path.ts'
import { compress, hasZstd } from '../host/zstd.ts'
import { type Packed, pack } from './codec.ts'
import { type Depot, putChunks, sha256 } from './depot.ts'
import { beginId, dataWithin, type FileData } from './file-data.ts'
import type { Samples } from './fingerprints.ts'
import { LONGEST_CHAIN, type Origins, type Stretch } from './origins.ts'
import { packRuns, runsOf } from './over.ts'
import { makePatch } from './patch.ts'
import type { Content, Part, Reference } from './records.ts'
import { scratch } from './scratch.ts'
import type { Shelf } from './shelf.ts'
import { LARGEST_PART, type Sources } from './sources.ts'

/** Parts without references are shorter, so that a stretch of a large file needs less read. */
const PLAIN_PART = 8 * 1024 * 1024
const DELTA_PART = 16 * 1024 * 1024
/** A hole of this size ends a part; smaller ones lie within. */
const LARGE_HOLE = 1024 * 1024
/** Around what a part's place in the target says of its place in the reference. */
const MARGIN = 4 * 1024 * 1024
/** What a part may refer to, at most: near things, and those found by fingerprints. */
const NEAR_ROOM = 40 * 1024 * 1024
const FOUND_ROOM = 24 * 1024 * 1024
/** A frame of this part of its bytes says that they were explained. */
const EXPLAINED = 32
/** Above this part of its bytes a delta is held against plain compression. */
const DOUBTFUL = 2
/** Many references are not held against digests one by one: the content's own name vouches. */
const MOST_DIGESTS = 16
/** What one more reference costs in a record. */
const REFERENCE_COST = 160

/** A file that new content may refer to as a whole. */
export interface Counterpart {
  readonly from: Omit<Stretch, 'offset' | 'length'>
  /** Where its bytes lie in what `from` names: a slice's place in its pack. */
  readonly offset: number
  readonly size: number
  /** The whole file as it was before, to lie over: of large files. */
  readonly former?: Omit<Stretch, 'offset' | 'length'> & { readonly size: number }
}

export interface Encoded {
  readonly id: string
  readonly content: Content
}

/** What parts are made with. */
export interface Workshop {
  readonly depot: Depot
  readonly sources: Sources
  readonly origins: Origins
  readonly shelf: Shelf
}

/** Stores the chunks of a file's content. The record is the caller's to put. */
export async function encode(
  file: FileData,
  counterpart: Counterpart | null,
  paths: Unit['paths'],
  shop: Workshop,
): Promise<Encoded> {
  const hash = beginId(file.size, file.holes)
  const parts: Part[] = []
  const known = new KnownSamples()
  let stored = 0
  let depth = 0
  for (const { start, end, hole } of partsOf(file, counterpart !== null)) {
    if (hole) {
      parts.push({ codec: 'hole', length: end - start })
      continue
    }
    const bytes = readPart(file, start, end)
    for (const data of dataWithin(file.holes, start, end))
      hash.update(bytes.subarray(data.start - start, data.end - start))
    const holes = holesWithin(file.holes, start, end)
    const near = nearOf(counterpart, start, bytes.length, file.size)
    const over = holes.length > 0 ? null : await encodeOver(bytes, start, counterpart, shop)
    const made =
      over ?? (await encodeUnit({ bytes, near, paths, passing: file.size > LARGEST_ORIGIN }, shop))
    parts.push(holes.length === 0 ? made.part : { ...made.part, holes })
    stored += made.stored
    depth = Math.max(depth, made.depth)
    known.keep(made.samples, start)
  }
  const id = hash.digest('hex')
  const content = { size: file.size, depth, stored, parts }
  if (file.size <= LARGEST_ORIGIN) known.tell(shop.origins, id, content)
  return { id, content }
}

// Null where too much of it changed, or there is nothing to lie over.
async function encodeOver(
  bytes: Buffer,
  offset: number,
  counterpart: Counterpart | null,
  shop: Workshop,
): Promise<EncodedUnit | null> {
  const former = counterpart?.former
  const { length } = bytes
  if (former === undefined || offset + length > former.size) return null
  const { size, ...from } = former
  const before = scratch('window', length)
  if (!(await shop.shelf.readOn({ ...from, offset, length }, before))) return null
  const runs = runsOf(bytes, before)
  if (runs === null) return null
  const { source, path, content, depth } = from
  const digest = source === 'ro' ? sha256(before) : ''
  const named = source === 'ro' ? { path } : { content }
  const references = [{ source, ...named, offset, length, digest }]
  const made = packRuns(bytes, before, runs)
  const part: Part = { codec: 'over', length, references }
  if (made !== null) {
    const { packed, length: frame } = made
    Object.assign(part, { runs, packed, frame, chunks: await putChunks(shop.depot, made.frame) })
  }
  const stored = made?.frame.length ?? 0
  return { part, samples: null, stored, depth: source === 'ro' ? 0 : depth + 1 }
}

/** Larger contents take too long to be made again for what might be found in them. */
const LARGEST_ORIGIN = 64 * 1024 * 1024

/** Samples of a file's parts, until the file has its name. */
class KnownSamples {
  readonly #parts: Samples[] = []

  keep(samples: Samples | null, start: number): void {
    if (samples === null || start >= LARGEST_ORIGIN) return
    const { count } = samples
    const keys = samples.keys.slice(0, count)
    const offsets = samples.offsets.slice(0, count).map((offset) => offset + start)
    this.#parts.push({ count, keys, offsets })
  }

  tell(origins: Origins, id: string, content: Content): void {
    for (const samples of this.#parts) origins.add(samples, id, content)
  }
}

function nearOf(
  counterpart: Counterpart | null,
  offset: number,
  length: number,
  size: number,
): Stretch[] {
  if (counterpart === null) return []
  const window = windowFor(offset, length, size, counterpart.size, NEAR_ROOM)
  if (window.length === 0) return []
  const { from } = counterpart
  return [{ ...from, offset: counterpart.offset + window.offset, length: window.length }]
}

interface Span {
  readonly start: number
  readonly end: number
  readonly hole: boolean
}

function* partsOf(file: FileData, refers: boolean): Generator<Span> {
  const longest = refers ? DELTA_PART : PLAIN_PART
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

function* cut(from: number, to: number, longest: number): Generator<Span> {
  for (let start = from; start < to; start += longest)
    yield { start, end: Math.min(to, start + longest), hole: false }
}

function readPart(file: FileData, start: number, end: number): Buffer {
  const bytes = scratch('unit', end - start)
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

/** Bytes that become one frame, what they are likely to be made of, and what they are called. */
export interface Unit {
  readonly bytes: Buffer
  readonly near: readonly Stretch[]
  readonly paths: readonly RelPath[]
  /** Nothing is ever found in them. */
  readonly passing?: boolean
}

export interface EncodedUnit {
  readonly part: Part
  /** Of bytes that are new: what later ones may be found by. Good until the next are taken. */
  readonly samples: Samples | null
  readonly stored: number
  readonly depth: number
}

/** Stores one frame. */
export async function encodeUnit(unit: Unit, shop: Workshop): Promise<EncodedUnit> {
  const best = await bestOf(unit, shop)
  const chunks = await putChunks(shop.depot, best.frame)
  const { codec, frame, used } = best
  const length = unit.bytes.length
  const depth = used.reduce(
    (deepest, { source, depth }) => Math.max(deepest, source === 'content' ? depth + 1 : 0),
    0,
  )
  const refers = used.length === 0 ? {} : { references: best.references }
  const part = { codec, length, chunks, ...refers }
  return { part, samples: best.samples ?? null, stored: frame.length, depth }
}

interface Attempt {
  readonly codec: Part['codec']
  readonly frame: Buffer
  readonly used: readonly Stretch[]
  readonly references: Reference[]
  readonly samples?: Samples | null
}

async function bestOf({ bytes, near, paths, passing }: Unit, shop: Workshop): Promise<Attempt> {
  const { origins } = shop
  let samples: Samples | null = null
  let delta = near.length === 0 ? null : await attempt(bytes, near, shop)
  if (delta === null || delta.frame.length > bytes.length / EXPLAINED) {
    await origins.unexplained(bytes.length, paths)
    samples = passing === true && origins.isEmpty ? null : origins.samples(bytes)
    const found = samples === null ? [] : origins.find(samples, FOUND_ROOM)
    const more = found.filter((stretch) => !near.some((other) => covers(other, stretch)))
    const second = more.length === 0 ? null : await attempt(bytes, [...more, ...near], shop)
    delta = delta === null || second === null ? (delta ?? second) : smallerOf(delta, second)
  }
  if (delta !== null && delta.frame.length < bytes.length / DOUBTFUL) return { ...delta, samples }
  const plain = plainly(pack(bytes, 'quick', { room: frameRoom }), bytes)
  return { ...(delta === null ? plain : smallerOf(plain, delta)), samples }
}

const frameRoom = (bytes: number): Buffer => scratch('frame', bytes)

function plainly({ codec, frame }: Packed, bytes: Buffer): Attempt {
  const helps = frame.length < bytes.length
  return { codec: helps ? codec : 'raw', frame: helps ? frame : bytes, used: [], references: [] }
}

/** The second only where it saves more than its further references cost. */
function smallerOf(first: Attempt, second: Attempt): Attempt {
  const more = Math.max(0, second.used.length - first.used.length) * REFERENCE_COST
  return second.frame.length + more < first.frame.length ? second : first
}

/** True where the second lies within the first. */
const covers = (outer: Stretch, inner: Stretch): boolean =>
  outer.path === inner.path &&
  outer.content === inner.content &&
  outer.offset <= inner.offset &&
  inner.offset + inner.length <= outer.offset + outer.length

// Null where none of the stretches can be read any more: the new state must not depend on them.
async function attempt(
  bytes: Buffer,
  stretches: readonly Stretch[],
  shop: Workshop,
): Promise<Attempt | null> {
  const window = scratch('window', NEAR_ROOM + FOUND_ROOM)
  const used: Stretch[] = []
  let at = 0
  for (const stretch of joined(stretches)) {
    const into = window.subarray(at, at + stretch.length)
    if (into.length < stretch.length) continue
    if (stretch.source === 'content' && stretch.depth >= LONGEST_CHAIN) continue
    if (!(await shop.shelf.read(stretch, into))) continue
    used.push(stretch)
    at += stretch.length
  }
  if (used.length === 0) return null
  const prefix = window.subarray(0, at)
  const references = referencesTo(used, prefix)
  if (!hasZstd()) return { codec: 'patch', frame: makePatch(prefix, bytes), used, references }
  return { codec: 'zstd', frame: compress(bytes, { prefix }), used, references }
}

/** Stretches of one thing that follow each other, or overlap, as one. */
function joined(stretches: readonly Stretch[]): Stretch[] {
  const all: Stretch[] = []
  for (const stretch of stretches) {
    const last = all.at(-1)
    const same =
      last !== undefined && last.path === stretch.path && last.content === stretch.content
    const end = same ? last.offset + last.length : -1
    if (same && stretch.offset >= last.offset && stretch.offset <= end) {
      const length = Math.max(end, stretch.offset + stretch.length) - last.offset
      all[all.length - 1] = { ...last, length }
    } else all.push(stretch)
  }
  return all
}

function referencesTo(used: readonly Stretch[], prefix: Buffer): Reference[] {
  const few = used.filter(({ source }) => source === 'ro').length <= MOST_DIGESTS
  let at = 0
  return used.map(({ source, path, content, offset, length }) => {
    const stretch = prefix.subarray(at, at + length)
    at += length
    // A content's own name vouches for it; a file of `ro` has none that is at hand.
    if (source === 'content') return { source, content, offset, length, digest: '' }
    return { source, path, offset, length, digest: few ? sha256(stretch) : '' }
  })
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
