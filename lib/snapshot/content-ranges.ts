// Contents that are read stretch by stretch: of each part only what the stretches need is made.
//
//   raw     the chunks that hold them          over    what lies below, and the runs where they are touched
//   others  made whole                         hole    zeros
//
// Rule: chunks and stretches of `ro` are held against their names; a content that only its whole can
// vouch for is made whole first (`needsWhole`).

import { BadFrame } from '../host/zstd.ts'
import { make, makeOver, makeWhole } from './content.ts'
import { Damage, LARGEST_CHUNK, readChunk, readChunks } from './depot.ts'
import { copyOut, copyRuns, type Fill, fillsByPart, fillsOf, touched } from './fills.ts'
import {
  type Chain,
  checkDepth,
  closeAll,
  contentOf,
  countMade,
  first,
  type Known,
  next,
  Opened,
} from './making.ts'
import { checkRuns, lengthOf, unpackRuns } from './over.ts'
import type { Part } from './records.ts'
import { wrong } from './reference-bytes.ts'
import { LARGEST_PART, type Sources } from './sources.ts'

/** Throws Damage, SVS_RO_CHANGED. */
export async function knownOf(sources: Sources, id: string, chain: Chain): Promise<Known> {
  const found = chain.known.get(id)
  if (found !== undefined) {
    checkDepth(chain)
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

/** Makes stretches of a content, and no more of it than they need. Throws Damage, SVS_RO_CHANGED. */
export async function fill(
  sources: Sources,
  id: string,
  fills: readonly Fill[],
  chain: Chain,
): Promise<void> {
  const known = await knownOf(sources, id, chain)
  const { content, starts } = known
  for (const { offset, into } of fills)
    if (offset + into.length > content.size)
      throw new Damage(`content ${id.slice(0, 16)} is shorter`)
  for (const [index, own] of fillsByPart(fills, starts, content.size))
    await fillPart(sources, content.parts[index]!, own, known.opened, chain)
}

async function fillPart(
  sources: Sources,
  part: Part,
  fills: readonly Fill[],
  opened: Opened,
  chain: Chain,
): Promise<void> {
  if (part.codec === 'hole') {
    for (const { into } of fills) into.fill(0)
    return
  }
  const [{ into }] = fills as [Fill]
  if (part.codec === 'over' && into.length === part.length) {
    await makeOver(sources, part, into, chain)
    copyOut(into, 0, fills.slice(1))
    return
  }
  countMade(chain)
  if (part.codec === 'over' && part.references?.[0]?.source === 'content')
    return fillOver(sources, part, fills, chain)
  if (part.codec === 'raw' && (await fillRaw(sources, part, fills))) return
  await makeWhole(sources, part, opened, chain, (bytes) => copyOut(bytes, 0, fills))
}

// Of what lies below only what shows, or what runs are made with.
async function fillOver(
  sources: Sources,
  part: Part,
  fills: readonly Fill[],
  chain: Chain,
): Promise<void> {
  const { runs = [], chunks = [], packed, references = [] } = part
  const [reference] = references
  if (references.length !== 1 || reference?.length !== part.length)
    throw new Damage('a part that lies over nothing')
  if (part.length > LARGEST_PART) throw new Damage('a part of no such size')
  checkRuns(part, part.length)
  const below = (some: readonly Fill[]) =>
    fill(
      sources,
      reference.content ?? '',
      some.map(({ offset, into }) => ({ offset: offset + reference.offset, into })),
      next(chain),
    )
  const shares = fills.map((one) => touched(runs, one))
  const through = fills.filter((_, at) => shares[at] !== 'all')
  if (through.length > 0) await below(through)
  if (shares.every((share) => share === 'no')) return
  const former = packed === 'delta' ? Buffer.allocUnsafeSlow(lengthOf(runs)) : null
  if (former !== null) await below(fillsOf(runs, former))
  const stored = await readChunks(sources.depot, chunks)
  try {
    copyRuns(unpackRuns(part, stored, former), runs, fills)
  } catch (cause) {
    if (cause instanceof BadFrame) throw wrong([part], cause.message, cause)
    throw cause
  }
}

// Chunks of plain bytes that nobody asked for are left alone. False where they are cut otherwise.
async function fillRaw(
  { depot }: Sources,
  { length, chunks = [], frame, skip = 0, references = [] }: Part,
  fills: readonly Fill[],
): Promise<boolean> {
  const isPlain = (frame ?? length) === length && skip === 0 && references.length === 0
  if (!isPlain || chunks.length !== Math.ceil(length / LARGEST_CHUNK)) return false
  const starts = chunks.map((_, at) => at * LARGEST_CHUNK)
  const wanted = [...fillsByPart(fills, starts, length).keys()]
  const read = await Promise.all(wanted.map((index) => readChunk(depot, chunks[index]!)))
  const ends = (index: number) => Math.min(length, (index + 1) * LARGEST_CHUNK)
  if (wanted.some((index, at) => read[at]!.length !== ends(index) - starts[index]!)) return false
  for (const [at, index] of wanted.entries()) copyOut(read[at]!, starts[index]!, fills)
  return true
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
    return this.readAll([{ offset, into }])
  }

  /** Several stretches, for less than one by one. */
  readAll(fills: readonly Fill[]): Promise<void> {
    this.#chain.cost.made = 0
    return fill(this.#sources, this.#id, fills, this.#chain)
  }

  close(): void {
    closeAll(this.#chain)
  }
}
