// The bytes of files on both sides of a difference, read in stretches.
//
//   a content of the catalogue ─┐
//   a file below                ├─▶ SideFile: size, read at an offset
//   the layer as it is now      ─┘
//
// Rule: one stretch at a time, and nothing is kept of what was read.

import type { RelPath } from '../base/path.ts'
import type { Below, BelowIndex } from './below.ts'
import type { DepotReader } from './depot.ts'
import type { FileData } from './file-data.ts'
import type { Image } from './image.ts'
import { Ranges } from './ranges.ts'
import type { Side } from './renames.ts'
import type { Sources } from './sources.ts'

export interface SideFile {
  readonly size: number
  /** Fills `into` from `offset`. Throws Damage, FileCut. */
  read(into: Buffer, offset: number): Promise<void>
  close(): void
}

export type Which = 'before' | 'after'

/** A version of the read-only part that a state lies over. */
export interface VersionTree {
  /** Its trees, top first, and the index of the first. */
  readonly ro: readonly string[]
  readonly index: BelowIndex | null
  /** Its digest: what contents rest on. */
  readonly scope: string
}

/** What a comparison reads by. */
export interface SideSources {
  /** Read-only trees, top first. */
  readonly ro: readonly string[]
  /** Digest of the read-only part: what contents rest on. */
  readonly scope: string
  /** A directory for nameless files. */
  readonly temporary?: string
}

export class SideReader {
  readonly #below: Readonly<Record<Which, Below>>
  readonly #image: Image | null
  readonly #ranges: Readonly<Record<Which, Ranges>>

  /**
   * `image`: the layer as it is now, where it is the later side. `earlier`: what the side before lies
   * over, where that is another version.
   */
  constructor(
    { ro, scope, temporary = '/tmp' }: SideSources,
    depot: DepotReader,
    below: Below,
    image: Image | null,
    earlier: { readonly below: Below; readonly over: VersionTree } | null = null,
  ) {
    const sources: Sources = { depot, scope, ro, temporary }
    const after = new Ranges(sources)
    const older = earlier && { ...sources, ro: earlier.over.ro, scope: earlier.over.scope }
    this.#below = { before: earlier?.below ?? below, after: below }
    this.#image = image
    this.#ranges = { before: older === null ? after : new Ranges(older), after }
  }

  /** Null for what is no file, and for one whose bytes are nowhere. */
  open({ entry, below, lower }: Side, which: Which): SideFile | null {
    const { kind, size = 0, content, marks, path } = entry
    if (kind !== 'file') return null
    if (size === 0) return EMPTY
    if (which === 'after' && this.#image !== null) return this.#openNow(path, lower ?? path)
    if (content !== undefined) return this.openContent(content, size, which)
    if (lower == null || (below !== true && marks?.metacopy !== true)) return null
    return this.#below[which].look(lower)?.entry.kind === 'file'
      ? this.openBelow(lower, which)
      : null
  }

  openContent(content: string, size: number, which: Which): SideFile {
    return {
      size,
      read: (into, offset) => this.#ranges[which].read(content, into, offset),
      close() {},
    }
  }

  openBelow(path: RelPath, which: Which): SideFile {
    return inOrder(this.#below[which].open(path))
  }

  close(): void {
    this.#ranges.after.close()
    if (this.#ranges.before !== this.#ranges.after) this.#ranges.before.close()
  }

  /** A file of the image; where that has none, what lies below shows. */
  #openNow(path: RelPath, under: RelPath): SideFile {
    this.#image!.rewind()
    for (const { entry, lower, open } of this.#image!.visit(path, false)) {
      const isBelow = entry.marks?.metacopy === true && lower !== null
      return inOrder(isBelow ? this.#below.after.open(lower) : open())
    }
    return this.openBelow(under, 'after')
  }
}

const EMPTY: SideFile = { size: 0, read: async () => {}, close() {} }

const inOrder = (file: FileData): SideFile => ({
  size: file.size,
  read: async (into, offset) => file.read(into, offset),
  close: () => file.close(),
})

const STRETCH = 1024 * 1024

/** Stretches of two files beside each other, as long as both go on. Closes neither. */
export async function* beside(a: SideFile, b: SideFile): AsyncGenerator<[Buffer, Buffer]> {
  const size = Math.min(a.size, b.size)
  const [left, right] = [
    Buffer.alloc(Math.min(STRETCH, size)),
    Buffer.alloc(Math.min(STRETCH, size)),
  ]
  for (let at = 0; at < size; at += STRETCH) {
    const length = Math.min(STRETCH, size - at)
    const pair: [Buffer, Buffer] = [left.subarray(0, length), right.subarray(0, length)]
    await a.read(pair[0], at)
    await b.read(pair[1], at)
    yield pair
  }
}

/** True where both have the same bytes. */
export async function sameBytes(a: SideFile, b: SideFile): Promise<boolean> {
  if (a.size !== b.size) return false
  for await (const [left, right] of beside(a, b)) if (!left.equals(right)) return false
  return true
}

/** How many bytes differ; what one has behind the end of the other does. */
export async function bytesThatDiffer(a: SideFile, b: SideFile): Promise<number> {
  let count = Math.abs(a.size - b.size)
  for await (const [left, right] of beside(a, b)) {
    if (left.equals(right)) continue
    for (let at = 0; at < left.length; at++) if (left[at] !== right[at]) count += 1
  }
  return count
}
