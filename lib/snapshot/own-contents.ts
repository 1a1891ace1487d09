// A depot of which only what was put there through it is asked for.
//
// Rule: for a job that begins where there are no contents: what another brings meanwhile may then be
// stored once more, under the same name.

import type { Depot } from './depot.ts'
import type { Content } from './records.ts'

export class OwnContents implements Depot {
  readonly #depot: Depot
  readonly #put = new Set<string>()

  constructor(depot: Depot) {
    this.#depot = depot
  }

  chunk(id: string): Promise<Buffer | null> {
    return this.#depot.chunk(id)
  }

  putChunk(id: string, bytes: Buffer): Promise<void> {
    return this.#depot.putChunk(id, bytes)
  }

  async content(scope: string, id: string): Promise<Content | null> {
    return this.#put.has(id) ? this.#depot.content(scope, id) : null
  }

  putContent(scope: string, id: string, content: Content): Promise<void> {
    this.#put.add(id)
    return this.#depot.putContent(scope, id, content)
  }
}
