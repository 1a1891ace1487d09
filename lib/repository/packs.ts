// Chunks in packs, so that a repository holds hundreds of blobs instead of a hundred thousand.
//
//   chunks by id ─▶ cut where an id says so ─▶ pack, pack, …     the same chunks make the same packs
//   packs that are there ─▶ used again ─▶ only what is in none of them is packed anew
//
// A pack ends after a chunk whose id, read as a number, falls into a share of all numbers that grows with
// its length: so packs have some 4 MiB, and one chunk more or less changes one of them.
//
// Rule: packing knows nothing but ids and lengths: it is the same in every store.

import { LIMITS } from './format.ts'

/** What a pack has on average, and at most. */
const USUAL = 4 * 1024 * 1024
const MOST = 16 * 1024 * 1024
/** Packs below that are small; more than so many small ones are packed again, together. */
const SMALL = 1024 * 1024
const MOST_SMALL = 16

export interface Chunk {
  readonly id: string
  readonly length: number
}

/** Chunks that lie one after the other in one blob. */
export interface Pack {
  /** Null where it was not made yet. */
  readonly digest: string | null
  readonly size: number
  readonly chunks: readonly Chunk[]
}

/** A pack that some repository has. */
export type KnownPack = Pack & { readonly digest: string }

/** Packs of all these chunks. */
export function cutPacks(chunks: Iterable<Chunk>): Pack[] {
  const packs: Pack[] = []
  let waiting: Chunk[] = []
  let size = 0
  const cut = () => {
    if (waiting.length > 0) packs.push({ digest: null, size, chunks: waiting })
    waiting = []
    size = 0
  }
  for (const chunk of [...chunks].sort((a, b) => (a.id < b.id ? -1 : 1))) {
    if (size + chunk.length > MOST) cut()
    waiting.push(chunk)
    size += chunk.length
    if (endsPack(chunk)) cut()
  }
  cut()
  return packs
}

const endsPack = ({ id, length }: Chunk): boolean =>
  Number.parseInt(id.slice(-8), 16) < (length / USUAL) * 2 ** 32

/** Packs for these chunks: of those that are known, and new ones for what is in none. */
export function choosePacks(
  wanted: ReadonlyMap<string, number>,
  known: readonly KnownPack[],
): Pack[] {
  const left = new Map(wanted)
  const used: KnownPack[] = []
  const gainOf = ({ chunks }: Pack) =>
    chunks.reduce((sum, { id, length }) => sum + (left.get(id) === length ? length : 0), 0)
  const ranked = known
    .map((pack) => ({ pack, gain: gainOf(pack) }))
    .filter(({ gain }) => gain > 0)
    .sort((a, b) => b.gain - a.gain || (a.pack.digest < b.pack.digest ? -1 : 1))
  let small = 0
  for (const { pack } of ranked) {
    // What the ones before have is not gained twice.
    const gain = gainOf(pack)
    if (gain === 0 || (gain < SMALL && ++small > MOST_SMALL)) continue
    used.push(pack)
    for (const { id } of pack.chunks) left.delete(id)
  }
  return [...used, ...cutPacks([...left].map(([id, length]) => ({ id, length })))]
}

/** Where a chunk lies. */
export interface Lying {
  readonly pack: KnownPack
  readonly at: number
  readonly length: number
}

/** Where each chunk lies, for those that are wanted. */
export function placesIn(
  packs: readonly KnownPack[],
  wanted: ReadonlySet<string>,
): Map<string, Lying> {
  const places = new Map<string, Lying>()
  for (const pack of packs) {
    let at = 0
    for (const { id, length } of pack.chunks) {
      if (wanted.has(id) && !places.has(id)) places.set(id, { pack, at, length })
      at += length
    }
  }
  return places
}

/** A stretch of a pack that is fetched at once. */
export interface Stretch {
  readonly pack: KnownPack
  readonly start: number
  readonly end: number
  readonly chunks: readonly (Chunk & { readonly at: number })[]
}

/** So many bytes that nobody wants are fetched rather than asking once more. */
const GAP = 64 * 1024

/** Stretches that bring the chunks: nothing but them where a repository gives parts of blobs. */
export function stretchesOf(places: ReadonlyMap<string, Lying>): Stretch[] {
  const byPack = new Map<KnownPack, (Chunk & { at: number })[]>()
  for (const [id, { pack, at, length }] of places) {
    const chunks = byPack.get(pack) ?? []
    if (chunks.length === 0) byPack.set(pack, chunks)
    chunks.push({ id, at, length })
  }
  const stretches: Stretch[] = []
  for (const [pack, chunks] of byPack) {
    chunks.sort((a, b) => a.at - b.at)
    let first = 0
    for (let at = 1; at <= chunks.length; at++) {
      const before = chunks[at - 1]!
      const next = chunks[at]
      if (next !== undefined && next.at - (before.at + before.length) <= GAP) continue
      const some = chunks.slice(first, at)
      stretches.push({ pack, start: some[0]!.at, end: before.at + before.length, chunks: some })
      first = at
    }
  }
  return stretches
}

/** Bounds that reading an index holds packs against. */
export const LARGEST_PACK = LIMITS.pack
