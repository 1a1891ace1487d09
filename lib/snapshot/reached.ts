// Following records to all that they need.
//
//   lists ─▶ entries ─▶ contents ─▶ contents they refer to
//     └──────────┴──────────┴─▶ chunks
//
// Rule: everything is followed once; a list or content that cannot be read is the caller's failure,
// because what it leads to is not known.

import type { Catalogue } from './catalogue.ts'
import { DigestSet } from './digest-set.ts'
import { key, lastPart } from './keys.ts'
import type { Pace } from './pace.ts'
import type { Piece } from './records.ts'
import { readTree } from './tree.ts'

/** What was reached so far. */
export class Reached {
  readonly chunks = new DigestSet()
  readonly #contents = new Map<string, DigestSet>()
  readonly #lists = new Set<string>()
  readonly #catalogue: Catalogue
  readonly #pace: Pace

  constructor(catalogue: Catalogue, pace: Pace) {
    this.#catalogue = catalogue
    this.#pace = pace
  }

  /** Whether a key of a content or chunk was reached. */
  has(at: string): boolean {
    if (at.startsWith('chunk/')) return this.chunks.has(lastPart(at))
    return this.#contents.get(scopeOf(at))?.has(lastPart(at)) === true
  }

  /** Follows a state's list. Throws Damage, SVS_CATALOGUE_DAMAGED. */
  async follow(scope: string, pieces: readonly Piece[]): Promise<void> {
    for (const piece of pieces) {
      // Equal lists may have stamps of their own.
      for (const id of [...piece.list, ...piece.stamps]) this.chunks.add(id)
      // A list that another state shares was followed already, where its contents lie alike.
      const mark = `${scope} ${piece.list.join(' ')}`
      if (this.#lists.has(mark)) continue
      this.#lists.add(mark)
      for await (const { entry } of readTree(this.#catalogue, [piece]))
        if (entry.content !== undefined) await this.content(key.content(scope, entry.content))
      await this.#pace.breathe()
    }
  }

  /** Follows a content, which lies under the key `first`. */
  async content(first: string): Promise<void> {
    const scope = scopeOf(first)
    const left = [lastPart(first)]
    for (let id = left.pop(); id !== undefined; id = left.pop()) {
      if (!this.#add(scope, id)) continue
      const content = await this.#catalogue.content(scope, id)
      for (const part of content?.parts ?? []) {
        for (const chunk of part.chunks ?? []) this.chunks.add(chunk)
        for (const reference of part.references ?? [])
          if (reference.content !== undefined) left.push(reference.content)
      }
      await this.#pace.breathe()
    }
  }

  #add(scope: string, id: string): boolean {
    let known = this.#contents.get(scope)
    if (known === undefined) {
      known = new DigestSet()
      this.#contents.set(scope, known)
    }
    return known.add(id)
  }
}

/** `<scope>` of `content/<scope>/<id>`. */
const scopeOf = (at: string): string => at.slice(at.indexOf('/') + 1, at.lastIndexOf('/'))
