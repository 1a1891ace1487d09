// What new bytes may refer to, opened for reading: the last few things that were asked for stay
// open, as one is asked for again by the next part.
//
// Rule: what cannot be read any more is told, not thrown: a new state must not depend on it.

import { Failure } from '../base/failure.ts'
import { openContent, openLower, type Readable, type Sources } from './content.ts'
import { Damage } from './depot.ts'
import { FileCut } from './file-data.ts'
import type { Stretch } from './origins.ts'

/** Large contents lie in nameless files, small ones in memory: few, so that neither is much. */
const MOST_OPEN = 4

export class Shelf {
  readonly #sources: Sources
  readonly #open = new Map<string, Readable>()

  constructor(sources: Sources) {
    this.#sources = sources
  }

  /** Fills `into` with a stretch. False where that cannot be had. */
  async read(stretch: Stretch, into: Buffer): Promise<boolean> {
    try {
      const source = await this.#opened(stretch)
      if (source === null || stretch.offset + stretch.length > source.size) return false
      source.read(into, stretch.offset)
      return true
    } catch (err) {
      if (err instanceof Damage || err instanceof Failure || err instanceof FileCut) return false
      throw err
    }
  }

  close(): void {
    for (const source of this.#open.values()) source.close()
    this.#open.clear()
  }

  async #opened({ source, path, content }: Stretch): Promise<Readable | null> {
    const name = source === 'ro' ? `/${path}` : content!
    const known = this.#open.get(name)
    if (known !== undefined) return known
    const opened =
      source === 'ro'
        ? openLower(this.#sources.ro, path)
        : await openContent(this.#sources, content!)
    if (opened === null) return null
    this.#open.set(name, opened)
    for (const [other, readable] of this.#open) {
      if (this.#open.size <= MOST_OPEN) break
      readable.close()
      this.#open.delete(other)
    }
    return opened
  }
}
