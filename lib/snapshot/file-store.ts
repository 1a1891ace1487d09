// Storing the files of an image: what is known already is only named, the rest becomes chunks.
//
//   item ─▶ link? stamp of the parent? ─▶ read, hash ─▶ known? ─▶ delta or whole ─▶ depot
//
// Small files are read at once and stored while the walk goes on; a large one is read while it is
// stored, and the walk waits.
//
// Rule: the item is looked at before the first wait; afterwards the walk has left it. Large files
// are stored one at a time, with nothing else under way: they use the memory of one part.

import { Failure } from '../base/failure.ts'
import { shown } from '../base/path.ts'
import { LARGEST_PART, openContent, openLower, type Sources } from './content.ts'
import { type Candidate, encode } from './delta.ts'
import { Damage, type Depot } from './depot.ts'
import { contentId, type FileData } from './file-data.ts'
import type { ImageEntry } from './image.ts'
import type { Entry } from './records.ts'
import type { Listed, Stamp } from './tree.ts'

/** A chain of deltas ends here, and a new one begins. */
const LONGEST_CHAIN = 6
/** Below this a reference costs more than it saves. */
const SMALLEST_DELTA = 128
/** Up to this size a file is read at once. */
const SMALL = 1024 * 1024

/** True where both are known and the same. */
export function sameStamp(a: Stamp | null, b: Stamp | null): boolean {
  if (a === null || b === null) return false
  return a.ino === b.ino && a.ctime === b.ctime && a.ctimeNsec === b.ctimeNsec
}

/** True where the disk says that the file is as it was when it was listed. */
export function isUnchanged({ entry, stamp }: ImageEntry, listed: Listed): boolean {
  const { size, mtime, mtimeNsec } = listed.entry
  if (!sameStamp(stamp, listed.stamp) || size !== entry.size) return false
  return mtime === entry.mtime && mtimeNsec === entry.mtimeNsec
}

/** True for an entry whose bytes belong to the state. */
export const hasContent = ({ kind, size, marks }: Entry): boolean =>
  kind === 'file' && size !== 0 && marks?.metacopy !== true

export class FileStore {
  /** Bytes that had to be read. */
  read = 0
  readonly #depot: Depot
  readonly #sources: Sources
  /** True where what the parent refers to may be referred to as well. */
  readonly #sameScope: boolean
  /** Contents of files with several names, by the first of them. */
  readonly #linked = new Map<string, Promise<string>>()

  constructor(depot: Depot, sources: Sources, parentScope: string) {
    this.#depot = depot
    this.#sources = sources
    this.#sameScope = parentScope === sources.scope
  }

  /** True where the walk must wait, with nothing else under way, until `store` is done. */
  isLarge({ entry }: ImageEntry): boolean {
    return (entry.size ?? 0) > SMALL
  }

  /** The name of a file's content, which is in the depot when it is told. */
  store(item: ImageEntry, before: Listed | null): Promise<string> {
    const { entry } = item
    const first = entry.link === undefined ? undefined : this.#linked.get(entry.link)
    if (first !== undefined) return first
    const id = this.#contentOf(item, before)
    if (entry.linked === true) this.#linked.set(entry.path, id)
    return id
  }

  #contentOf(item: ImageEntry, before: Listed | null): Promise<string> {
    const same = before !== null && isUnchanged(item, before) ? before.entry.content : undefined
    if (same !== undefined && this.#sameScope) return Promise.resolve(same)
    const live = item.open()
    const file = this.isLarge(item) ? live : intoMemory(live)
    this.read += file.size
    return this.#put(file, item, before)
  }

  async #put(file: FileData, item: ImageEntry, before: Listed | null): Promise<string> {
    try {
      return (await this.#known(file, before)) ?? (await this.#encode(file, item, before))
    } catch (cause) {
      if (!(cause instanceof Error) || 'code' in cause) throw cause
      throw new Error(`${shown(item.entry.path)}: ${cause.message}`, { cause })
    } finally {
      file.close()
    }
  }

  // Large files of another size are not the ones before: reading them only for their name is vain.
  async #known(file: FileData, before: Listed | null): Promise<string | null> {
    if (file.size > LARGEST_PART && file.size !== before?.entry.size) return null
    const id = contentId(file)
    return (await this.#depot.content(this.#sources.scope, id)) === null ? null : id
  }

  async #encode(file: FileData, item: ImageEntry, before: Listed | null): Promise<string> {
    const candidates = file.size < SMALLEST_DELTA ? [] : await this.#candidates(item, before)
    try {
      const { id, content } = await encode(file, candidates, this.#depot)
      await this.#depot.putContent(this.#sources.scope, id, content)
      return id
    } finally {
      for (const { bytes } of candidates) bytes.close()
    }
  }

  // One reference is enough: what came from `ro` is in the state before as well.
  async #candidates(item: ImageEntry, before: Listed | null): Promise<Candidate[]> {
    const earlier = await this.#earlier(before?.entry.content)
    if (earlier !== null) return [earlier]
    const path = item.lower ?? item.entry.path
    const below = this.#sources.scope === '' ? null : openLower(this.#sources.ro, path)
    return below === null ? [] : [{ from: { source: 'ro', path }, bytes: below, depth: 0 }]
  }

  async #earlier(id: string | undefined): Promise<Candidate | null> {
    if (id === undefined) return null
    const content = await this.#depot.content(this.#sources.scope, id)
    if (content === null || content.depth >= LONGEST_CHAIN) return null
    try {
      const bytes = await openContent(this.#sources, id)
      return { from: { source: 'content', content: id }, bytes, depth: content.depth }
    } catch (err) {
      // What cannot be read any more is no reference: the new state must not depend on it.
      if (err instanceof Damage || err instanceof Failure) return null
      throw err
    }
  }
}

function intoMemory(file: FileData): FileData {
  try {
    const bytes = Buffer.allocUnsafeSlow(file.size)
    file.read(bytes, 0)
    return {
      size: file.size,
      holes: file.holes,
      read: (into, offset) => void bytes.copy(into, 0, offset),
      close() {},
    }
  } finally {
    file.close()
  }
}
