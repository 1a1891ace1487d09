// Making the content of a file again from its parts, and the references that parts need.
//
//   Content ─▶ part: [prefix = references] + frame ─▶ bytes ─▶ sink(bytes, offset)
//
// A reference to another content is made first: small ones as a whole, in memory; of larger ones the
// parts that are read, in a nameless file, so that a chain of them costs disk, not memory. Small
// files lie together in one content, of which each is a slice; the last few of those are kept at hand.
//
// Rule: what comes out is hashed and must have the name it was asked by; until then it may
// not be shown to anybody. Memory is bounded by the largest window, and work by how many contents
// one may need, whatever a record says.

import { Failure } from '../base/failure.ts'
import { shown } from '../base/path.ts'
import { AT_FDCWD, must, O, sys } from '../host/sys.ts'
import { BadFrame, decompress, LARGEST_WINDOW } from '../host/zstd.ts'
import { unpack } from './codec.ts'
import { Damage, type DepotReader, readChunks, sha256 } from './depot.ts'
import { beginId, dataWithin, readFull } from './file-data.ts'
import { layOver } from './over.ts'
import { applyPatch } from './patch.ts'
import { inMemory, openLower, type Readable, writeFull } from './readable.ts'
import type { Content, Part, Reference } from './records.ts'

/** Longest part, and longest frame: a record that claims more is damaged. */
export const LARGEST_PART = 32 * 1024 * 1024
/** Largest content of which others are slices. */
export const LARGEST_PACK = 8 * 1024 * 1024
/** Contents that one part refers to are in memory up to so many bytes together. */
const IN_MEMORY = 8 * 1024 * 1024
/** Packs that are kept at hand. */
const AT_HAND = 24 * 1024 * 1024
/** Longer chains are not made, so a record that has one is damaged (or made to loop). */
const DEEPEST = 32
/** Contents that are made for one, at most; and references of one part. */
const MOST_MADE = 50_000
const MOST_REFERENCES = 8192
/** What is made again before it can be read lies in so many nameless files at most. */
const MOST_OPEN = 128

/** What a content is made from, beside the depot. */
export interface Sources {
  readonly depot: DepotReader
  /** Digest of the read-only sublayer under which contents are kept. */
  readonly scope: string
  /** Its trees, top first; absolute. */
  readonly ro: readonly string[]
  /** A directory on a disk with room, for nameless files. */
  readonly temporary: string
}

/** Called with stretches of data in ascending order; holes are left out. */
export type Sink = (bytes: Buffer, offset: number) => void

/** How far from what was asked for, what it has cost so far, and what is read stretch by stretch. */
interface Chain {
  readonly depth: number
  readonly cost: { made: number }
  readonly known: Map<string, Known>
}

const first = (): Chain => ({ depth: 0, cost: { made: 0 }, known: new Map() })
const next = (chain: Chain): Chain => ({ ...chain, depth: chain.depth + 1 })

function closeAll({ known }: Chain): void {
  for (const { opened } of known.values()) opened.close()
  known.clear()
}

/** Makes a content, and checks it. Returns its size. Throws Damage, SVS_RO_CHANGED. */
export async function makeContent(sources: Sources, id: string, sink: Sink): Promise<number> {
  const chain = first()
  try {
    return await make(sources, id, sink, chain)
  } finally {
    closeAll(chain)
  }
}

async function contentOf(sources: Sources, id: string, chain: Chain): Promise<Content> {
  const content = await sources.depot.content(sources.scope, id)
  if (content === null) throw new Damage(`content ${id.slice(0, 16)} is missing`)
  if (chain.depth > DEEPEST) throw new Damage('a chain of contents without end')
  countMade(chain)
  return content
}

function countMade({ cost }: Chain): void {
  cost.made += 1
  if (cost.made > MOST_MADE) throw new Damage('a content that needs too many others')
}

