// Following records to all that they need.
//
//   lists ─▶ entries ─▶ contents ─▶ contents they refer to
//     └──────────┴──────────┴─▶ chunks
//
// Lists and contents are read many at a time: `end` reads those that still wait.
//
// Rule: everything is followed once; a list or content that cannot be read is the caller's failure,
// because what it leads to is not known. What waits counts as reached.

import type { Catalogue } from './catalogue.ts'
import { DigestSet } from './digest-set.ts'
import { decode } from './key-value.ts'
import { key, lastPart } from './keys.ts'
import type { Pace } from './pace.ts'
import { contentNeeds, type Piece } from './records.ts'
import { contentsIn, listChunks, stampChunks } from './tree.ts'

/** Contents, and pieces of lists, that are read at once. */
const AT_ONCE = 256
const PIECES = 32

/** What was reached so far. */
export class Reached {
  readonly chunks = new DigestSet()
  readonly #contents = new Map<string, DigestSet>()
  readonly #lists = new Set<string>()
  /** What was reached, and is to be read: pieces of lists, keys of contents. */
  readonly #pieces: { readonly scope: string; readonly piece: Piece }[] = []
  readonly #waiting: string[] = []
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
      for (const id of [...listChunks(piece), ...stampChunks(piece)]) this.chunks.add(id)
      // A list that another state shares was followed already, where its contents lie alike.
      const mark = `${scope} ${listChunks(piece).join(' ')}`
      if (this.#lists.has(mark)) continue
      this.#lists.add(mark)
      this.#pieces.push({ scope, piece })
    }
    while (this.#pieces.length >= PIECES) await this.#readPieces()
    await this.#pace.breathe()
  }

  /** Follows a content, which lies under the key `at`. */
  content(at: string): void {
    if (this.#add(scopeOf(at), lastPart(at))) this.#waiting.push(at)
  }

  /** Reads what waits, and all that it leads to. Throws Damage, SVS_CATALOGUE_DAMAGED. */
  async end(): Promise<void> {
    while (this.#pieces.length > 0) await this.#readPieces()
    while (this.#waiting.length > 0) await this.#readContents()
  }

  async #readPieces(): Promise<void> {
    const some = this.#pieces.splice(-PIECES)
    const ids = [...new Set(some.flatMap(({ piece }) => listChunks(piece)))]
    const found = await this.#catalogue.chunks.readAll(ids)
    const chunks = new Map(ids.map((id, at) => [id, found[at] ?? null]))
    const depot = { chunk: async (id: string) => chunks.get(id) ?? null, content: async () => null }
    for (const { scope, piece } of some) {
      for (const id of await contentsIn(depot, piece)) this.content(key.content(scope, id))
      await this.#pace.breathe()
    }
    while (this.#waiting.length >= AT_ONCE) await this.#readContents()
  }

  async #readContents(): Promise<void> {
    const some = this.#waiting.splice(-AT_ONCE)
    const found = await this.#catalogue.values(some)
    for (const [at, bytes] of found.entries()) {
      if (bytes === null) continue
      const scope = scopeOf(some[at]!)
      for (const { chunks = [], references = [] } of decode(contentNeeds, bytes, some[at]!).parts) {
        for (const chunk of chunks) this.chunks.add(chunk)
        for (const { content } of references)
          if (content !== undefined) this.content(key.content(scope, content))
      }
    }
    await this.#pace.breathe()
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
