// Small files, stored together: one frame for many, so that what they have in common is stored
// once and each costs no chunk of its own.
//
//   files ─▶ [ a ][ b ][ c ] … 4 MiB ─▶ one content, the pack
//             a = slice of it from 0, b = slice from |a|, …
//
// Rule: a pack is small enough to be made for the sake of one file in it. Whoever calls holds the
// turn (file-store.ts): two packs are never filled at once.

import type { RelPath } from '../base/path.ts'
import { type Counterpart, encodeUnit, type Workshop } from './delta.ts'
import { sha256 } from './depot.ts'
import type { FileData } from './file-data.ts'
import type { Stretch } from './origins.ts'
import type { Content, Part } from './records.ts'
import { LARGEST_PACK } from './sources.ts'

const PACK_BYTES = LARGEST_PACK / 2
/** So many names in one pack, and so many references: the record of a pack must stay small. */
const MOST_FILES = 1024
/** Bytes of counterparts that one pack refers to, at most. */
const NEAR_ROOM = 24 * 1024 * 1024

interface Member {
  readonly id: string
  readonly bytes: Buffer
  readonly path: RelPath
  readonly near: Stretch | null
}

export class Packer {
  readonly #shop: Workshop
  readonly #waiting = new Map<string, Member>()
  #bytes = 0
  #near = 0

  constructor(shop: Workshop) {
    this.#shop = shop
  }

  /** True for a content that waits to be stored. */
  holds(id: string): boolean {
    return this.#waiting.has(id)
  }

  /** Takes a file in, whose content is named `id`, and stores the pack where it is full. Returns the name. */
  async add(
    id: string,
    file: FileData,
    path: RelPath,
    counterpart: Counterpart | null,
  ): Promise<string> {
    if (this.#waiting.has(id)) return id
    const bytes = file.bytes ?? bytesOf(file)
    const near = nearOf(counterpart, file.size)
    const full = this.#bytes + bytes.length > LARGEST_PACK
    if (full || this.#near + (near?.length ?? 0) > NEAR_ROOM) await this.flush()
    this.#waiting.set(id, { id, bytes, path, near })
    this.#bytes += bytes.length
    this.#near += near?.length ?? 0
    if (this.#bytes >= PACK_BYTES || this.#waiting.size >= MOST_FILES) await this.flush()
    return id
  }

  /** Stores what waits. */
  async flush(): Promise<void> {
    const members = [...this.#waiting.values()]
    if (members.length === 0) return
    const bytes = Buffer.concat(members.map((member) => member.bytes))
    const id = sha256(bytes)
    const { depot, sources } = this.#shop
    // One that is there already may be what its files were found in: it must not refer to itself.
    const known = await depot.content(sources.scope, id)
    const { depth } = known ?? (await this.#putPack(id, bytes, members))
    if (members.length > 1) await this.#putSlices(members, id, depth)
    this.#waiting.clear()
    this.#bytes = 0
    this.#near = 0
  }

  async #putPack(id: string, bytes: Buffer, members: readonly Member[]): Promise<Content> {
    const { depot, sources, origins } = this.#shop
    const near = members.map((member) => member.near).filter((stretch) => stretch !== null)
    const paths = members.map(({ path }) => path)
    const { part, stored, depth, samples } = await encodeUnit({ bytes, near, paths }, this.#shop)
    const pack: Content = { size: bytes.length, depth, stored, parts: [part] }
    await depot.putContent(sources.scope, id, pack)
    if (samples !== null) origins.add(samples, id, pack)
    return pack
  }

  async #putSlices(members: readonly Member[], content: string, depth: number): Promise<void> {
    const { depot, sources } = this.#shop
    let offset = 0
    for (const { id, bytes } of members) {
      const { length } = bytes
      const reference = { source: 'content', content, offset, length, digest: '' } as const
      const part: Part = { codec: 'slice', length, references: [reference] }
      await depot.putContent(sources.scope, id, {
        size: length,
        depth: depth + 1,
        stored: 0,
        parts: [part],
      })
      offset += length
    }
  }
}

function bytesOf(file: FileData): Buffer {
  const bytes = Buffer.allocUnsafe(file.size)
  file.read(bytes, 0)
  return bytes
}

function nearOf(counterpart: Counterpart | null, size: number): Stretch | null {
  if (counterpart === null || counterpart.size === 0) return null
  // A large file that became a small one: its begin is as good as anything.
  const length = Math.min(counterpart.size, Math.max(4 * size, 1024 * 1024))
  return { ...counterpart.from, offset: counterpart.offset, length }
}