async function make(sources: Sources, id: string, sink: Sink, chain: Chain): Promise<number> {
  const content = await contentOf(sources, id, chain)
  const holes = holesOfParts(content)
  const hash = beginId(content.size, holes)
  const opened = new Opened()
  try {
    let at = 0
    for (const part of content.parts) {
      if (at + part.length > content.size) throw new Damage('parts longer than their content')
      if (part.codec !== 'hole') {
        const start = at
        await makeWhole(sources, part, opened, chain, (bytes) => {
          for (const data of dataWithin(part.holes ?? [], 0, part.length)) {
            const stretch = bytes.subarray(data.start, data.end)
            hash.update(stretch)
            sink(stretch, start + data.start)
          }
        })
      }
      at += part.length
    }
    if (at !== content.size || hash.digest('hex') !== id)
      throw wrong(content.parts, `content ${id.slice(0, 16)} is not what its name says`)
    return content.size
  } finally {
    opened.close()
  }
}

// Chunks and contents were held against their names: what is left to be wrong is a file of `ro`.
function wrong(parts: readonly Part[], why: string, cause?: unknown): Error {
  const lower = parts.flatMap(({ references = [] }) =>
    references.filter(({ source }) => source === 'ro'),
  )
  if (lower.length > 0) return changed(lower[0]!, 'what refers to it comes out wrong')
  return new Damage(why, { cause })
}

/** Offset and length of each hole of what a content makes, in order. */
export function holesOfParts({ parts }: Content): number[] {
  const holes: number[] = []
  let at = 0
  for (const part of parts) {
    if (part.codec === 'hole') addHole(holes, at, part.length)
    const inside = part.holes ?? []
    for (let index = 0; index + 1 < inside.length; index += 2)
      addHole(holes, at + inside[index]!, inside[index + 1]!)
    at += part.length
  }
  return holes
}

// Two that meet are one hole of the file.
function addHole(holes: number[], offset: number, length: number): void {
  const last = holes.length - 2
  if (last >= 0 && holes[last]! + holes[last + 1]! === offset) holes[last + 1]! += length
  else holes.push(offset, length)
}

// Gives all bytes of a part to `use`, which must not wait.
async function makeWhole(
  sources: Sources,
  part: Part,
  opened: Opened,
  chain: Chain,
  use: (bytes: Buffer) => void,
): Promise<void> {
  if (part.codec !== 'over') {
    use(await makePart(sources, part, opened, chain))
    return
  }
  await lent(part.length, async (bytes) => {
    await makeOver(sources, part, bytes, chain)
    use(bytes)
  })
}

/** Memory for parts that are made while others are: given back, and used again. */
const spare: Buffer[] = []

async function lent<T>(size: number, use: (bytes: Buffer) => Promise<T>): Promise<T> {
  if (size > LARGEST_PART) throw new Damage('a part of no such size')
  const memory = spare.pop()
  const whole = memory !== undefined && memory.length >= size ? memory : fresh(size)
  try {
    return await use(whole.subarray(0, size))
  } finally {
    if (spare.length < MOST_SPARE) spare.push(whole)
  }
}

const fresh = (size: number): Buffer => Buffer.allocUnsafeSlow(size)
const MOST_SPARE = 2

// Fills `into`, which is as long as the part.
async function makeOver(sources: Sources, part: Part, into: Buffer, chain: Chain): Promise<void> {
  const { references = [], chunks = [] } = part
  const [reference] = references
  if (references.length !== 1 || reference?.length !== part.length)
    throw new Damage('a part that lies over nothing')
  if (reference.source === 'ro') readLower(sources, reference, into)
  else await fill(sources, reference.content ?? '', reference.offset, into, next(chain))
  const stored = await readChunks(sources.depot, chunks)
  try {
    layOver(into, part, stored)
  } catch (cause) {
    if (cause instanceof BadFrame) throw wrong([part], cause.message, cause)
    throw cause
  }
}

/** A content that is read stretch by stretch. */
interface Known {
  readonly content: Content
  /** Where each part begins. */
  readonly starts: readonly number[]
  readonly opened: Opened
}

async function knownOf(sources: Sources, id: string, chain: Chain): Promise<Known> {
  const found = chain.known.get(id)
  if (found !== undefined) {
    if (chain.depth > DEEPEST) throw new Damage('a chain of contents without end')
    return found
  }
  const content = await contentOf(sources, id, chain)
  // Nothing but its whole tells whether it is right.
  if (content.parts.some(needsWhole)) await make(sources, id, () => {}, chain)
  const starts: number[] = []
  let at = 0
  for (const { length } of content.parts) {
    starts.push(at)
    at += length
  }
  if (at !== content.size) throw new Damage('parts longer or shorter than their content')
  const known = { content, starts, opened: new Opened() }
  chain.known.set(id, known)
  return known
}

