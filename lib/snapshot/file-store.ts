// Storing the files of an image: what is known already is only named, the rest becomes chunks.
//
//   item ─▶ link? stamp of the parent? ─▶ read, hash ─▶ known? ─▶ packed with others, or by itself
//
// Small files are read at once and named while the walk goes on; they are stored together, when
// a pack is full. A large one is read while it is stored, and the walk waits.
//
// Rule: the item is looked at before the first wait; afterwards the walk has left it. One thing is
// encoded at a time, as all use the memory of one part; what is named is stored when `end` returns.

import { type RelPath, shown } from '../base/path.ts'
import { sliceIn } from './content-shape.ts'
import { type Counterpart, encode, type Workshop } from './delta.ts'
import type { Depot } from './depot.ts'
import { contentId, type FileData } from './file-data.ts'
import type { ImageEntry } from './image.ts'
import type { LowerTrees } from './lower.ts'
import { LONGEST_CHAIN, Origins } from './origins.ts'
import { Packer } from './packer.ts'
import type { Content, Entry, Piece } from './records.ts'
import type { Restamped } from './restamped.ts'
import { Shelf } from './shelf.ts'
import { LARGEST_PART, type Sources } from './sources.ts'
import type { Listed, Stamp } from './tree.ts'

/** Below this a reference costs more than it saves. */
const SMALLEST_DELTA = 128
/** Up to this size a file is read at once. */
const SMALL = 1024 * 1024
/** Such files are in memory up to about so many bytes together. */
const MOST_HELD = 32 * 1024 * 1024
/** Up to this size it is packed with others: a pack stays as long as any of its files is needed. */
const PACKED = 32 * 1024
/** Above this size a file may lie over what it was before. */
const LARGE = 8 * 1024 * 1024
/** So many states of a file may lie over each other: then the first of them is what the next lies over. */
const MOST_OVER = 20

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

/** As `isUnchanged`; `listed` is of the state that `stamps` are of. */
export function isAsRestored(
  item: ImageEntry,
  listed: Listed,
  stamps: Restamped['stamps'] | null | undefined,
): boolean {
  const stamp = stamps?.get(item.entry.path)
  return stamp !== undefined && isUnchanged(item, { ...listed, stamp })
}

/** True for an entry whose bytes belong to the state. */
export const hasContent = ({ kind, size, marks }: Entry): boolean =>
  kind === 'file' && size !== 0 && marks?.metacopy !== true

export class FileStore {
  /** Bytes that had to be read. */
  read = 0
  readonly #shop: Workshop
  readonly #packer: Packer
  readonly #lower: LowerTrees
  /** Of files that are as the parent has them. */
  readonly #restamped: Restamped['stamps'] | null
  /** True where what the parent refers to may be referred to as well. */
  readonly #sameScope: boolean
  /** Contents of files with several names, by the first of them. */
  readonly #linked = new Map<string, Promise<string>>()
  /** Bytes of small files in memory. */
  #held = 0
  /** What is being encoded; the next thing waits for it. */
  #last: Promise<unknown> = Promise.resolve()

