// The list of a state's entries, asked for single names: only the pieces that may hold them
// are read.
//
//   pieces   [ '' … ] [ a/f … ] [ b/x … ]      a path lies in the last piece that begins
//                 ▲                            at or before it
//   at('a/b') ────┘
//
// Rule: read pieces are kept, up to a bound; what is asked in the order of a walk reads each once.

import { baseName, isWithin, type RelPath } from '../base/path.ts'
import type { DepotReader } from './depot.ts'
import type { Entry, Piece } from './records.ts'
import { comparePaths, type Listed, readPiece } from './tree.ts'

/** Pieces kept in memory: some hundred names each. */
const MOST_KEPT = 32

/** Names of a writable sublayer, asked for one by one. */
export interface EntryList {
  at(path: RelPath): Promise<Entry | null>
  /** What lies directly in a directory, in byte order. */
  children(dir: RelPath): Promise<Entry[]>
}

export class StateList implements EntryList {
  readonly #depot: DepotReader
  readonly #pieces: readonly Piece[]
  /** Least recently used first. */
  readonly #kept = new Map<number, readonly Listed[]>()

  constructor(depot: DepotReader, pieces: readonly Piece[]) {
    this.#depot = depot
    this.#pieces = pieces
  }

  async at(path: RelPath): Promise<Entry | null> {
    return (await this.listed(path))?.entry ?? null
  }

  async listed(path: RelPath): Promise<Listed | null> {
    const piece = this.#pieceOf(path)
    if (piece < 0) return null
    const entries = await this.#read(piece)
    const found = entries[firstNotBefore(entries, path)]
    return found?.entry.path === path ? found : null
  }

  /** What lies at and below a path, in the order of a walk. */
  async *within(path: RelPath): AsyncGenerator<Listed> {
    for (let piece = Math.max(0, this.#pieceOf(path)); piece < this.#pieces.length; piece++) {
      const entries = await this.#read(piece)
      for (let at = firstNotBefore(entries, path); at < entries.length; at++) {
        if (!isWithin(entries[at]!.entry.path, path)) return
        yield entries[at]!
      }
    }
  }

  async children(dir: RelPath): Promise<Entry[]> {
    const found: Entry[] = []
    let piece = Math.max(0, this.#pieceOf(dir))
    let after: RelPath = dir
    while (piece < this.#pieces.length) {
      const entries = await this.#read(piece)
      for (let at = firstNotBefore(entries, after); at < entries.length; at++) {
        const { entry } = entries[at]!
        if (!isWithin(entry.path, dir)) return found
        if (entry.path === dir || (after !== dir && isWithin(entry.path, after))) continue
        found.push(entry)
        after = entry.path
      }
      piece = Math.max(piece + 1, this.#lastPieceWithin(after, dir))
    }
    return found
  }

  // The last piece that begins at or before the path; -1 where none does.
  #pieceOf(path: RelPath): number {
    return this.#count((first) => comparePaths(first, path) <= 0) - 1
  }

  // Pieces that begin inside of what was passed hold nothing new until the last of them.
  #lastPieceWithin(passed: RelPath, dir: RelPath): number {
    if (passed === dir) return -1
    return this.#count((first) => comparePaths(first, passed) <= 0 || isWithin(first, passed)) - 1
  }

  // How many pieces fit, which those at the beginning do.
  #count(fits: (first: string) => boolean): number {
    let low = 0
    let high = this.#pieces.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (fits(this.#pieces[middle]!.first)) low = middle + 1
      else high = middle
    }
    return low
  }

  async #read(piece: number): Promise<readonly Listed[]> {
    const known = this.#kept.get(piece) ?? (await readPiece(this.#depot, this.#pieces[piece]!))
    this.#kept.delete(piece)
    this.#kept.set(piece, known)
    if (this.#kept.size > MOST_KEPT) this.#kept.delete(this.#kept.keys().next().value!)
    return known
  }
}

function firstNotBefore(entries: readonly Listed[], path: RelPath): number {
  let low = 0
  let high = entries.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (comparePaths(entries[middle]!.entry.path, path) < 0) low = middle + 1
    else high = middle
  }
  return low
}

/** Entries that are in memory already, given in the order of a walk. */
export class KnownList implements EntryList {
  readonly #entries = new Map<RelPath, Entry>()
  readonly #children = new Map<RelPath, Entry[]>()

  add(entry: Entry): void {
    this.#entries.set(entry.path, entry)
    if (entry.path === '') return
    const dir = entry.path.slice(0, -baseName(entry.path).length - 1) as RelPath
    const beside = this.#children.get(dir)
    if (beside === undefined) this.#children.set(dir, [entry])
    else beside.push(entry)
  }

  async at(path: RelPath): Promise<Entry | null> {
    return this.#entries.get(path) ?? null
  }

  async children(dir: RelPath): Promise<Entry[]> {
    return this.#children.get(dir) ?? []
  }
}
