// How much of the store each state needs: alone, and together with others.
//
//   own     what goes when this state alone is deleted
//   shared  what it needs, and another state as well
//
// Rule: found by following records, as garbage is; each list is read once, whoever shares it.

import type { Catalogue } from './catalogue.ts'
import { key } from './keys.ts'
import { Pace } from './pace.ts'
import type { Piece } from './records.ts'
import { listChunks, readTree, stampChunks } from './tree.ts'

export interface Sizes {
  readonly own: number
  readonly shared: number
}

/** The sizes of all states of the store, by their ids. Throws Damage where one cannot be read. */
export async function sizesOf(
  catalogue: Catalogue,
  onProgress: (text: string) => void = () => {},
): Promise<Map<string, Sizes>> {
  return (await needsOf(catalogue, onProgress)).sizes
}

/** The same, and what all states together need. */
export async function needsOf(
  catalogue: Catalogue,
  onProgress: (text: string) => void,
): Promise<{ readonly sizes: Map<string, Sizes>; readonly bytes: number }> {
  const count = new Count(catalogue)
  const states = await catalogue.allSnapshots()
  for (const [at, state] of states.entries()) {
    onProgress(`measured ${at} of ${states.length} states`)
    const held = await catalogue.hold(state)
    // Deleted since the list was read.
    if (held === null) continue
    try {
      await count.add(state.id, state.ro.digest, held.pieces)
    } finally {
      held.release()
    }
  }
  return { sizes: count.sizes(), bytes: count.bytes() }
}

class Count {
  readonly #catalogue: Catalogue
  readonly #pace = new Pace()
  /** What a list leads to, by the list: chunks' ids. */
  readonly #lists = new Map<string, readonly string[]>()
  readonly #contents = new Map<string, readonly string[]>()
  readonly #chunks = new Map<string, { readonly size: number; users: number }>()
  readonly #states = new Map<string, ReadonlySet<string>>()

  constructor(catalogue: Catalogue) {
    this.#catalogue = catalogue
  }

  async add(state: string, scope: string, pieces: readonly Piece[]): Promise<void> {
    const needed = new Set<string>()
    for (const piece of pieces)
      for (const chunk of await this.#list(scope, piece)) needed.add(chunk)
    for (const chunk of needed) (await this.#chunk(chunk)).users += 1
    this.#states.set(state, needed)
  }

  bytes(): number {
    let sum = 0
    for (const { size } of this.#chunks.values()) sum += size
    return sum
  }

  sizes(): Map<string, Sizes> {
    const sizes = new Map<string, Sizes>()
    for (const [state, chunks] of this.#states) {
      const sum = { own: 0, shared: 0 }
      for (const id of chunks) {
        const { size, users } = this.#chunks.get(id)!
        sum[users === 1 ? 'own' : 'shared'] += size
      }
      sizes.set(state, sum)
    }
    return sizes
  }

  async #list(scope: string, piece: Piece): Promise<readonly string[]> {
    const name = `${scope} ${listChunks(piece).join(' ')}`
    const known = this.#lists.get(name)
    if (known !== undefined) return [...known, ...stampChunks(piece)]
    const needed = new Set(listChunks(piece))
    for await (const { entry } of readTree(this.#catalogue, [piece]))
      if (entry.content !== undefined)
        for (const chunk of await this.#content(scope, entry.content)) needed.add(chunk)
    this.#lists.set(name, [...needed])
    await this.#pace.breathe()
    return [...needed, ...stampChunks(piece)]
  }

  async #content(scope: string, first: string): Promise<readonly string[]> {
    const known = this.#contents.get(key.content(scope, first))
    if (known !== undefined) return known
    const needed: string[] = []
    const seen = new Set<string>()
    const left = [first]
    for (let id = left.pop(); id !== undefined; id = left.pop()) {
      if (seen.has(id)) continue
      seen.add(id)
      for (const part of (await this.#catalogue.content(scope, id))?.parts ?? []) {
        needed.push(...(part.chunks ?? []))
        for (const { content } of part.references ?? [])
          if (content !== undefined) left.push(content)
      }
    }
    this.#contents.set(key.content(scope, first), needed)
    return needed
  }

  async #chunk(id: string): Promise<{ users: number }> {
    let known = this.#chunks.get(id)
    if (known === undefined) {
      const [size = 0] = await this.#catalogue.chunks.lengths([id])
      known = { size, users: 0 }
      this.#chunks.set(id, known)
    }
    return known
  }
}
