// The list of a state's entries, cut into pieces so that two states share what is equal.
//
//   entries in order ─▶ [ … ][ … ][ … ]   a piece ends after a path whose hash says so,
//                                         so a change moves no other piece's ends
//
// A piece is one chunk: zstd over the entries' JSON array. Beside it lies a chunk of stamps, 24
// bytes an entry (inode u64, ctime seconds i64, nanoseconds u32, 1 u32; all 0 = unknown), which
// tell on this machine alone that a file need not be read again.
//
// Order: depth first, names in byte order: the order of paths when `/` sorts before all else.
//
// Rule: pieces are hostile until read: digest, size, schema, order.

import { z } from 'zod'
import { Cursor, Writer } from '../base/cursor.ts'
import { BadFrame, compress, decompress } from '../host/zstd.ts'
import { Damage, type Depot, type DepotReader, putChunks, readChunks } from './depot.ts'
import { type Entry, entry, type Piece } from './records.ts'

/** What a file looked like to the disk, beside its size and time of change. */
export interface Stamp {
  readonly ino: number
  readonly ctime: number
  readonly ctimeNsec: number
}

export interface Listed {
  readonly entry: Entry
  readonly stamp: Stamp | null
}

const STAMP_BYTES = 24
/** A piece ends at one path of this many, and at this many bytes in any case. */
const PIECE_ENTRIES = 128
const PIECE_BYTES = 512 * 1024
/** A single entry with large attributes may be longer than a piece; nothing is longer than this. */
const LARGEST_PIECE = 64 * 1024 * 1024

/** Negative where `a` comes before `b` in a walk. */
export function comparePaths(a: string, b: string): number {
  const end = Math.min(a.length, b.length)
  let at = 0
  while (at < end && a.charCodeAt(at) === b.charCodeAt(at)) at += 1
  if (at === end) return a.length - b.length
  return rankAt(a, at) - rankAt(b, at)
}

const rankAt = (path: string, at: number): number => {
  const code = path.charCodeAt(at)
  return code === 47 ? -1 : code
}

/** Collects entries, in order, and stores the pieces. */
export class TreeWriter {
  readonly pieces: Piece[] = []
  readonly #depot: Depot
  #lines: string[] = []
  #stamps: (Stamp | null)[] = []
  #first = ''
  #bytes = 0

  constructor(depot: Depot) {
    this.#depot = depot
  }

  async add({ entry, stamp }: Listed): Promise<void> {
    if (this.#lines.length === 0) this.#first = entry.path
    const line = JSON.stringify(entry)
    this.#lines.push(line)
    this.#stamps.push(stamp)
    this.#bytes += line.length
    if (this.#bytes >= PIECE_BYTES || hashOf(entry.path) % PIECE_ENTRIES === 0) await this.#cut()
  }

  /** Stores what is left, and returns all pieces. */
  async end(): Promise<Piece[]> {
    if (this.#lines.length > 0) await this.#cut()
    return this.pieces
  }

  async #cut(): Promise<void> {
    const json = Buffer.from(`[${this.#lines.join(',')}]`)
    const list = await putChunks(this.#depot, compress(json))
    const stamps = await putChunks(this.#depot, compress(packStamps(this.#stamps)))
    const entries = this.#lines.length
    this.pieces.push({ first: this.#first, entries, bytes: json.length, list, stamps })
    this.#lines = []
    this.#stamps = []
    this.#bytes = 0
  }
}

// FNV-1a: the same in every version, as equal lists must be cut alike.
function hashOf(path: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < path.length; at++)
    hash = Math.imul(hash ^ path.charCodeAt(at), 0x01000193) >>> 0
  return (hash ^ (hash >>> 15)) >>> 0
}

function packStamps(stamps: readonly (Stamp | null)[]): Buffer {
  const bytes = Buffer.alloc(stamps.length * STAMP_BYTES)
  const out = new Writer(bytes)
  for (const stamp of stamps) {
    out.u64(stamp?.ino ?? 0)
    out.u64(stamp?.ctime ?? 0)
    out.u32(stamp?.ctimeNsec ?? 0)
    out.u32(stamp === null ? 0 : 1)
  }
  return bytes
}

/** All entries of a list, in order. Throws Damage. */
export async function* readTree(
  depot: DepotReader,
  pieces: readonly Piece[],
): AsyncGenerator<Listed> {
  let before: string | null = null
  for (const piece of pieces) {
    for (const listed of await readPiece(depot, piece)) {
      if (before !== null && comparePaths(before, listed.entry.path) >= 0)
        throw new Damage(`entries out of order at ${before}`)
      before = listed.entry.path
      yield listed
    }
  }
}

/** The entries of one piece. Throws Damage. */
export async function readPiece(depot: DepotReader, piece: Piece): Promise<Listed[]> {
  if (piece.bytes > LARGEST_PIECE) throw new Damage('a piece of impossible size')
  const json = unpack(await readChunks(depot, piece.list), piece.bytes)
  const read = z.array(entry).safeParse(parse(json))
  if (!read.success) {
    const issue = read.error.issues[0]
    throw new Damage(`entry ${issue?.path.join('.')}: ${issue?.message}`)
  }
  const stamps = await readStamps(depot, piece)
  return read.data.map((entry, at) => ({ entry, stamp: stamps[at] ?? null }))
}

function unpack(frame: Buffer, size: number): Buffer {
  try {
    return decompress(frame, size)
  } catch (cause) {
    if (cause instanceof BadFrame) throw new Damage(cause.message, { cause })
    throw cause
  }
}

function parse(json: Buffer): unknown {
  try {
    return JSON.parse(json.toString())
  } catch (cause) {
    throw new Damage('a list that is not JSON', { cause })
  }
}

// Stamps only spare work, so lost ones are no damage.
async function readStamps(depot: DepotReader, piece: Piece): Promise<(Stamp | null)[]> {
  if (piece.stamps.length === 0 || (await depot.chunk(piece.stamps[0]!)) === null) return []
  const bytes = unpack(await readChunks(depot, piece.stamps), piece.entries * STAMP_BYTES)
  const cursor = new Cursor(bytes)
  return Array.from({ length: piece.entries }, () => {
    const stamp = { ino: cursor.u64(), ctime: cursor.i64(), ctimeNsec: cursor.u32() }
    return cursor.u32() === 1 ? stamp : null
  })
}

/** Goes through a list beside another walk in the same order. */
export class TreeCursor {
  readonly #entries: AsyncGenerator<Listed>
  #next: Listed | null = null
  #begun = false

  constructor(entries: AsyncGenerator<Listed>) {
    this.#entries = entries
  }

  /** What the list has at `path`, or null; what it has before that goes to `passed`. */
  async at(path: string, passed: (listed: Listed) => void): Promise<Listed | null> {
    await this.#begin()
    while (this.#next !== null) {
      const order = comparePaths(this.#next.entry.path, path)
      if (order > 0) return null
      const here = this.#next
      await this.#step()
      if (order === 0) return here
      passed(here)
    }
    return null
  }

  /** The rest of the list. */
  async end(passed: (listed: Listed) => void): Promise<void> {
    await this.#begin()
    while (this.#next !== null) {
      passed(this.#next)
      await this.#step()
    }
  }

  async #begin(): Promise<void> {
    if (this.#begun) return
    this.#begun = true
    await this.#step()
  }

  async #step(): Promise<void> {
    const step = await this.#entries.next()
    this.#next = step.done === true ? null : step.value
  }
}