const needsWhole = ({ references = [] }: Part): boolean =>
  references.some(({ source, digest }) => source === 'ro' && digest === '')

/** Number of the part that holds `offset`. */
function partAt({ starts }: Known, offset: number): number {
  let low = 0
  let high = starts.length
  while (high - low > 1) {
    const middle = (low + high) >>> 1
    if (starts[middle]! <= offset) low = middle
    else high = middle
  }
  return low
}

/** Fills `into` with a stretch of a content, and makes no more of it than that needs. */
async function fill(
  sources: Sources,
  id: string,
  from: number,
  into: Buffer,
  chain: Chain,
): Promise<void> {
  const known = await knownOf(sources, id, chain)
  const { content, starts, opened } = known
  const to = from + into.length
  if (to > content.size) throw new Damage(`content ${id.slice(0, 16)} is shorter`)
  let at = from
  for (let index = partAt(known, from); at < to; index++) {
    const part = content.parts[index]!
    const skip = at - starts[index]!
    const end = Math.min(to, starts[index]! + part.length)
    const stretch = into.subarray(at - from, end - from)
    at = end
    if (part.codec === 'hole') stretch.fill(0)
    else if (part.codec === 'over' && stretch.length === part.length)
      await makeOver(sources, part, stretch, chain)
    else {
      if (stretch.length < part.length) countMade(chain)
      await makeWhole(sources, part, opened, chain, (bytes) => {
        bytes.copy(stretch, 0, skip, skip + stretch.length)
      })
    }
  }
}

/** A content that is read stretch by stretch, in no order. Each read makes what it needs. */
export class ContentRanges {
  readonly #sources: Sources
  readonly #id: string
  readonly #chain = first()

  constructor(sources: Sources, id: string) {
    this.#sources = sources
    this.#id = id
  }

