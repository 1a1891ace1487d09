// What a state shows: its entries laid over the read-only tree that it was made on, as programs
// would see the layer alone.
//
//   list   whiteout, opaque, redirect, metacopy    ─┐
//                                                   ├─▶ ShownTree: names without marks
//   below  names that nothing of the list hides    ─┘
//
// Rule: one function decides what a name shows (`#child`); it is the same for one name and for a
// whole directory. Only the layer itself counts: no other layer, no base.

import { baseName, joinPath, parentPath, type RelPath, ROOT } from '../base/path.ts'
import type { Below } from './below.ts'
import type { Entry } from './records.ts'
import type { EntryList } from './state-list.ts'

/** Where the bytes of a file are. */
export type ShownBytes =
  | { readonly at: 'none' }
  /** A content of the catalogue, by its id. */
  | { readonly at: 'content'; readonly id: string }
  /** A file of the read-only tree. */
  | { readonly at: 'below'; readonly path: RelPath }

export interface Shown {
  /** Its `path` is where it shows; without marks, without what says which names are one file. */
  readonly entry: Entry
  readonly bytes: ShownBytes
  /** The same for all names of one file; null where it has one name. */
  readonly links: string | null
  /** Directories: the list has it, too. */
  readonly listed: boolean
  /** Directories: the one of the read-only tree that shows in it; null where none does. */
  readonly lower: RelPath | null
}

const NO_BYTES: ShownBytes = { at: 'none' }

export class ShownTree {
  readonly #list: EntryList
  readonly #below: Below

  constructor(list: EntryList, below: Below) {
    this.#list = list
    this.#below = below
  }

  async root(): Promise<Shown> {
    const entry = await this.#list.at(ROOT)
    const shown = entry === null ? this.#fromBelow(ROOT, ROOT) : this.#fromList(entry, ROOT)
    if (shown === null) throw new TypeError('a tree without a root')
    return shown
  }

  /** What shows at a path; null where nothing does. */
  async look(path: RelPath): Promise<Shown | null> {
    if (path === '') return this.root()
    const dir = await this.look(parentPath(path))
    return dir?.entry.kind === 'dir' ? this.child(dir, baseName(path)) : null
  }

  async child(dir: Shown, name: string): Promise<Shown | null> {
    const listed = dir.listed ? await this.#list.at(joinPath(dir.entry.path, name)) : null
    return this.#child(dir, name, listed)
  }

  /** What shows in a directory, in byte order. */
  async children(dir: Shown): Promise<Shown[]> {
    const listed = new Map<string, Entry>()
    if (dir.listed)
      for (const entry of await this.#list.children(dir.entry.path))
        listed.set(baseName(entry.path), entry)
    const names = new Set(listed.keys())
    if (dir.lower !== null) for (const name of this.#below.list(dir.lower)) names.add(name)
    return [...names]
      .sort()
      .map((name) => this.#child(dir, name, listed.get(name) ?? null))
      .filter((shown) => shown !== null)
  }

  /** Everything at and below what is shown, in the order of a walk. */
  async *within(top: Shown): AsyncGenerator<Shown> {
    yield top
    if (top.entry.kind !== 'dir') return
    for (const child of await this.children(top)) yield* this.within(child)
  }

  #child(dir: Shown, name: string, listed: Entry | null): Shown | null {
    const over = dir.lower === null ? null : joinPath(dir.lower, name)
    if (listed !== null) return this.#fromList(listed, over)
    return over === null ? null : this.#fromBelow(over, joinPath(dir.entry.path, name))
  }

  #fromList(listed: Entry, over: RelPath | null): Shown | null {
    if (listed.kind === 'whiteout') return null
    const { marks = {}, link, linked, ...entry } = listed
    const from = marks.redirect ?? over
    if (listed.kind === 'dir') {
      const lower = marks.opaque === true && marks.redirect === undefined ? null : from
      const merges = lower !== null && this.#below.look(lower)?.entry.kind === 'dir'
      return { entry, bytes: NO_BYTES, links: null, listed: true, lower: merges ? lower : null }
    }
    const links = link ?? (linked === true ? listed.path : null)
    const name = links === null ? null : `/${links}`
    return { entry, bytes: bytesOf(listed, from), links: name, listed: true, lower: null }
  }

  #fromBelow(lower: RelPath, path: RelPath): Shown | null {
    const found = this.#below.look(lower)
    if (found === null) return null
    const entry = { ...found.entry, path }
    const isDir = entry.kind === 'dir'
    const holds = entry.kind === 'file' && entry.size !== 0
    return {
      entry,
      bytes: holds ? { at: 'below', path: lower } : NO_BYTES,
      links: found.links === 0 ? null : `inode ${found.links}`,
      listed: false,
      lower: isDir ? lower : null,
    }
  }
}

function bytesOf({ kind, size, content, marks }: Entry, from: RelPath | null): ShownBytes {
  if (kind !== 'file' || size === 0) return NO_BYTES
  if (content !== undefined) return { at: 'content', id: content }
  return marks?.metacopy === true && from !== null ? { at: 'below', path: from } : NO_BYTES
}
