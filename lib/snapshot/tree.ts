// The list of a state's entries, cut into pieces so that two states share what is equal.
//
//   entries in order ─▶ [ … ][ … ][ … ]   a piece ends after a path whose hash says so,
//                                         so a change moves no other piece's ends
//
// A piece is one frame (frames.ts): the entries' JSON array. Beside it lies a frame of stamps, 24
// bytes an entry (inode u64, ctime seconds i64, nanoseconds u32, kind u32: 1 = all known, 2 = the
// inode alone, 0 = nothing), which tell on this machine alone that a file need not be read again.
// Either may rest on that of the piece which the state before has there.
//
// Order: depth first, names in byte order: the order of paths when `/` sorts before all else.
//
// Rule: pieces are hostile until read: digest, size, schema, order.

import { z } from 'zod'
import { Cursor, Writer } from '../base/cursor.ts'
import { Damage, type Depot, type DepotReader, sha256 } from './depot.ts'
import { type Former, type Frame, formerOrNull, putFrame, readFrame } from './frames.ts'
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
  /** Inode on the disk, also where the stamp is not to be trusted; 0 where it is not known. */
  readonly ino?: number
}

/** An entry that is read, with the text that it was stored as. */
export interface Line extends Listed {
  readonly line: string
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

/** The last piece that begins at a path or before it; the first where none does. */
export function pieceAt(pieces: readonly Piece[], path: string): number {
  let [low, high] = [0, pieces.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (comparePaths(pieces[middle]!.first, path) <= 0) low = middle + 1
    else high = middle
  }
  return Math.max(0, low - 1)
}

const listOf = ({ codec = 'zstd', list, listOn }: Piece): Frame => ({
  codec,
  chunks: list,
  on: listOn,
})

const stampsOf = ({ codec = 'zstd', stamps, stampsOn }: Piece): Frame => ({
  codec,
  chunks: stamps,
  on: stampsOn,
})

/** What reading the entries of a piece needs. */
export const listChunks = ({ list, listOn }: Piece): string[] => [
  ...list,
  ...(listOn?.chunks ?? []),
]

/** What its stamps need. */
export const stampChunks = ({ stamps, stampsOn }: Piece): string[] => [
  ...stamps,
  ...(stampsOn?.chunks ?? []),
]

const rankAt = (path: string, at: number): number => {
  const code = path.charCodeAt(at)
  return code === 47 ? -1 : code
}

/** The list of the state before, as new pieces may rest on it. */
export interface FormerList {
  readonly depot: DepotReader
  readonly pieces: readonly Piece[]
}

/** Collects entries, in order, and stores the pieces. */
export class TreeWriter {
  readonly pieces: Piece[] = []
  readonly #depot: Depot
  readonly #former: FormerList | null
  #lines: string[] = []
  #stamps: { stamp: Stamp | null; ino: number }[] = []
  #first = ''
  #bytes = 0
  #totals = new Totals()

  constructor(depot: Depot, former: FormerList | null = null) {
    this.#depot = depot
    this.#former = former
  }

  /** True where the next entry begins a piece. */
  get isBetween(): boolean {
    return this.#lines.length === 0
  }

  add(listed: Listed): Promise<void> {
    return this.addLine({ ...listed, line: JSON.stringify(listed.entry) })
  }

