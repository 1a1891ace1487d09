// A tar archive as it flows past: every member is read, judged, and passed on or left out, so
// that the system's tar sees only what may be unpacked.
//
//   [pax x][GNU L, K]  header 512 bytes, data in blocks of 512   … two empty blocks
//   └ belong to the header that follows, and go with it
//
// Reads ustar, pax and GNU archives, old GNU sparse files among them. Whatever tar might
// read differently than this file does (a link with data, two sizes, an unknown kind) is
// refused: what was judged is what is unpacked.

import { Failure } from '../base/failure.ts'
import { type RelPath, relPath, shown } from '../base/path.ts'
import { encodeDevice } from '../host/stat.ts'
import { S } from '../host/sys.ts'
import type { Truth } from './import-members.ts'

const BLOCK = 512

/** Longest extended header that is believed; real ones hold a few attributes. */
const EXTENDED_MAX = 4 << 20

/** (uid_t) -1, which system calls take for "leave it as it is". */
const NO_ID = 0xffff_ffff

export type Compression = 'none' | 'gzip' | 'xz' | 'zstd' | 'bzip2'

/** How an archive is compressed, by its first bytes. */
export function compressionOf(start: Buffer): Compression {
  const hex = start.subarray(0, 6).toString('hex')
  if (hex.startsWith('1f8b')) return 'gzip'
  if (hex.startsWith('fd377a585a00')) return 'xz'
  if (hex.startsWith('28b52ffd')) return 'zstd'
  return hex.startsWith('425a68') ? 'bzip2' : 'none'
}

export interface Member {
  readonly path: RelPath
  readonly truth: Truth
  /** The member that this is a further name of; null for all but hard links. */
  readonly linkTo: RelPath | null
  /** Bytes of data. */
  readonly size: number
}

/** What of a member goes on to tar. */
export type Verdict = 'keep' | 'leave out'

/**
 * The archive again, without the members that `judge` leaves out. `archive` names it in failures.
 * Throws SVS_ARCHIVE_ESCAPES for names outside the tree, SVS_ARCHIVE_INVALID for broken ones.
 */
export async function* filterTar(
  input: AsyncIterable<Buffer>,
  archive: string,
  judge: (member: Member) => Verdict,
): AsyncGenerator<Buffer, void, void> {
  const blocks = new Blocks(input, archive)
  try {
    for (;;) {
      const passed: Buffer[] = []
      const header = await readHeader(blocks, passed, archive)
      if (header === null) break
      const member = memberOf(header, archive)
      const keep = member !== null && judge(member) === 'keep'
      if (keep) yield* passed
      for (let left = padded(header.size); left > 0; ) {
        const piece = await blocks.some(left)
        left -= piece.length
        if (keep) yield piece
      }
    }
    // The end mark comes last: who reads it may be gone before anything after it.
    await blocks.drain()
    yield Buffer.alloc(2 * BLOCK)
  } finally {
    await blocks.close()
  }
}

/** The input as exact pieces. Throws SVS_ARCHIVE_INVALID where it ends too early. */
class Blocks {
  readonly #input: AsyncIterator<Buffer>
  readonly #archive: string
  #held: Buffer = Buffer.alloc(0)

  constructor(input: AsyncIterable<Buffer>, archive: string) {
    this.#input = input[Symbol.asyncIterator]()
    this.#archive = archive
  }

