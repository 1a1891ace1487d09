// What new bytes may refer to, opened for reading: the last few things that were asked for stay
// open, as one is asked for again by the next part.
//
// Rule: what cannot be read any more is told, not thrown: a new state must not depend on it.

import { Failure } from '../base/failure.ts'
import { openContent } from './content.ts'
import { ContentRanges } from './content-ranges.ts'
import { Damage } from './depot.ts'
import { FileCut } from './file-data.ts'
import { type OpenContent, prepared } from './making.ts'
import type { Stretch } from './origins.ts'
import { openLower } from './readable.ts'
import type { Sources } from './sources.ts'

/** Large contents lie in nameless files, small ones in memory: few, so that neither is much. */
const MOST_OPEN = 4

export class Shelf {
  readonly #sources: Sources
  readonly #open = new Map<string, OpenContent>()
  /** The content that is gone through beside a file, and its name. */
  #beside: { name: string; ranges: ContentRanges } | null = null

  constructor(sources: Sources) {
    this.#sources = sources
  }

  /** Fills `into` with a stretch. False where that cannot be had. */
  read(stretch: Stretch, into: Buffer): Promise<boolean> {
    return orFalse(() => this.#read(stretch, into))
  }

  /** The same, of what is read once from its begin to its end. */
  readOn(stretch: Stretch, into: Buffer): Promise<boolean> {
    return orFalse(async () => {
      if (stretch.source === 'ro') return this.#read(stretch, into)
      const name = stretch.content!
      if (this.#beside?.name !== name) {
        this.#beside?.ranges.close()
        this.#beside = { name, ranges: new ContentRanges(this.#sources, name) }
      }
      await this.#beside.ranges.read(into, stretch.offset)
      return true
    })
  }

  async #read(stretch: Stretch, into: Buffer): Promise<boolean> {
    const source = await this.#opened(stretch)
    if (source === null || stretch.offset + stretch.length > source.size) return false
    await source.prepare(stretch.offset, stretch.length)
    source.read(into, stretch.offset)
    return true
  }

  close(): void {
    this.#beside?.ranges.close()
    this.#beside = null
    for (const source of this.#open.values()) source.close()
    this.#open.clear()
  }

  async #opened({ source, path, content }: Stretch): Promise<OpenContent | null> {
    const name = source === 'ro' ? `/${path}` : content!
    const known = this.#open.get(name)
    if (known !== undefined) return known
    const opened =
      source === 'ro'
        ? prepared(openLower(this.#sources.ro, path))
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

async function orFalse(read: () => Promise<boolean>): Promise<boolean> {
  try {
    return await read()
  } catch (err) {
    if (err instanceof Damage || err instanceof Failure || err instanceof FileCut) return false
    throw err
  }
}