  async addLine({ entry, stamp, ino, line }: Line): Promise<void> {
    if (this.isBetween) this.#first = entry.path
    this.#lines.push(line)
    this.#stamps.push({ stamp, ino: stamp?.ino ?? ino ?? 0 })
    this.#bytes += line.length
    this.#totals.add(entry)
    if (this.#bytes >= PIECE_BYTES || hashOf(entry.path) % PIECE_ENTRIES === 0) await this.#cut()
  }

  /** Takes a piece of another list over, unread; only between two pieces, and never that list's last one. */
  take(piece: Piece): void {
    this.pieces.push(piece)
  }

  /** Stores what is left, and returns all pieces. */
  async end(): Promise<Piece[]> {
    if (this.#lines.length > 0) await this.#cut()
    return this.pieces
  }

  async #cut(): Promise<void> {
    const json = Buffer.from(`[${this.#lines.join(',')}]`)
    const former = await this.#formerAt(this.#first)
    const list = await putFrame(this.#depot, json, former.list)
    const stamps = await putFrame(this.#depot, packStamps(this.#stamps), former.stamps)
    this.pieces.push({
      first: this.#first,
      entries: this.#lines.length,
      bytes: json.length,
      ...(list.codec === 'zstd' ? {} : { codec: list.codec }),
      list: [...list.chunks],
      ...(list.on === undefined ? {} : { listOn: { ...onOf(list.on), of: sha256(json) } }),
      stamps: [...stamps.chunks],
      ...(stamps.on === undefined ? {} : { stampsOn: onOf(stamps.on) }),
      totals: this.#totals.sum,
    })
    this.#lines = []
    this.#stamps = []
    this.#bytes = 0
    this.#totals = new Totals()
  }

  /** List and stamps of what the state before has at this path. */
  async #formerAt(path: string): Promise<{ list: Former | null; stamps: Former | null }> {
    const { depot, pieces } = this.#former ?? { depot: this.#depot, pieces: [] }
    const piece = pieces[pieceAt(pieces, path)]
    if (piece === undefined || piece.bytes > LARGEST_PIECE) return { list: null, stamps: null }
    const size = piece.entries * STAMP_BYTES
    const [list, stamps] = await Promise.all([
      formerOrNull(depot, listOf(piece), piece.bytes),
      piece.stamps.length === 0 ? null : formerOrNull(depot, stampsOf(piece), size),
    ])
    return { list, stamps }
  }
}

const onOf = ({ chunks, bytes }: NonNullable<Frame['on']>) => ({ chunks: [...chunks], bytes })

// FNV-1a: the same in every version, as equal lists must be cut alike.
function hashOf(path: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < path.length; at++)
    hash = Math.imul(hash ^ path.charCodeAt(at), 0x01000193) >>> 0
  return (hash ^ (hash >>> 15)) >>> 0
}

const WHOLE_STAMP = 1
const INODE_ALONE = 2

function packStamps(stamps: readonly { stamp: Stamp | null; ino: number }[]): Buffer {
  const bytes = Buffer.alloc(stamps.length * STAMP_BYTES)
  const out = new Writer(bytes)
  for (const { stamp, ino } of stamps) {
    out.u64(ino)
    out.u64(stamp?.ctime ?? 0)
    out.u32(stamp?.ctimeNsec ?? 0)
    out.u32(stamp !== null ? WHOLE_STAMP : ino === 0 ? 0 : INODE_ALONE)
  }
  return bytes
}

/** Collects what a run of entries adds to a state's totals. */
export class Totals {
  bytes = 0
  readonly #users = new Set<number>()
  readonly #groups = new Set<number>()
  #base = false
  #links = false

  add(entry: Entry): void {
    if (entry.link === undefined) this.bytes += entry.size ?? 0
    this.#users.add(entry.uid)
    this.#groups.add(entry.gid)
    if (entry.marks?.base !== undefined) this.#base = true
    if (hasSeveralNames(entry)) this.#links = true
  }

  /** Adds those of a piece. */
  addAll({ bytes, users, groups, base }: PieceTotals): void {
    this.bytes += bytes
    for (const user of users) this.#users.add(user)
    for (const group of groups) this.#groups.add(group)
    this.#base ||= base
  }

