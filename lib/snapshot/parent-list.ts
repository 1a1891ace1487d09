// The list of the state before, gone through beside what the journal names: pieces in which nothing
// is named are handed on unread.
//
//   [piece][piece][piece]   ─▶ whole piece ─▶ taken over
//           └ a name is here ─▶ its lines, one by one
//
// Rule: a piece is handed on as a whole, but never the last one, which ends where the list ended and
// not where its entries say.

import type { DepotReader } from './depot.ts'
import type { Piece } from './records.ts'
import {
  comparePaths,
  hasSeveralNames,
  type Line,
  type PieceTotals,
  pieceAt,
  readLines,
} from './tree.ts'

const MOST_FORESEEN = 64

/** A piece that tells its totals. */
export type SummedPiece = Piece & { readonly totals: PieceTotals }

export class ParentList {
  readonly #depot: DepotReader
  readonly #pieces: readonly Piece[]
  /** Pieces read so far, by index: what is looked at twice is read once. */
  readonly #read = new Map<number, Promise<Line[]>>()
  #piece = 0
  #lines: readonly Line[] = []
  #at = 0

  constructor(depot: DepotReader, pieces: readonly Piece[]) {
    this.#depot = depot
    this.#pieces = pieces
  }

  /** The next line, which stays the next; null at the end. */
  async peek(): Promise<Line | null> {
    while (this.#at === this.#lines.length) {
      if (this.#piece === this.#pieces.length) return null
      this.#lines = await this.#readAt(this.#piece)
      this.#piece += 1
      this.#at = 0
    }
    return this.#lines[this.#at]!
  }

  step(): void {
    this.#at += 1
  }

  /** The next piece, passed over, where all of it comes before `path` (null: the end) and none of it was read. */
  takePiece(path: string | null): SummedPiece | null {
    if (this.#at < this.#lines.length) return null
    const piece = this.#pieces[this.#piece]
    const next = this.#pieces[this.#piece + 1]
    if (piece === undefined || next === undefined || !isSummed(piece)) return null
    if (path !== null && comparePaths(next.first, path) > 0) return null
    this.#piece += 1
    return piece
  }

  /** Begins to read the pieces that have these paths: each takes a while to come. */
  foresee(paths: Iterable<string>): void {
    for (const path of paths) {
      if (this.#read.size >= MOST_FORESEEN || this.#pieces.length === 0) return
      // Whoever asks for it hears that it failed.
      void this.#readAt(pieceAt(this.#pieces, path)).catch(() => {})
    }
  }

  linesOf(piece: Piece): Promise<Line[]> {
    return this.#readAt(this.#pieces.indexOf(piece))
  }

  /** All lines at a path and below it, wherever the list stands. */
  async within(path: string, whole: boolean): Promise<Line[]> {
    const found: Line[] = []
    for (let index = pieceAt(this.#pieces, path); index < this.#pieces.length; index++) {
      for (const line of await this.#readAt(index)) {
        const at = line.entry.path
        if (at === path || (whole && isBelow(at, path))) found.push(line)
        else if (comparePaths(at, path) > 0) return found
      }
    }
    return found
  }

  /** All names of files that have several. */
  async linked(): Promise<Line[]> {
    const found: Line[] = []
    for (const [index, { totals }] of this.#pieces.entries()) {
      if (totals?.links === false) continue
      for (const line of await this.#readAt(index))
        if (hasSeveralNames(line.entry)) found.push(line)
    }
    return found
  }

  /** All names of these files; of one that the list knows no inode of, too. Reads all of the list. */
  async ofInodes(inodes: ReadonlySet<number>): Promise<Line[]> {
    const found: Line[] = []
    for (const index of this.#pieces.keys())
      for (const line of await this.#readAt(index))
        if (line.entry.kind !== 'dir' && (!line.ino || inodes.has(line.ino))) found.push(line)
    return found
  }

  #readAt(index: number): Promise<Line[]> {
    const known = this.#read.get(index) ?? readLines(this.#depot, this.#pieces[index]!)
    this.#read.set(index, known)
    return known
  }
}

const isSummed = (piece: Piece): piece is SummedPiece => piece.totals !== undefined

const isBelow = (path: string, dir: string): boolean => dir === '' || path.startsWith(`${dir}/`)
