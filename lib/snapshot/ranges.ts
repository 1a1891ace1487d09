// Stretches of contents, read in any order: what a file that is browsed is read by.
//
//   small   made as a whole and held against its name; the last few are at hand (content.ts)
//   large   the parts that the stretch lies in are made, and lie in a nameless file from then on
//
// What is kept of large ones has a bound: those that were not read for the longest time go first.
//
// Rule: one read at a time. What could not be read is forgotten, and looked up anew the next time: it may
// have been stored in another form meanwhile, or mended.

import { openContent } from './content.ts'
import { holesOfParts } from './content-shape.ts'
import { Damage } from './depot.ts'
import type { OpenContent } from './making.ts'
import { LARGEST_PACK, type Sources } from './sources.ts'

/** Bytes of large contents that are kept open together; the one that is read may be larger. */
const MOST_KEPT = 1024 * 1024 * 1024

export class Ranges {
  readonly #sources: Sources
  readonly #most: number
  /** Large contents, the one read last at the end. */
  readonly #open = new Map<string, OpenContent>()

  constructor(sources: Sources, most = MOST_KEPT) {
    this.#sources = sources
    this.#most = most
  }

  /** How many large contents are kept. */
  get kept(): number {
    return this.#open.size
  }

  /** Offset and length of each hole. Throws Damage. */
  async holes(id: string): Promise<number[]> {
    const { depot, scope } = this.#sources
    const content = await depot.content(scope, id)
    if (content === null) throw new Damage(`content ${id.slice(0, 16)} is missing`)
    return holesOfParts(content)
  }

  /** Fills `into` from `offset`. Throws Damage, SVS_RO_CHANGED, FileCut. */
  async read(id: string, into: Buffer, offset: number): Promise<void> {
    const source = this.#open.get(id) ?? (await openContent(this.#sources, id))
    this.#open.delete(id)
    try {
      await source.prepare(offset, into.length)
      source.read(into, offset)
    } catch (err) {
      source.close()
      throw err
    }
    if (source.size > LARGEST_PACK) this.#keep(id, source)
    else source.close()
  }

  close(): void {
    for (const source of this.#open.values()) source.close()
    this.#open.clear()
  }

  #keep(id: string, source: OpenContent): void {
    this.#open.set(id, source)
    let sum = 0
    for (const { size } of this.#open.values()) sum += size
    for (const [other, oldest] of this.#open) {
      if (sum <= this.#most || oldest === source) return
      this.#open.delete(other)
      oldest.close()
      sum -= oldest.size
    }
  }
}