  /** `parent`: the list of the state before; `lower`: the trees of `sources.ro`. */
  constructor(
    depot: Depot,
    sources: Sources,
    parentScope: string,
    parent: readonly Piece[],
    lower: LowerTrees,
    restamped: Restamped['stamps'] | null = null,
  ) {
    this.#restamped = restamped
    this.#lower = lower
    this.#sameScope = parentScope === sources.scope
    const origins = new Origins(sources, this.#sameScope ? parent : [])
    this.#shop = { depot, sources, origins, shelf: new Shelf(sources) }
    this.#packer = new Packer(this.#shop)
  }

  /** True while no more files may be named before others are stored. */
  get isFull(): boolean {
    return this.#held > MOST_HELD
  }

  /** True where the walk must wait, with nothing else under way, until `store` is done. */
  isLarge({ entry }: ImageEntry): boolean {
    return (entry.size ?? 0) > SMALL
  }

  /** The name of a file's content, which is in the depot when `end` has returned. */
  store(item: ImageEntry, before: Listed | null): Promise<string> {
    const { entry } = item
    const first = entry.link === undefined ? undefined : this.#linked.get(entry.link)
    if (first !== undefined) return first
    const id = this.#contentOf(item, before)
    if (entry.linked === true) this.#linked.set(entry.path, id)
    return id
  }

  /** Stores what waits. */
  async end(): Promise<void> {
    await this.#inTurn(() => this.#packer.flush())
    this.#shop.shelf.close()
  }

  /** Waits for what is under way, whatever becomes of it. */
  async abandon(): Promise<void> {
    await this.#last.catch(() => {})
    this.#shop.shelf.close()
  }

  #contentOf(item: ImageEntry, before: Listed | null): Promise<string> {
    const isSame =
      before !== null && (isUnchanged(item, before) || isAsRestored(item, before, this.#restamped))
    const same = isSame ? before.entry.content : undefined
    if (same !== undefined && this.#sameScope) return Promise.resolve(same)
    const live = item.open()
    const small = !this.isLarge(item)
    const file = small ? intoMemory(live) : live
    this.read += file.size
    this.#held += file.bytes?.length ?? 0
    return this.#put(file, item, before)
  }

  async #put(file: FileData, item: ImageEntry, before: Listed | null): Promise<string> {
    const { path } = item.entry
    const lower = item.lower ?? path
    try {
      const id = this.#idOf(file, before)
      if (id !== null && (await this.#isKnown(id))) return id
      return await this.#inTurn(() => this.#encode(id, file, path, lower, before?.entry.content))
    } catch (cause) {
      if (!(cause instanceof Error) || 'code' in cause) throw cause
      throw new Error(`${shown(path)}: ${cause.message}`, { cause })
    } finally {
      this.#held -= file.bytes?.length ?? 0
      file.close()
    }
  }

  // Large files of another size are not the ones before: reading them only for their name is vain.
  #idOf(file: FileData, before: Listed | null): string | null {
    if (file.size > LARGEST_PART && file.size !== before?.entry.size) return null
    // Holding it against what it was tells as well, and costs no more.
    if (file.size > LARGE && before?.entry.content !== undefined && this.#sameScope) return null
    return contentId(file)
  }

  async #isKnown(id: string): Promise<boolean> {
    const { depot, sources } = this.#shop
    return this.#packer.holds(id) || (await depot.content(sources.scope, id)) !== null
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => {})
    return turn
  }

  async #encode(
    name: string | null,
    file: FileData,
    path: RelPath,
    lower: RelPath,
    before: string | undefined,
  ): Promise<string> {
    const small = file.size < SMALLEST_DELTA
    const counterpart = small ? null : await this.#counterpart(lower, before)
    if (isPackable(file)) return this.#packer.add(name ?? contentId(file), file, path, counterpart)
    const { depot, sources } = this.#shop
    const { id, content } = await encode(file, counterpart, [path], this.#shop)
    // One that is there already may be what the new one refers to.
    const known = await depot.content(sources.scope, id)
    if (known === null) await depot.putContent(sources.scope, id, content)
    return id
  }

  // One is enough: what came from `ro` is in the state before as well.
  async #counterpart(lower: RelPath, before: string | undefined): Promise<Counterpart | null> {
    const earlier = await this.#earlier(before)
    if (earlier !== null) return earlier
    const { scope } = this.#shop.sources
    const size = scope === '' ? null : this.#lower.sizeOf(lower)
    if (size === null) return null
    const from = { source: 'ro', path: lower, depth: 0 } as const
    return { from, offset: 0, size, ...(size > LARGE ? { former: { ...from, size } } : {}) }
  }

  async #earlier(id: string | undefined): Promise<Counterpart | null> {
    if (id === undefined) return null
    const { depot, sources } = this.#shop
    const content = await depot.content(sources.scope, id)
    if (content === null) return null
    const slice = sliceIn(content)
    if (slice === null) return this.#whole(id, content)
    const { size } = content
    const pack = await depot.content(sources.scope, slice.content)
    if (pack === null) return null
    const from = { source: 'content', content: slice.content, depth: pack.depth } as const
    return within({ from, offset: slice.offset, size })
  }

  async #whole(id: string, content: Content): Promise<Counterpart | null> {
    const { size, depth } = content
    const from = { source: 'content', content: id, depth } as const
    if (size <= LARGE) return within({ from, offset: 0, size })
    const first = depth < LONGEST_CHAIN ? { from, size } : await this.#lowest(id, content)
    const former = depth < MOST_OVER ? { ...from, size } : { ...first.from, size: first.size }
    // Where that is too deep to be referred to otherwise, it may still be lain over.
    return { from: first.from, offset: 0, size: first.size, former }
  }

  /** What the states of a file lie over. */
  async #lowest(id: string, content: Content): Promise<Omit<Counterpart, 'offset'>> {
    const { depot, sources } = this.#shop
    for (let [at, here] = [id, content]; ; ) {
      const from = { source: 'content', content: at, depth: here.depth } as const
      const over = here.parts.find(({ codec }) => codec === 'over')?.references?.[0]?.content
      const below = over === undefined ? null : await depot.content(sources.scope, over)
      if (below === null || below.depth >= here.depth) return { from, size: here.size }
      at = over!
      here = below
    }
  }
}

const within = (counterpart: Counterpart): Counterpart | null =>
  counterpart.from.depth < LONGEST_CHAIN ? counterpart : null

/** True for what is stored together with other files. */
const isPackable = ({ size, holes }: FileData): boolean => size <= PACKED && holes.length === 0

const ELF = Buffer.from('ELF', 'latin1')

/** True for what the system's linker made: programs and libraries. */
export function isProgram(file: Pick<FileData, 'size' | 'holes' | 'read'>): boolean {
  if (file.size < ELF.length || (file.holes[0] ?? ELF.length) < ELF.length) return false
  const head = Buffer.alloc(ELF.length)
  file.read(head, 0)
  return head.equals(ELF)
}

function intoMemory(file: FileData): FileData {
  try {
    const bytes = Buffer.allocUnsafeSlow(file.size)
    file.read(bytes, 0)
    return {
      size: file.size,
      holes: file.holes,
      bytes,
      read: (into, offset) => void bytes.copy(into, 0, offset),
      close() {},
    }
  } finally {
    file.close()
  }
}
