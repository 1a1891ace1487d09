// A depot whose chunks were asked for a moment ago, and are asked for again.
//
// Rule: so many bytes are kept, those that were asked for last; nothing that is put is known here.

import type { DepotReader } from './depot.ts'
import type { Content } from './records.ts'

const MOST_BYTES = 16 * 1024 * 1024

export class RecentChunks implements DepotReader {
  readonly #depot: DepotReader
  readonly #known = new Map<string, Buffer>()
  readonly #asked = new Map<string, Promise<Buffer | null>>()
  #bytes = 0

  constructor(depot: DepotReader) {
    this.#depot = depot
  }

  async chunk(id: string): Promise<Buffer | null> {
    const known = this.#known.get(id)
    if (known !== undefined) return known
    const asked = this.#asked.get(id) ?? this.#ask(id)
    this.#asked.set(id, asked)
    return asked
  }

  async #ask(id: string): Promise<Buffer | null> {
    try {
      const bytes = await this.#depot.chunk(id)
      if (bytes !== null) this.#keep(id, bytes)
      return bytes
    } finally {
      this.#asked.delete(id)
    }
  }

  #keep(id: string, bytes: Buffer): void {
    this.#known.set(id, bytes)
    this.#bytes += bytes.length
    for (const [oldest, { length }] of this.#known) {
      if (this.#bytes <= MOST_BYTES) return
      this.#known.delete(oldest)
      this.#bytes -= length
    }
  }

  content(scope: string, id: string): Promise<Content | null> {
    return this.#depot.content(scope, id)
  }
}
