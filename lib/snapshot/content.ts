// Making the content of a file again from its parts, and the references that parts need.
//
//   Content ─▶ part: [prefix = references] + frame ─▶ bytes ─▶ sink(bytes, offset)
//
// A reference to another content is made first, as a whole: small ones in memory, larger ones
// in a nameless file, so that a chain of them costs disk, not memory. Small files lie together in
// one content, of which each is a slice; the last few of those are kept at hand.
//
// Rule: what comes out is hashed and must have the name it was asked by; until then it may
// not be shown to anybody. Memory is bounded by the largest window, and work by how many contents
// one may need, whatever a record says.

import { Failure } from '../base/failure.ts'
import { type RelPath, shown } from '../base/path.ts'
import { Stat } from '../host/stat.ts'
import { AT_FDCWD, must, O, S, sys } from '../host/sys.ts'
import { BadFrame, decompress, LARGEST_WINDOW } from '../host/zstd.ts'
import { unpack } from './codec.ts'
import { Damage, type DepotReader, readChunks, sha256 } from './depot.ts'
import { beginId, dataWithin, FileCut, readFull } from './file-data.ts'
import { applyPatch } from './patch.ts'
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

/** Bytes at an offset of a reference, or of what becomes a file. */
export interface Readable {
  readonly size: number
  /** Fills `into` from `offset`. */
  read(into: Buffer, offset: number): void
  close(): void
}

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

/** How far from what was asked for, and what it has cost so far. */
interface Chain {
  readonly depth: number
  readonly cost: { made: number }
}

const first = (): Chain => ({ depth: 0, cost: { made: 0 } })
const next = ({ depth, cost }: Chain): Chain => ({ depth: depth + 1, cost })

/** Makes a content, and checks it. Returns its size. Throws Damage, SVS_RO_CHANGED. */
export async function makeContent(sources: Sources, id: string, sink: Sink): Promise<number> {
  return make(sources, id, sink, first())
}

async function contentOf(sources: Sources, id: string, chain: Chain): Promise<Content> {
  const content = await sources.depot.content(sources.scope, id)
  if (content === null) throw new Damage(`content ${id.slice(0, 16)} is missing`)
  if (chain.depth > DEEPEST) throw new Damage('a chain of contents without end')
  chain.cost.made += 1
  if (chain.cost.made > MOST_MADE) throw new Damage('a content that needs too many others')
  return content
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
        const bytes = await makePart(sources, part, opened, chain)
        for (const { start, end } of dataWithin(part.holes ?? [], 0, part.length)) {
          const data = bytes.subarray(start, end)
          hash.update(data)
          sink(data, at + start)
        }
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

function holesOfParts({ parts }: Content): number[] {
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

  get(reference: Reference): Readable | undefined {
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

interface Opening extends Readable {
  readonly inMemory: boolean
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
export async function openContent(sources: Sources, id: string): Promise<Readable> {
  return open(sources, id, IN_MEMORY, first())
}

async function open(sources: Sources, id: string, room: number, chain: Chain): Promise<Opening> {
  const { size } = await contentOf(sources, id, chain)
  if (size > room) return { ...(await openLarge(sources, id, size, chain)), inMemory: false }
  return { ...inMemory(await packOf(sources, id, chain)), inMemory: true }
}

/** Bytes as something to read from. */
export const inMemory = (bytes: Buffer): Readable => ({
  size: bytes.length,
  read(into, offset) {
    if (offset + into.length > bytes.length) throw new FileCut(`content ends at ${bytes.length}`)
    bytes.copy(into, 0, offset)
  },
  close() {},
})

async function openLarge(
  sources: Sources,
  id: string,
  size: number,
  chain: Chain,
): Promise<Readable> {
  const flags = O.TMPFILE | O.RDWR
  const fd = must(sys.openat(AT_FDCWD, sources.temporary, flags, 0o600), shown(sources.temporary))
  try {
    must(sys.ftruncate(fd, size), 'ftruncate')
    await make(sources, id, (data, offset) => writeFull(fd, data, offset), chain)
    return readable(fd, size)
  } catch (err) {
    sys.close(fd)
    throw err
  }
}

/** Writes all of `bytes`. Throws Errno. */
export function writeFull(fd: number, bytes: Buffer, offset: number): void {
  for (let done = 0; done < bytes.length; ) {
    const rest = done === 0 ? bytes : bytes.subarray(done)
    done += must(sys.pwrite(fd, rest, rest.length, offset + done), 'pwrite')
  }
}

const readable = (fd: number, size: number): Readable => ({
  size,
  read: (into, offset) => readFull(fd, into, offset),
  close: () => void sys.close(fd),
})

const lowerStat = new Stat()

/** A regular file of the read-only sublayer; null where there is none. Follows no link. */
export function openLower(roots: readonly string[], path: RelPath | undefined): Readable | null {
  if (path === undefined) return null
  for (const root of roots) {
    const fd = openBelow(root, path)
    if (fd === null) continue
    must(sys.stat(fd, '', lowerStat), shown(path))
    if ((lowerStat.mode & S.IFMT) === S.IFREG) return readable(fd, lowerStat.size)
    sys.close(fd)
    return null
  }
  return null
}

/**
 * Opens a file of a tree; null where there is none. Name by name, each relative to the directory
 * before: a path may be longer than PATH_MAX.
 */
export function openBelow(root: string, path: RelPath): number | null {
  let dir = must(sys.openat(AT_FDCWD, root, O.PATH | O.DIRECTORY), shown(root))
  const names = path.split('/')
  const last = names.pop()!
  for (const name of names) {
    const next = sys.openat(dir, name, O.PATH | O.DIRECTORY | O.NOFOLLOW)
    sys.close(dir)
    if (next < 0) return null
    dir = next
  }
  const fd = sys.openat(dir, last, O.RDONLY | O.NOFOLLOW | O.NONBLOCK)
  sys.close(dir)
  return fd < 0 ? null : fd
}
