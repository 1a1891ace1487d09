// The bytes of files on both sides of a difference, read in stretches.
//
//   a content of the catalogue ─┐
//   a file below                ├─▶ SideFile: size, read at an offset
//   the layer as it is now      ─┘
//
// Rule: one stretch at a time, and nothing is kept of what was read.

import type { RelPath } from '../base/path.ts'
import type { Below } from './below.ts'
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
  readonly #below: Below
  readonly #image: Image | null
  readonly #ranges: Ranges

  /** `image`: the layer as it is now, where it is the later side. */
  constructor(
    { ro, scope, temporary = '/tmp' }: SideSources,
    depot: DepotReader,
    below: Below,
    image: Image | null,
  ) {
    const sources: Sources = { depot, scope, ro, temporary }
    this.#below = below
    this.#image = image
    this.#ranges = new Ranges(sources)
  }

  /** Null for what is no file, and for one whose bytes are nowhere. */
  open({ entry, below, lower }: Side, which: Which): SideFile | null {
    const { kind, size = 0, content, marks, path } = entry
    if (kind !== 'file') return null
    if (size === 0) return EMPTY
    if (which === 'after' && this.#image !== null) return this.#openNow(path, lower ?? path)
    if (content !== undefined) return this.openContent(content, size)
    if (lower == null || (below !== true && marks?.metacopy !== true)) return null
    return this.#below.look(lower)?.entry.kind === 'file' ? this.openBelow(lower) : null
  }

  openContent(content: string, size: number): SideFile {
    return {
      size,
      read: (into, offset) => this.#ranges.read(content, into, offset),
      close() {},
    }
  }

  openBelow(path: RelPath): SideFile {
    return inOrder(this.#below.open(path))
  }

  close(): void {
    this.#ranges.close()
  }

  /** A file of the image; where that has none, what lies below shows. */
  #openNow(path: RelPath, under: RelPath): SideFile {
    this.#image!.rewind()
    for (const { entry, lower, open } of this.#image!.visit(path, false)) {
      const isBelow = entry.marks?.metacopy === true && lower !== null
      return inOrder(isBelow ? this.#below.open(lower) : open())
    }
    return this.openBelow(under)
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
