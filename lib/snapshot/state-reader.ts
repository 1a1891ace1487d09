// What a state shows, read as it is asked for: names a directory at a time, bytes by stretches.
//
//   StateReader ─▶ ShownTree ─▶ names, attributes        the state's list over its read-only tree
//               └▶ Ranges ────▶ bytes of what is stored; what lies below is opened by whoever shows it
//
// Rule: the same as restore --to writes (copy-out.ts): both ask ShownTree.

import { ERRNO, Errno } from '../base/errno.ts'
import { baseName, type RelPath } from '../base/path.ts'
import type { Attr } from '../fuse/filesystem.ts'
import { Below, type BelowIndex } from './below.ts'
import { Damage, type DepotReader } from './depot.ts'
import { Ranges } from './ranges.ts'
import type { Piece } from './records.ts'
import { shownAttr } from './shown-attr.ts'
import { type Shown, type ShownBytes, ShownTree } from './shown-tree.ts'
import type { Sources } from './sources.ts'
import { StateList } from './state-list.ts'
import { hasSeveralNames, readPiece } from './tree.ts'

/** A state, and the read-only tree that it was made on. Internal paths. */
export interface ReadState {
  readonly id: string
  readonly pieces: readonly Piece[]
  readonly ro: string
  readonly index: BelowIndex | null
  /** Digest of that tree. */
  readonly scope: string
  /** A directory on a disk with room, for nameless files. */
  readonly temporary: string
}

/** One name, as plain data. */
export interface ShownName {
  readonly name: string
  readonly attr: Attr
  readonly target: string
  /** Base64 values. */
  readonly xattrs: Readonly<Record<string, string>>
  readonly bytes: ShownBytes
  /** The same for all names of one file; null where it has one. */
  readonly links: string | null
}

export class StateReader {
  readonly #state: ReadState
  readonly #depot: DepotReader
  readonly #below: Below
  readonly #tree: ShownTree
  readonly #ranges: Ranges
  /** How many names each file has that has several: of the list, and with those of the tree below. */
  #listed: Map<string, number> | null = null
  #all: Map<string, number> | null = null

  constructor(state: ReadState, depot: DepotReader) {
    const { pieces, ro, index, scope, temporary } = state
    const sources: Sources = { depot, scope, ro: [ro], temporary }
    this.#state = state
    this.#depot = depot
    this.#below = new Below(ro, index)
    this.#tree = new ShownTree(new StateList(depot, pieces), this.#below)
    this.#ranges = new Ranges(sources)
  }

  async root(): Promise<ShownName> {
    return this.#named(await this.#tree.root())
  }

  /** One name; null where the state shows nothing there. Throws Damage. */
  async look(path: RelPath): Promise<ShownName | null> {
    const shown = await this.#tree.look(path)
    return shown === null ? null : this.#named(shown)
  }

  /** What lies in a directory, in byte order. Throws Damage. */
  async list(path: RelPath): Promise<ShownName[]> {
    const dir = await this.#tree.look(path)
    if (dir === null) throw new Errno(ERRNO.ENOENT, path)
    const names: ShownName[] = []
    for (const child of await this.#tree.children(dir)) names.push(await this.#named(child))
    return names
  }

  /** Offset and length of each hole of a content. */
  holes(content: string): Promise<number[]> {
    return this.#ranges.holes(content)
  }

  /** A stretch of a content. Throws Damage, SVS_RO_CHANGED. */
  async read(content: string, offset: number, length: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafeSlow(length)
    try {
      await this.#ranges.read(content, bytes, offset)
    } catch (err) {
      if (!(err instanceof Damage)) throw err
      // What it was made of may have been stored anew between two looks.
      await this.#ranges.read(content, bytes, offset)
    }
    return bytes
  }

  close(): void {
    this.#ranges.close()
    this.#below.close()
  }

  async #named({ entry, bytes, links }: Shown): Promise<ShownName> {
    const nlink = links === null ? 1 : await this.#namesOf(links)
    const { target = '', xattrs = {} } = entry
    return {
      name: baseName(entry.path),
      attr: shownAttr(entry, nlink),
      target,
      xattrs,
      bytes,
      links,
    }
  }

  async #namesOf(links: string): Promise<number> {
    if (links.startsWith('/')) {
      this.#listed ??= await this.#countListed()
      return this.#listed.get(links) ?? 1
    }
    this.#all ??= await this.#countAll()
    return this.#all.get(links) ?? 1
  }

  async #countListed(): Promise<Map<string, number>> {
    const counts = new Map<string, number>()
    for (const piece of this.#state.pieces) {
      if (piece.totals?.links === false) continue
      for (const { entry } of await readPiece(this.#depot, piece))
        if (hasSeveralNames(entry)) count(counts, `/${entry.link ?? entry.path}`)
    }
    return counts
  }

  // Names of the tree below may be hidden, and show elsewhere: only all of them together tell.
  async #countAll(): Promise<Map<string, number>> {
    const counts = new Map<string, number>()
    for await (const { links } of this.#tree.within(await this.#tree.root()))
      if (links !== null) count(counts, links)
    return counts
  }
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
