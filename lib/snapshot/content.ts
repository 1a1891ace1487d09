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

import { shown } from '../base/path.ts'
import { AT_FDCWD, must, O, sys } from '../host/sys.ts'
import { BadFrame, decompress } from '../host/zstd.ts'
import { unpack } from './codec.ts'
import { fill, knownOf } from './content-ranges.ts'
import { holesOfParts } from './content-shape.ts'
import { Damage, type DepotReader, readChunks } from './depot.ts'
import { beginId, dataWithin, readFull } from './file-data.ts'
import { partAt } from './fills.ts'
import {
  type Chain,
  closeAll,
  contentOf,
  first,
  IN_MEMORY,
  next,
  type OpenContent,
  Opened,
  type Opening,
  prepared,
} from './making.ts'
import { layOver } from './over.ts'
import { applyPatch } from './patch.ts'
import { inMemory, writeFull } from './readable.ts'
import type { Part, Reference } from './records.ts'
import { makePrefix, readLower, wrong } from './reference-bytes.ts'
import { lent, scratch } from './scratch.ts'
import { LARGEST_PACK, LARGEST_PART, type Sink, type Sources } from './sources.ts'

/** Packs that are kept at hand. */
const AT_HAND = 24 * 1024 * 1024
/** References of one part, at most. */
const MOST_REFERENCES = 8192

/** Makes a content, and checks it. Returns its size. Throws Damage, SVS_RO_CHANGED. */
export async function makeContent(sources: Sources, id: string, sink: Sink): Promise<number> {
  const chain = first()
  try {
    return await make(sources, id, sink, chain)
  } finally {
    closeAll(chain)
  }
}

/** Makes all of a content. `sink` gets it before it is held against its name. */
export async function make(
  sources: Sources,
  id: string,
  sink: Sink,
  chain: Chain,
): Promise<number> {
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

/** Gives all bytes of a part to `use`, which must not wait. */
export async function makeWhole(
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

/** Fills `into`, which is as long as the part. */
export async function makeOver(
  sources: Sources,
  part: Part,
  into: Buffer,
  chain: Chain,
): Promise<void> {
  const { references = [], chunks = [] } = part
  const [reference] = references
  if (references.length !== 1 || reference?.length !== part.length)
    throw new Damage('a part that lies over nothing')
  if (reference.source === 'ro') readLower(sources, reference, into)
  else
    await fill(sources, reference.content ?? '', [{ offset: reference.offset, into }], next(chain))
  const stored = await readChunks(sources.depot, chunks)
  try {
    layOver(into, part, stored)
  } catch (cause) {
    if (cause instanceof BadFrame) throw wrong([part], cause.message, cause)
    throw cause
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
    for (let index = partAt(starts, offset); index < starts.length; index++) {
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
