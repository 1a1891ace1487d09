// What is known while one content is made: how deep, at what cost, and which others are open for it.
//
//   content ─▶ part ─▶ reference ─▶ another content ─▶ …      one Chain
//
// Rule: memory and work are bounded by what is counted here, whatever a record says.

import { Damage } from './depot.ts'
import type { Readable } from './readable.ts'
import type { Content, Reference } from './records.ts'
import type { Sources } from './sources.ts'

/** Contents that one part refers to are in memory up to so many bytes together. */
export const IN_MEMORY = 8 * 1024 * 1024
/** Longer chains are not made, so a record that has one is damaged (or made to loop). */
const DEEPEST = 32
/** Contents that are made for one, at most. */
const MOST_MADE = 50_000
/** What is made again before it can be read lies in so many nameless files at most. */
const MOST_OPEN = 128

/** A content that is open for reading. */
export interface OpenContent extends Readable {
  /** Before a stretch is read. Throws Damage, SVS_RO_CHANGED. */
  prepare(offset: number, length: number): Promise<void>
}

/** One that may be held in memory. */
export interface Opening extends OpenContent {
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

/** A content that is read stretch by stretch. */
export interface Known {
  readonly content: Content
  /** Where each part begins. */
  readonly starts: readonly number[]
  readonly opened: Opened
}

/** How far from what was asked for, what it has cost so far, and what is read stretch by stretch. */
export interface Chain {
  readonly depth: number
  readonly cost: { made: number }
  readonly known: Map<string, Known>
}

/** Nothing was asked for yet. */
export const first = (): Chain => ({ depth: 0, cost: { made: 0 }, known: new Map() })
/** One content further on. */
export const next = (chain: Chain): Chain => ({ ...chain, depth: chain.depth + 1 })

export function closeAll({ known }: Chain): void {
  for (const { opened } of known.values()) opened.close()
  known.clear()
}

/** The record of a content that is about to be made. Throws Damage. */
export async function contentOf(sources: Sources, id: string, chain: Chain): Promise<Content> {
  const content = await sources.depot.content(sources.scope, id)
  if (content === null) throw new Damage(`content ${id.slice(0, 16)} is missing`)
  checkDepth(chain)
  countMade(chain)
  return content
}

/** Throws Damage. */
export function checkDepth({ depth }: Chain): void {
  if (depth > DEEPEST) throw new Damage('a chain of contents without end')
}

/** Throws Damage. */
export function countMade({ cost }: Chain): void {
  cost.made += 1
  if (cost.made > MOST_MADE) throw new Damage('a content that needs too many others')
}

const nameOf = ({ content }: Reference): string => content ?? ''

/** The contents that one content refers to, while it is made. */
export class Opened {
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