  get sum(): PieceTotals {
    const [users, groups] = [[...this.#users].sort(), [...this.#groups].sort()]
    return { bytes: this.bytes, users, groups, base: this.#base, links: this.#links }
  }
}

export type PieceTotals = NonNullable<Piece['totals']>

/** True for a name of a file that has, or had, others in the sublayer. */
export const hasSeveralNames = ({ linked, link }: Entry): boolean =>
  linked === true || link !== undefined

/** SHA-256 of the JSON of a piece, as `listOn.of` has it. Throws Damage. */
export async function digestOf(depot: DepotReader, piece: Piece): Promise<string> {
  return sha256(await readFrame(depot, listOf(piece), piece.bytes))
}

/** A piece with the same entries whose list rests on nothing. */
export function madeWhole(piece: Piece, { codec, list }: Piece): Piece {
  const { codec: was, listOn: _, ...rest } = piece
  if (was === codec) return { ...piece, list, listOn: undefined }
  const named = codec === undefined ? {} : { codec }
  return { ...rest, ...named, list, stamps: [], stampsOn: undefined }
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

/** The entries of one piece, each with its text. Throws Damage. */
export async function readLines(depot: DepotReader, piece: Piece): Promise<Line[]> {
  const [{ texts, entries }, stamps] = await Promise.all([
    readEntries(depot, piece),
    readStamps(depot, piece),
  ])
  return entries.map((entry, at) => ({
    ...(stamps[at] ?? { stamp: null, ino: 0 }),
    entry,
    line: JSON.stringify(texts[at]),
  }))
}

/** An entry as it was stored, which is checked when it is asked for. */
export interface RawLine {
  readonly path: string
  readonly line: string
  /** As Listed has it; 0 where it is not known. */
  readonly ino: number
  /** Throws Damage. */
  listed(): Listed
}

/** The entries of one piece, unchecked but for their names: to tell those that differ. Throws Damage. */
export async function readRawLines(depot: DepotReader, piece: Piece): Promise<RawLine[]> {
  const [texts, stamps] = await Promise.all([jsonOf(depot, piece), readStamps(depot, piece)])
  const named = z.array(z.looseObject({ path: z.string() })).safeParse(texts)
  if (!named.success) throw new Damage('a list without names')
  return (texts as { path: string }[]).map((text, at) => {
    const { stamp, ino } = stamps[at] ?? { stamp: null, ino: 0 }
    const listed = () => ({ stamp, ino, entry: checkedEntry(text) })
    return { path: text.path, line: JSON.stringify(text), ino, listed }
  })
}

function checkedEntry(text: unknown): Entry {
  const read = entry.safeParse(text)
  if (read.success) return read.data
  const issue = read.error.issues[0]
  throw new Damage(`entry ${issue?.path.join('.')}: ${issue?.message}`)
}

/** The entries of one piece. Throws Damage. */
export async function readPiece(depot: DepotReader, piece: Piece): Promise<Listed[]> {
  const [{ entries }, stamps] = await Promise.all([
    readEntries(depot, piece),
    readStamps(depot, piece),
  ])
  return entries.map((entry, at) => ({ ...(stamps[at] ?? { stamp: null, ino: 0 }), entry }))
}

async function readEntries(
  depot: DepotReader,
  piece: Piece,
): Promise<{ texts: unknown[]; entries: Entry[] }> {
  const texts = await jsonOf(depot, piece)
  const read = z.array(entry).safeParse(texts)
  if (read.success) return { texts: texts as unknown[], entries: read.data }
  const issue = read.error.issues[0]
  throw new Damage(`entry ${issue?.path.join('.')}: ${issue?.message}`)
}

const contentOf = z.array(z.object({ content: entry.shape.content }))

/** The contents that the entries of a piece name; nothing else of them is looked at. Throws Damage. */
export async function contentsIn(depot: DepotReader, piece: Piece): Promise<string[]> {
  const read = contentOf.safeParse(await jsonOf(depot, piece))
  if (!read.success) throw new Damage(`entry ${read.error.issues[0]?.path.join('.')}`)
  return read.data.flatMap(({ content }) => content ?? [])
}

async function jsonOf(depot: DepotReader, piece: Piece): Promise<unknown> {
  if (piece.bytes > LARGEST_PIECE) throw new Damage('a piece of impossible size')
  return parse(await readFrame(depot, listOf(piece), piece.bytes))
}

function parse(json: Buffer): unknown {
  try {
    return JSON.parse(json.toString())
  } catch (cause) {
    throw new Damage('a list that is not JSON', { cause })
  }
}

async function stampBytes(depot: DepotReader, piece: Piece): Promise<Buffer | null> {
  if (piece.stamps.length === 0) return null
  try {
    return await readFrame(depot, stampsOf(piece), piece.entries * STAMP_BYTES)
  } catch (err) {
    if (err instanceof Damage) return null
    throw err
  }
}

// Stamps only spare work, so lost ones are no damage.
async function readStamps(
  depot: DepotReader,
  piece: Piece,
): Promise<{ stamp: Stamp | null; ino: number }[]> {
  const bytes = await stampBytes(depot, piece)
  if (bytes === null) return []
  const cursor = new Cursor(bytes)
  return Array.from({ length: piece.entries }, () => {
    const stamp = { ino: cursor.u64(), ctime: cursor.i64(), ctimeNsec: cursor.u32() }
    const kind = cursor.u32()
    return { stamp: kind === WHOLE_STAMP ? stamp : null, ino: kind === 0 ? 0 : stamp.ino }
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
