// The bytes of files on both sides of a difference, as far as somebody wants to see them.
//
//   small       in the answer, of so many bytes at most
//   large       how many bytes differ
//
// Rule: what is too large, or would be too much together, is left out; nothing else is.

import type { DiffWish } from './diff.ts'
import type { Side } from './renames.ts'
import { bytesThatDiffer, type SideReader, type Which } from './side-reader.ts'

/** Bytes of a large file that are compared, and of all together. */
const EACH_COMPARED = 256 * 1024 * 1024
const ALL_COMPARED = 1024 * 1024 * 1024

export class SideBytes {
  readonly #reader: SideReader
  readonly #each: number
  #left: number
  #leftToCompare = ALL_COMPARED

  constructor({ each, all }: NonNullable<DiffWish['contents']>, reader: SideReader) {
    this.#reader = reader
    this.#each = each
    this.#left = all
  }

  /** Null for what is no file, or too large. Throws Damage. */
  async read(side: Side, which: Which): Promise<Buffer | null> {
    const { kind, size = 0 } = side.entry
    if (kind !== 'file') return null
    if (size > this.#each || size > this.#left) return null
    const file = this.#reader.open(side, which)
    if (file === null) return null
    this.#left -= size
    try {
      const bytes = Buffer.alloc(size)
      if (size > 0 && file.size >= size) await file.read(bytes, 0)
      return bytes
    } finally {
      file.close()
    }
  }

  /** How many bytes of two files differ; null where that is too much to read. Throws Damage. */
  async difference(before: Side, after: Side): Promise<number | null> {
    if (before.entry.kind !== 'file' || after.entry.kind !== 'file') return null
    const most = Math.max(before.entry.size ?? 0, after.entry.size ?? 0)
    if (most > EACH_COMPARED || most > this.#leftToCompare) return null
    this.#leftToCompare -= most
    const was = this.#reader.open(before, 'before')
    const is = this.#reader.open(after, 'after')
    try {
      return was === null || is === null ? null : await bytesThatDiffer(was, is)
    } finally {
      was?.close()
      is?.close()
    }
  }
}
