// The bytes of files on both sides of a difference, as far as somebody wants to see them.
//
//   a content of the catalogue ─┐
//   a file below                ├─▶ bytes, of so many at most
//   the layer as it is now      ─┘
//
// Rule: what is too large, or would be too much together, is left out; nothing else is.

import type { RelPath } from '../base/path.ts'
import type { Below } from './below.ts'
import type { DepotReader } from './depot.ts'
import type { DiffWish } from './diff.ts'
import type { FileData } from './file-data.ts'
import type { Image } from './image.ts'
import { Ranges } from './ranges.ts'
import type { Side } from './renames.ts'
import type { Sources } from './sources.ts'

export interface SideSource {
  /** Of the layer as it is now; null where both sides are states. */
  readonly image: Image | null
}

export class SideBytes {
  readonly #below: Below
  readonly #image: Image | null
  readonly #ranges: Ranges
  readonly #each: number
  #left: number

  constructor(
    { ro, contents, temporary }: DiffWish,
    depot: DepotReader,
    below: Below,
    image: Image | null,
  ) {
    const { each, all, scope } = contents!
    const sources: Sources = { depot, scope, ro, temporary: temporary ?? '/tmp' }
    this.#below = below
    this.#image = image
    this.#ranges = new Ranges(sources)
    this.#each = each
    this.#left = all
  }

  /** Null for what is no file, or too large. Throws Damage. */
  async read({ entry, below, lower }: Side, which: 'before' | 'after'): Promise<Buffer | null> {
    const { kind, size = 0, content, marks, path } = entry
    if (kind !== 'file') return null
    if (size > this.#each || size > this.#left) return null
    this.#left -= size
    const bytes = Buffer.alloc(size)
    if (size === 0) return bytes
    if (which === 'after' && this.#image !== null) return this.#readNow(path, bytes)
    if (content !== undefined) await this.#ranges.read(content, bytes, 0)
    else if (lower == null || (below !== true && marks?.metacopy !== true)) return null
    else readAll(this.#below.open(lower), bytes)
    return bytes
  }

  close(): void {
    this.#ranges.close()
  }

  #readNow(path: RelPath, bytes: Buffer): Buffer {
    for (const { entry, lower, open } of this.#image!.entries([path])) {
      if (entry.path !== path) continue
      const isBelow = entry.marks?.metacopy === true && lower !== null
      readAll(isBelow ? this.#below.open(lower) : open(), bytes)
      return bytes
    }
    // It shows what lies below.
    readAll(this.#below.open(path), bytes)
    return bytes
  }
}

function readAll(file: FileData, bytes: Buffer): void {
  try {
    if (file.size >= bytes.length) file.read(bytes, 0)
  } finally {
    file.close()
  }
}
