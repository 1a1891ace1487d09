// Finding and removing what no state refers to any more.
//
//   snapshots ─▶ lists ─▶ entries ─▶ contents ─▶ contents they refer to
//        └──────────┴─────────────────────┴─▶ chunks: what was reached stays
//
// Rule: nothing is counted, everything is followed; what cannot be read ends the sweep before
// anything is removed. No snapshot is being written meanwhile (Catalogue.sweep).

import { below, type Catalogue, key, type Operation } from './catalogue.ts'
import type { Piece } from './records.ts'
import { readTree } from './tree.ts'

export interface Swept {
  readonly chunks: number
  readonly contents: number
  readonly lists: number
  /** Digests of the read-only sublayers that some state needs. */
  readonly readOnly: readonly string[]
}

const BATCH = 1000

/** Removes all garbage of the catalogue. Throws SVS_STORE_BUSY, SVS_CATALOGUE_DAMAGED, Damage. */
export function collectGarbage(catalogue: Catalogue): Promise<Swept> {
  return catalogue.sweep(async () => {
    const reached = new Reached(catalogue)
    const scopes = new Set<string>()
    for (const snapshot of await catalogue.allSnapshots()) {
      scopes.add(snapshot.ro.digest)
      reached.keys.add(key.tree(snapshot.id))
      await reached.follow(snapshot.ro.digest, await catalogue.pieces(snapshot.id))
    }
    return {
      chunks: await sweepRange(catalogue, 'chunk', reached.keys),
      contents: await sweepRange(catalogue, 'content', reached.keys),
      lists: await sweepRange(catalogue, 'tree', reached.keys),
      readOnly: [...scopes],
    }
  })
}

class Reached {
  readonly keys = new Set<string>()
  readonly #catalogue: Catalogue

  constructor(catalogue: Catalogue) {
    this.#catalogue = catalogue
  }

  async follow(scope: string, pieces: readonly Piece[]): Promise<void> {
    for (const piece of pieces) {
      // A list that another state shares was followed already, where its contents lie alike.
      const mark = `${scope} ${piece.list.join(' ')}`
      if (this.keys.has(mark)) continue
      this.keys.add(mark)
      for (const id of [...piece.list, ...piece.stamps]) this.keys.add(key.chunk(id))
      for await (const { entry } of readTree(this.#catalogue, [piece]))
        if (entry.content !== undefined) await this.#content(scope, entry.content)
    }
  }

  async #content(scope: string, first: string): Promise<void> {
    const left = [first]
    for (let id = left.pop(); id !== undefined; id = left.pop()) {
      const at = key.content(scope, id)
      if (this.keys.has(at)) continue
      this.keys.add(at)
      const content = await this.#catalogue.content(scope, id)
      for (const part of content?.parts ?? []) {
        for (const chunk of part.chunks ?? []) this.keys.add(key.chunk(chunk))
        for (const reference of part.references ?? [])
          if (reference.content !== undefined) left.push(reference.content)
      }
    }
  }
}

async function sweepRange(
  catalogue: Catalogue,
  prefix: string,
  reached: ReadonlySet<string>,
): Promise<number> {
  let removed = 0
  let batch: Operation[] = []
  for await (const at of catalogue.keys(below(prefix))) {
    if (reached.has(at)) continue
    batch.push({ type: 'del', key: at })
    removed += 1
    if (batch.length < BATCH) continue
    await catalogue.batch(batch)
    batch = []
  }
  if (batch.length > 0) await catalogue.batch(batch)
  return removed
}