  /** Throws Damage, SVS_RO_CHANGED. */
  read(into: Buffer, offset: number): Promise<void> {
    this.#chain.cost.made = 0
    return fill(this.#sources, this.#id, offset, into, this.#chain)
  }

  close(): void {
    closeAll(this.#chain)
  }
}

async function makePart(
  sources: Sources,
  part: Part,
  opened: Opened,
  chain: Chain,
): Promise<Buffer> {
  const references = part.references ?? []
  if (references.length > MOST_REFERENCES) throw new Damage('a part of too many references')
  if (part.codec === 'slice') return sliceOf(sources, part, references, chain)
  const frame = part.frame ?? part.length
  const skip = part.skip ?? 0
  if (frame > LARGEST_PART || skip + part.length > frame) throw new Damage('a part of no such size')
  opened.keep(references)
  for (const reference of references) await openReference(sources, reference, opened, chain)
  const stored = await readChunks(sources.depot, part.chunks ?? [])
  for (const reference of references)
    await opened.get(reference)?.prepare(reference.offset, reference.length)
  // Nothing waits from here on, so that the memory of one part serves all.
  const bytes = decode(part, stored, frame, makePrefix(sources, references, opened))
  if (bytes.length !== frame) throw new Damage('a part of another length')
  return bytes.subarray(skip, skip + part.length)
}

function decode(part: Part, stored: Buffer, size: number, prefix: Buffer | null): Buffer {
  try {
    switch (part.codec) {
      case 'zstd':
        return decompress(stored, size, prefix, scratch('part', size))
      case 'brotli':
        return unpack('brotli', stored, size)
      case 'patch':
        return applyPatch(stored, prefix ?? EMPTY, scratch('part', size))
      default:
        return stored
    }
  } catch (cause) {
    if (cause instanceof BadFrame) throw wrong([part], cause.message, cause)
    throw cause
  }
}

const EMPTY = Buffer.alloc(0)

async function sliceOf(
  sources: Sources,
  { length }: Part,
  references: readonly Reference[],
  chain: Chain,
): Promise<Buffer> {
  const [reference] = references
  if (references.length !== 1 || reference?.content === undefined || reference.length !== length)
    throw new Damage('a slice of nothing')
  const whole = await packOf(sources, reference.content, next(chain))
  if (reference.offset + length > whole.length) throw new Damage('a slice beyond its end')
  return whole.subarray(reference.offset, reference.offset + length)
}

/** Where a content lies that is one slice of another; null for any other. */
export function sliceIn({ parts }: Content): { content: string; offset: number } | null {
  const [part] = parts
  const reference = part?.references?.[0]
  if (parts.length !== 1 || part?.codec !== 'slice' || reference?.content === undefined) return null
  return { content: reference.content, offset: reference.offset }
}

/** Packs that were made last, by whose depot they came from. */
const atHand = new WeakMap<DepotReader, Map<string, Buffer>>()

async function packOf(sources: Sources, id: string, chain: Chain): Promise<Buffer> {
  const packs = atHand.get(sources.depot) ?? new Map<string, Buffer>()
  atHand.set(sources.depot, packs)
  const at = `${sources.scope} ${id}`
  const known = packs.get(at)
  if (known !== undefined) {
    // The one used last goes last.
    packs.delete(at)
    packs.set(at, known)
    return known
  }
  const bytes = await madeOf(sources, id, LARGEST_PACK, chain)
  packs.set(at, bytes)
  let sum = 0
  for (const pack of packs.values()) sum += pack.length
  for (const [name, pack] of packs) {
    if (sum <= AT_HAND) break
    packs.delete(name)
    sum -= pack.length
  }
  return bytes
}

async function madeOf(sources: Sources, id: string, most: number, chain: Chain): Promise<Buffer> {
  const { size } = await contentOf(sources, id, chain)
  if (size > most)
    throw new Damage(`content ${id.slice(0, 16)} is too large for what it is used as`)
  const bytes = Buffer.allocUnsafeSlow(size)
  bytes.fill(0)
  await make(sources, id, (data, offset) => void data.copy(bytes, offset), chain)
  return bytes
}

const kept = {
  part: Buffer.alloc(0),
  prefix: Buffer.alloc(0),
  // What is being stored keeps its own, because what it refers to is made meanwhile.
  unit: Buffer.alloc(0),
  window: Buffer.alloc(0),
}

/** Memory that is used again: fresh memory is slow to touch. Good until asked for again. */
export function scratch(use: keyof typeof kept, size: number): Buffer {
  if (kept[use].length < size) kept[use] = Buffer.allocUnsafeSlow(size)
  return kept[use].subarray(0, size)
}

function makePrefix(
  sources: Sources,
  references: readonly Reference[],
  opened: Opened,
): Buffer | null {
  if (references.length === 0) return null
  const length = references.reduce((sum, reference) => sum + reference.length, 0)
  if (length > LARGEST_WINDOW) throw new Damage('references beyond any window')
  const prefix = scratch('prefix', length)
  let at = 0
  for (const reference of references) {
    const stretch = prefix.subarray(at, at + reference.length)
    if (reference.source === 'ro') readLower(sources, reference, stretch)
    else readStretch(reference, opened.get(reference)!, stretch)
    at += reference.length
  }
  return prefix
}

// Opened for this alone: a part may refer to more files than a process may have open.
function readLower(sources: Sources, reference: Reference, into: Buffer): void {
  const file = openLower(sources.ro, reference.path)
  if (file === null) throw changed(reference, 'it is missing')
  try {
    readStretch(reference, file, into)
  } finally {
    file.close()
  }
}

function readStretch(reference: Reference, source: Readable, into: Buffer): void {
  if (reference.offset + reference.length > source.size) throw changed(reference, 'it is shorter')
  source.read(into, reference.offset)
  if (reference.digest !== '' && sha256(into) !== reference.digest)
    throw changed(reference, 'its bytes differ')
}

const nameOf = ({ content }: Reference): string => content ?? ''

function changed(reference: Reference, why: string): Error {
  if (reference.source === 'ro')
    return new Failure('SVS_RO_CHANGED', shown(reference.path ?? ''), why)
  return new Damage(`content ${reference.content?.slice(0, 16)}: ${why}`)
}

/** The contents that one content refers to, while it is made. */
class Opened {
  readonly #all = new Map<string, Opening>()

  /** Bytes that may still be held in memory. */
  get room(): number {
    let room = IN_MEMORY
    for (const { inMemory, size } of this.#all.values()) if (inMemory) room -= size
    return room
  }

  get(reference: Reference): Opening | undefined {
    return this.#all.get(nameOf(reference))
  }

  add(reference: Reference, source: Opening): void {
    this.#all.set(nameOf(reference), source)
    if (this.#all.size > MOST_OPEN) throw new Damage('a part that refers to too many contents')
  }

  /** Closes what the next part does not refer to. */
  keep(references: readonly Reference[]): void {
    const names = new Set(references.map(nameOf))
    for (const [name, source] of this.#all) {
      if (names.has(name)) continue
      source.close()
      this.#all.delete(name)
    }
  }

  close(): void {
    this.keep([])
  }
}

/** A content that is open for reading. */
export interface OpenContent extends Readable {
  /** Before a stretch is read. Throws Damage, SVS_RO_CHANGED. */
  prepare(offset: number, length: number): Promise<void>
}

interface Opening extends OpenContent {
  readonly inMemory: boolean
}

/** What needs no preparation, as if it were a content. */
export const prepared = (source: Readable | null): OpenContent | null =>
  source === null
    ? null
    : {
        size: source.size,
        prepare: () => Promise.resolve(),
        read: (into, offset) => source.read(into, offset),
        close: () => source.close(),
      }

async function openReference(
  sources: Sources,
  reference: Reference,
  opened: Opened,
  chain: Chain,
): Promise<void> {
  if (reference.source === 'ro' || opened.get(reference) !== undefined) return
  const source = await open(sources, reference.content ?? '', opened.room, next(chain))
  opened.add(reference, source)
}

/** A content as something to read from. Throws Damage. */
export async function openContent(sources: Sources, id: string): Promise<OpenContent> {
  return open(sources, id, IN_MEMORY, first())
}

async function open(sources: Sources, id: string, room: number, chain: Chain): Promise<Opening> {
  const { size } = await contentOf(sources, id, chain)
  if (size > room) return new LargeContent(sources, id, size, chain)
  return { ...prepared(inMemory(await packOf(sources, id, chain)))!, inMemory: true }
}

/** One whose parts are made when they are first asked for, and lie in a nameless file then. */
class LargeContent implements Opening {
  readonly inMemory = false
  readonly size: number
  readonly #sources: Sources
  readonly #id: string
  readonly #chain: Chain
  readonly #made = new Set<number>()
  readonly #fd: number

  constructor(sources: Sources, id: string, size: number, chain: Chain) {
    this.#sources = sources
    this.#id = id
    this.#chain = { ...chain, known: new Map() }
    this.size = size
    const flags = O.TMPFILE | O.RDWR
    const { temporary } = sources
    this.#fd = must(sys.openat(AT_FDCWD, temporary, flags, 0o600), shown(temporary))
    try {
      must(sys.ftruncate(this.#fd, size), 'ftruncate')
    } catch (err) {
      sys.close(this.#fd)
      throw err
    }
  }

  async prepare(offset: number, length: number): Promise<void> {
    // What is beyond the end is told by whoever reads it.
    const end = Math.min(this.size, offset + length)
    const { depth, cost } = this.#chain
    if (depth === 0) cost.made = 0
    const known = await knownOf(this.#sources, this.#id, this.#chain)
    const { content, starts, opened } = known
    for (let index = partAt(known, offset); index < starts.length; index++) {
      const start = starts[index]!
      if (start >= end) break
      const part = content.parts[index]!
      if (part.codec === 'hole' || this.#made.has(index)) continue
      await makeWhole(this.#sources, part, opened, this.#chain, (bytes) =>
        writeFull(this.#fd, bytes, start),
      )
      this.#made.add(index)
    }
  }

  read(into: Buffer, offset: number): void {
    readFull(this.#fd, into, offset)
  }

  close(): void {
    closeAll(this.#chain)
    sys.close(this.#fd)
  }
}