  /** Exactly `length` bytes; null where the input ends before the first. */
  async exactly(length: number): Promise<Buffer | null> {
    const parts: Buffer[] = []
    let have = 0
    while (have < length) {
      if (this.#held.length === 0 && !(await this.#more())) break
      const part = this.#held.subarray(0, length - have)
      this.#held = this.#held.subarray(part.length)
      parts.push(part)
      have += part.length
    }
    if (have === 0) return null
    if (have < length) throw this.#cutOff()
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
  }

  /** At least one and at most `most` bytes, as they come. */
  async some(most: number): Promise<Buffer> {
    if (this.#held.length === 0 && !(await this.#more())) throw this.#cutOff()
    const part = this.#held.subarray(0, most)
    this.#held = this.#held.subarray(part.length)
    return part
  }

  /** Reads to the end, so that the program that writes the archive ends well. */
  async drain(): Promise<void> {
    while (await this.#more());
  }

  async close(): Promise<void> {
    await this.#input.return?.()
  }

  async #more(): Promise<boolean> {
    const next = await this.#input.next()
    if (next.done === true) return false
    this.#held = next.value
    return true
  }

  #cutOff(): Failure {
    return new Failure('SVS_ARCHIVE_INVALID', this.#archive, 'it is cut off')
  }
}

interface Header {
  readonly block: Buffer
  readonly kind: string
  readonly size: number
  readonly pax: ReadonlyMap<string, string>
  readonly longName: string | null
  readonly longLink: string | null
}

// The next member's header with the extended ones before it; `passed` collects all their bytes.
async function readHeader(
  blocks: Blocks,
  passed: Buffer[],
  archive: string,
): Promise<Header | null> {
  const pax = new Map<string, string>()
  let longName: string | null = null
  let longLink: string | null = null
  for (;;) {
    const block = await blocks.exactly(BLOCK)
    if (block === null || isEmpty(block)) {
      if (passed.length > 0) throw invalid(archive, 'an extended header has no member')
      return null
    }
    passed.push(block)
    checkSum(block, archive)
    const kind = block.latin1Slice(156, 157)
    if (!'xgLK'.includes(kind)) {
      const size = sizeOf(block, kind, pax, archive)
      if (kind === 'S') await passSparseMap(blocks, block, passed, archive)
      return { block, kind, size, pax, longName, longLink }
    }
    const extended = await readExtended(blocks, block, passed, archive)
    if (kind === 'L') longName = cString(extended)
    else if (kind === 'K') longLink = cString(extended)
    else if (kind === 'x') for (const [key, value] of paxOf(extended, archive)) pax.set(key, value)
    else refuseGlobals(paxOf(extended, archive), archive)
  }
}

async function readExtended(
  blocks: Blocks,
  block: Buffer,
  passed: Buffer[],
  archive: string,
): Promise<Buffer> {
  const size = number(block, 124, 12, archive)
  if (size > EXTENDED_MAX) throw invalid(archive, 'an extended header is too large')
  if (size === 0) return Buffer.alloc(0)
  const whole = await blocks.exactly(padded(size))
  if (whole === null) throw invalid(archive, 'it is cut off')
  passed.push(whole)
  return whole.subarray(0, size)
}

// Old GNU sparse files: maps that do not fit the header follow it in blocks of their own.
async function passSparseMap(
  blocks: Blocks,
  header: Buffer,
  passed: Buffer[],
  archive: string,
): Promise<void> {
  for (let more = header[482] !== 0; more; ) {
    const block = await blocks.exactly(BLOCK)
    if (block === null) throw invalid(archive, 'it is cut off')
    passed.push(block)
    more = block[504] !== 0
  }
}

// A global header may carry a comment (git writes one); nothing that changes members.
function refuseGlobals(pax: ReadonlyMap<string, string>, archive: string): void {
  for (const key of pax.keys()) {
    if (key !== 'comment') throw invalid(archive, `global header with ${shown(key)}`)
  }
}

// "LENGTH KEY=VALUE\n", again and again; LENGTH counts all of it.
function paxOf(bytes: Buffer, archive: string): Map<string, string> {
  const found = new Map<string, string>()
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at)
    const length = Number(bytes.latin1Slice(at, Math.max(space, at)))
    const end = at + length
    const equals = bytes.indexOf(0x3d, space)
    const whole = space > at && length > 0 && end <= bytes.length && bytes[end - 1] === 0x0a
    if (!whole || equals === -1 || equals >= end) throw invalid(archive, 'broken extended header')
    found.set(bytes.latin1Slice(space + 1, equals), bytes.latin1Slice(equals + 1, end - 1))
    at = end
  }
  return found
}

/** Bytes of data that follow the header. */
function sizeOf(
  block: Buffer,
  kind: string,
  pax: ReadonlyMap<string, string>,
  archive: string,
): number {
  const size = number(block, 124, 12, archive)
  const extended = pax.get('size')
  const real = extended === undefined ? size : decimal(extended, archive)
  const isFile = kind === '0' || kind === '\0' || kind === '7' || kind === 'S'
  if (!isFile && (size !== 0 || real !== 0)) {
    throw invalid(archive, 'a member that is no file has data')
  }
  return real
}

function memberOf(header: Header, archive: string): Member | null {
  const { block, kind, pax, longName, longLink } = header
  if (kind === 'V') return null
  const name = pax.get('GNU.sparse.name') ?? pax.get('path') ?? longName ?? nameOf(block)
  const type = typeOf(kind, name)
  if (type === null) throw invalid(archive, `member ${shown(name)} is of an unknown kind`)
  const path = confined(name, archive)
  const link = pax.get('linkpath') ?? longLink ?? cString(block.subarray(157, 257))
  return {
    path,
    truth: truthIn(block, pax, type, archive),
    linkTo: kind === '1' ? confined(link, archive) : null,
    size: header.size,
  }
}

