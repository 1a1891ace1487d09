// Lists: lines of canonical JSON, compressed in pieces, each piece cut into chunks.
//
//   lines ─▶ [ 16 MiB ][ 16 MiB ] … ─▶ frames ─▶ chunks          writeList
//   chunks ─▶ frames ─▶ lines, held against the list's digest     readList
//
// With the list of an earlier state at hand, a piece is a frame that refers to the piece of that list
// at the same place, so that what did not change costs next to nothing.
//
// Rule: a list is hostile until read: lengths before memory, the digest before the first line is used.

import { createHash } from 'node:crypto'
import { BadFrame, compress, decompress, hasZstd } from '../host/zstd.ts'
import { pack, unpack } from '../snapshot/codec.ts'
import { Damage, type Depot, type DepotReader, putChunks, readChunks } from '../snapshot/depot.ts'
import { type ArchiveList, LIMITS, type ListPiece } from './format.ts'

const PIECE_BYTES = LIMITS.piece / 4
/** Line feeds are one byte each, and names are latin1 in JSON: text is kept as UTF-8 bytes. */
const LINE_END = 10

/** The bytes of a list, cut as its pieces are. */
export type ListBytes = readonly Buffer[]

/** Collects lines, and cuts them into the pieces of a list. */
export class LineCutter {
  readonly pieces: Buffer[] = []
  count = 0
  #waiting: string[] = []
  #bytes = 0

  add(line: string): void {
    this.#waiting.push(line)
    this.#bytes += line.length + 1
    this.count += 1
    if (this.#bytes >= PIECE_BYTES) this.#cut()
  }

  end(): Lines {
    this.#cut()
    return { pieces: this.pieces, count: this.count }
  }

  #cut(): void {
    if (this.#waiting.length === 0) return
    this.pieces.push(Buffer.from(`${this.#waiting.join('\n')}\n`))
    this.#waiting = []
    this.#bytes = 0
  }
}

/** A list before it is stored. */
export interface Lines {
  readonly pieces: ListBytes
  readonly count: number
}

export function cutLines(lines: Iterable<string>): Lines {
  const cutter = new LineCutter()
  for (const line of lines) cutter.add(line)
  return cutter.end()
}

/** The SHA-256 of a list's lines. */
export function digestOf(pieces: ListBytes): string {
  const hash = createHash('sha256')
  for (const piece of pieces) hash.update(piece)
  return hash.digest('hex')
}

/** Stores a list. `earlier`: the list of the state that it comes after. */
export async function writeList(
  depot: Depot,
  { pieces, count: lines }: Lines,
  earlier: ListBytes | null = null,
): Promise<ArchiveList> {
  const written: ListPiece[] = []
  for (const [at, bytes] of pieces.entries()) {
    const before = earlier?.[at] ?? null
    if (before !== null && hasZstd()) {
      const chunks = await putChunks(depot, compress(bytes, { prefix: before, level: 9 }))
      written.push({ codec: 'zstd', bytes: bytes.length, chunks, prefix: true })
      continue
    }
    const { codec, frame } = pack(bytes, 'best')
    written.push({ codec, bytes: bytes.length, chunks: await putChunks(depot, frame) })
  }
  return { digest: digestOf(pieces), lines, pieces: written }
}

/** Reads a list, and holds it against its digest. Throws Damage, SVS_ZSTD_MISSING. */
export async function readList(
  depot: DepotReader,
  list: ArchiveList,
  earlier: ListBytes | null = null,
): Promise<Buffer[]> {
  const total = list.pieces.reduce((sum, { bytes }) => sum + bytes, 0)
  if (total > LIMITS.list) throw new Damage('a list of impossible length')
  const pieces: Buffer[] = []
  for (const [at, piece] of list.pieces.entries()) {
    const frame = await readChunks(depot, piece.chunks)
    pieces.push(unpacked(piece, frame, earlier?.[at] ?? null))
  }
  if (digestOf(pieces) !== list.digest) throw new Damage('a list that is not what it says')
  return pieces
}

function unpacked({ codec, bytes, prefix }: ListPiece, frame: Buffer, earlier: Buffer | null) {
  if (prefix === true && earlier === null) throw new Damage('a list that refers to nothing')
  try {
    return prefix === true ? decompress(frame, bytes, earlier) : unpack(codec, frame, bytes)
  } catch (cause) {
    if (!(cause instanceof BadFrame)) throw cause
    throw new Damage(cause.message, { cause })
  }
}

/** The lines of a list. Throws Damage where they are not as many as it says. */
export function* linesOf(pieces: ListBytes, count: number): Generator<string> {
  let found = 0
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      const end = piece.indexOf(LINE_END, at)
      if (end === -1) throw new Damage('a list without its last line feed')
      found += 1
      if (found > count) throw new Damage('a list of more lines than it says')
      yield piece.toString('utf8', at, end)
      at = end + 1
    }
  }
  if (found !== count) throw new Damage('a list of fewer lines than it says')
}