function typeOf(kind: string, name: string): number | null {
  switch (kind) {
    case '0':
    case '\0':
      // Archives from before ustar mark a directory by its name alone.
      return name.endsWith('/') ? S.IFDIR : S.IFREG
    case '1':
    case '7':
    case 'S':
      return S.IFREG
    case '2':
      return S.IFLNK
    case '3':
      return S.IFCHR
    case '4':
      return S.IFBLK
    case '5':
      return S.IFDIR
    case '6':
      return S.IFIFO
    default:
      return null
  }
}

function truthIn(
  block: Buffer,
  pax: ReadonlyMap<string, string>,
  type: number,
  archive: string,
): Truth {
  const own = (key: string, at: number): number => {
    const text = pax.get(key)
    const id = text === undefined ? number(block, at, 8, archive) : decimal(text, archive)
    if (id >= NO_ID) throw invalid(archive, 'an owner is no owner')
    return id
  }
  const [mtime, mtimeNsec] = timeOf(pax.get('mtime'), archive) ?? [
    signedNumber(block, 136, 12, archive),
    0,
  ]
  const [atime, atimeNsec] = timeOf(pax.get('atime'), archive) ?? [mtime, mtimeNsec]
  const isDevice = type === S.IFCHR || type === S.IFBLK
  return {
    mode: type | (number(block, 100, 8, archive) & 0o7777),
    uid: own('uid', 108),
    gid: own('gid', 116),
    rdev: isDevice
      ? encodeDevice(number(block, 329, 8, archive), number(block, 337, 8, archive))
      : 0,
    atime,
    atimeNsec,
    mtime,
    mtimeNsec,
  }
}

/** A name of the archive as a path inside the tree. Throws where it leads outside. */
function confined(name: string, archive: string): RelPath {
  if (name.startsWith('/') || name.split('/').includes('..') || name.includes('\0')) {
    throw new Failure('SVS_ARCHIVE_ESCAPES', shown(name), archive)
  }
  return relPath(name)
}

function nameOf(block: Buffer): string {
  const name = cString(block.subarray(0, 100))
  // GNU's own format has times where ustar has the rest of the path.
  const isUstar = block.latin1Slice(257, 263) === 'ustar\0'
  const prefix = isUstar ? cString(block.subarray(345, 500)) : ''
  return prefix === '' ? name : `${prefix}/${name}`
}

function cString(bytes: Buffer): string {
  const end = bytes.indexOf(0)
  return bytes.latin1Slice(0, end === -1 ? bytes.length : end)
}

const padded = (size: number): number => Math.ceil(size / BLOCK) * BLOCK

const isEmpty = (block: Buffer): boolean => block.every((byte) => byte === 0)

function checkSum(block: Buffer, archive: string): void {
  let sum = 0
  for (let i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 0x20 : block[i]!
  if (sum !== number(block, 148, 8, archive)) throw invalid(archive, 'a header is damaged')
}

function number(block: Buffer, at: number, length: number, archive: string): number {
  const value = signedNumber(block, at, length, archive)
  if (value < 0) throw invalid(archive, 'a number is negative')
  return value
}

// Octal text, or (first bit set) big-endian binary with a sign: GNU's way for large numbers.
function signedNumber(block: Buffer, at: number, length: number, archive: string): number {
  const first = block[at]!
  if (first < 0x80) {
    const text = cString(block.subarray(at, at + length)).trim()
    if (!/^[0-7]*$/.test(text)) throw invalid(archive, 'a number is broken')
    return text === '' ? 0 : Number.parseInt(text, 8)
  }
  let value = (first & 0x40) === 0 ? BigInt(first & 0x7f) : BigInt(first) - 256n
  for (const byte of block.subarray(at + 1, at + length)) value = value * 256n + BigInt(byte)
  if (value > BigInt(Number.MAX_SAFE_INTEGER) || value < -BigInt(Number.MAX_SAFE_INTEGER)) {
    throw invalid(archive, 'a number is too large')
  }
  return Number(value)
}

function decimal(text: string, archive: string): number {
  const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(value)) throw invalid(archive, 'a number is broken')
  return value
}

// "-12.25" is 12 s before 1970 and a quarter more: second -13, 750000000 ns.
function timeOf(text: string | undefined, archive: string): [number, number] | null {
  if (text === undefined) return null
  const parts = /^(-?)([0-9]{1,15})(?:\.([0-9]*))?$/.exec(text)
  if (parts === null) throw invalid(archive, 'a time is broken')
  const seconds = Number(parts[2])
  const nanoseconds = Number(`${parts[3] ?? ''}000000000`.slice(0, 9))
  if (parts[1] === '') return [seconds, nanoseconds]
  return nanoseconds === 0 ? [-seconds, 0] : [-seconds - 1, 1_000_000_000 - nanoseconds]
}

const invalid = (archive: string, why: string): Failure =>
  new Failure('SVS_ARCHIVE_INVALID', archive, why)
