// How an index lies on disk: a header, then columns, each an array over the file's own bytes.
//
//   header   128 bytes: magic `svsfs-ix`, version u32, counts (entries, files, overrides, links),
//            CRC-32 of all the rest u32, bytes of content u64, root: backing inode u64,
//            birth second i64, birth nanosecond u32, device u32 (low bits); the tree's digest;
//            counts (directories, names, kinds, odd, bytes of names, bytes of targets); CRC-32 of
//            what index-top.ts reads u32 (0: none)
//
//   by number      row n is file n, row 0 and those of further names of a hard link are empty
//     inodes f64  sizes f64  blocks u32  atime mtime ctime 2 × u32 each
//     kinds u32   row of `kind`
//     below u32   of a directory: its row of `first` and `ownName`; of a link: where its target
//                 starts; of a file with more blocks than `blocks` holds: its row of `odd`
//   byInode u32    numbers by ascending inode
//   by directory   in the order of the walk
//     first u32   the first of its names; they end where the next directory's begin
//     ownName u32 the name that is the directory itself; of the root: all ones
//   by name        directory after directory, in each by bytes
//     nameAt u32  where its bytes start; they end where the next one's start
//     number u32  the file's
//   kind           8 u32: mode, uid, gid, device major and minor, block size, links, flags
//   odd            2 f64: a time (seconds, nanoseconds) or number of blocks that no column holds
//   override       5 u32: number (ascending), mode, uid, gid, device; all ones: as on disk
//   link           2 u32: number (ascending), name: all names of the files that have several
//   names, targets bytes
//
// A time is the low 32 bits of its seconds, and its nanoseconds with the epoch above them, as on
// ext4: 1901 to 2446. One outside has all ones for nanoseconds, and its row of `odd`.
//
// Rule: nothing read from an index is trusted before `readColumns` has seen that it fits together:
// every row that another names exists, and each directory lies in one that comes before it.

import { crc32 } from 'node:zlib'
import { Cursor, ShortMessage, Writer } from '../base/cursor.ts'
import { S } from '../host/sys.ts'
import type { TreeFacts } from './index-file.ts'
import { readTop, topChecksum } from './index-top.ts'

const MAGIC = 'svsfs-ix'
export const VERSION = 2
/** Of the header that all versions have: with the digest, without further counts. */
const FIRST = 96
export const HEADER = 128
const DIGEST = 32
const AT_CRC = 28
const AT_TOP = 120

/** Which tree an index belongs to: a copy's root is another file, born at another time. */
export interface Identity {
  readonly ino: number
  readonly birth: number
  readonly birthNsec: number
  readonly dev: number
}

/** How many rows, or bytes, each part has. */
export interface Counts {
  readonly entries: number
  readonly files: number
  readonly directories: number
  readonly names: number
  readonly kinds: number
  readonly odd: number
  readonly overrides: number
  readonly links: number
  readonly nameBytes: number
  readonly targetBytes: number
}

export interface Header {
  readonly version: number
  readonly facts: TreeFacts
  readonly identity: Identity
  readonly counts: Counts
}

export const KIND = 8
/** Columns of `kind`. */
export const MODE = 0
export const UID = 1
export const GID = 2
export const MAJOR = 3
export const MINOR = 4
export const BLKSIZE = 5
export const NLINK = 6
export const FLAGS = 7

export const OVERRIDE = 5
/** In an override: as on disk. The own name of the root, which has none. */
export const NONE = 0xffff_ffff
/** In place of nanoseconds, or of blocks: see `odd`. */
export const ODD_TIME = 0x3fff_ffff
export const ODD_BLOCKS = 0xffff_ffff

/** The columns of an index, as views of one buffer. */
export interface Columns {
  readonly inodes: Float64Array
  readonly sizes: Float64Array
  readonly odd: Float64Array
  readonly blocks: Uint32Array
  readonly atime: Uint32Array
  readonly atimeNsec: Uint32Array
  readonly mtime: Uint32Array
  readonly mtimeNsec: Uint32Array
  readonly ctime: Uint32Array
  readonly ctimeNsec: Uint32Array
  readonly kinds: Uint32Array
  readonly below: Uint32Array
  readonly byInode: Uint32Array
  readonly first: Uint32Array
  readonly ownName: Uint32Array
  readonly nameAt: Uint32Array
  readonly number: Uint32Array
  readonly kind: Uint32Array
  readonly overrides: Uint32Array
  readonly links: Uint32Array
  readonly names: Buffer
  readonly targets: Buffer
}

/** The columns that have a row for each number. */
export const FILE_COLUMNS = [
  'inodes',
  'sizes',
  'blocks',
  'atime',
  'atimeNsec',
  'mtime',
  'mtimeNsec',
  'ctime',
  'ctimeNsec',
  'kinds',
  'below',
] as const

/** The columns over a buffer that is as long as `sizeOf` says. */
function columnsOver(bytes: Buffer, counts: Counts): Columns {
  const { entries, files, directories, names, kinds, odd, overrides, links } = counts
  const { buffer } = bytes
  let at = bytes.byteOffset + HEADER
  const take = (size: number): number => {
    at += size
    return at - size
  }
  const f64 = (rows: number) => new Float64Array(buffer, take(rows * 8), rows)
  const u32 = (rows: number) => new Uint32Array(buffer, take(rows * 4), rows)
  const text = (length: number) => Buffer.from(buffer, take(length), length)
  const rows = entries + 1
  return {
    inodes: f64(rows),
    sizes: f64(rows),
    odd: f64(odd * 2),
    blocks: u32(rows),
    atime: u32(rows),
    atimeNsec: u32(rows),
    mtime: u32(rows),
    mtimeNsec: u32(rows),
    ctime: u32(rows),
    ctimeNsec: u32(rows),
    kinds: u32(rows),
    below: u32(rows),
    byInode: u32(files),
    first: u32(directories + 1),
    ownName: u32(directories),
    nameAt: u32(names + 1),
    number: u32(names),
    kind: u32(kinds * KIND),
    overrides: u32(overrides * OVERRIDE),
    links: u32(links * 2),
    names: text(counts.nameBytes),
    targets: text(counts.targetBytes),
  }
}

/** Bytes of a whole index. */
export function sizeOf(counts: Counts): number {
  const { entries, files, directories, names, kinds, odd, overrides, links } = counts
  const words =
    9 * (entries + 1) +
    files +
    (2 * directories + 1) +
    (2 * names + 1) +
    kinds * KIND +
    overrides * OVERRIDE +
    links * 2
  const doubles = 2 * (entries + 1) + odd * 2
  return HEADER + doubles * 8 + words * 4 + counts.nameBytes + counts.targetBytes
}

/** A new index: `fill` writes its columns. */
export function writeIndex(
  facts: TreeFacts,
  identity: Identity,
  counts: Counts,
  fill: (columns: Columns) => void,
): Buffer {
  const bytes = Buffer.alloc(sizeOf(counts))
  const out = new Writer(bytes)
  out.name(MAGIC)
  for (const word of [VERSION, facts.entries, counts.files, counts.overrides, counts.links, 0])
    out.u32(word)
  for (const long of [facts.bytes, identity.ino, identity.birth]) out.u64(long)
  out.u32(identity.birthNsec)
  out.u32(identity.dev)
  out.put(Buffer.from(facts.digest, 'hex'))
  const { directories, names, kinds, odd, nameBytes, targetBytes } = counts
  for (const word of [directories, names, kinds, odd, nameBytes, targetBytes]) out.u32(word)
  const columns = columnsOver(bytes, counts)
  fill(columns)
  out.at = AT_TOP
  out.u32(topChecksum(columns, headerChecksum(bytes)))
  out.at = AT_CRC
  out.u32(checksum(bytes))
  return bytes
}

const checksum = (bytes: Buffer): number =>
  crc32(bytes.subarray(AT_CRC + 4), crc32(bytes.subarray(0, AT_CRC)))

const headerChecksum = (bytes: Buffer): number =>
  crc32(bytes.subarray(AT_CRC + 4, AT_TOP), crc32(bytes.subarray(0, AT_CRC)))

/**
 * The columns of an index of which only the top is read from its file, and the numbers that they
 * answer for; null where the whole is needed. Throws ShortMessage, or Errno.
 */
export function openTop(
  fd: number,
  header: Buffer,
): { columns: Columns; numbers: ReadonlySet<number> } | null {
  const { counts } = readHeader(header)
  const wanted = header.readUInt32LE(AT_TOP)
  if (wanted === 0) return null
  // As long as the file, of which next to nothing is touched.
  const bytes = Buffer.alloc(sizeOf(counts))
  const columns = columnsOver(bytes, counts)
  const numbers = readTop(fd, columns, bytes.byteOffset, headerChecksum(header), wanted)
  if (numbers === null) return null
  for (const n of numbers) checkFile(columns, counts, n)
  checkNames(columns, columns.first[1]!)
  return { columns, numbers }
}

/** What an index of any version begins with. Throws ShortMessage. */
export function readHeader(bytes: Buffer): Header {
  const cursor = new Cursor(bytes)
  if (cursor.take(8).latin1Slice() !== MAGIC) throw new ShortMessage('no index')
  const version = cursor.u32()
  if (version === 0 || version > VERSION)
    throw new ShortMessage(`format ${version}, this svsfs reads 1 to ${VERSION}`)
  const entries = cursor.u32()
  const files = cursor.u32()
  const overrides = cursor.u32()
  const links = cursor.u32()
  cursor.skip(4)
  const size = cursor.u64()
  const ino = cursor.u64()
  const birth = cursor.i64()
  const identity = { ino, birth, birthNsec: cursor.u32(), dev: cursor.u32() }
  const digest = cursor.take(DIGEST).toString('hex')
  const further = version === 1 ? () => 0 : () => cursor.u32()
  const counts = {
    entries,
    files,
    overrides,
    links,
    directories: further(),
    names: further(),
    kinds: further(),
    odd: further(),
    nameBytes: further(),
    targetBytes: further(),
  }
  return { version, facts: { digest, entries, bytes: size }, identity, counts }
}

/** The rows of overrides of an index of version 1; of its tree nothing else is left to know. */
export function readFirstOverrides(bytes: Buffer, { files, overrides }: Counts): Uint32Array {
  const cursor = new Cursor(bytes).reset(FIRST, bytes.length)
  cursor.skip(files * 12)
  if (overrides * OVERRIDE * 4 > cursor.left) throw new ShortMessage('cut off')
  return Uint32Array.from({ length: overrides * OVERRIDE }, () => cursor.u32())
}

/** The columns of a whole index. Throws ShortMessage where they are damaged. */
export function readColumns(bytes: Buffer, counts: Counts): Columns {
  if (sizeOf(counts) !== bytes.length) throw new ShortMessage('cut off')
  if (checksum(bytes) !== bytes.readUInt32LE(AT_CRC)) throw new ShortMessage('wrong checksum')
  const columns = columnsOver(bytes, counts)
  checkFiles(columns, counts)
  holds(columns.nameAt.at(-1) === columns.names.length, 'names end elsewhere')
  checkNames(columns, columns.number.length)
  checkTree(columns)
  return columns
}

function holds(fits: boolean, what: string): void {
  if (!fits) throw new ShortMessage(what)
}

function checkFiles(columns: Columns, counts: Counts): void {
  const { byInode, links, overrides } = columns
  const { entries } = counts
  holds(columns.kind.length > 0 && entries > 0, 'no files')
  for (let n = 0; n <= entries; n++) checkFile(columns, counts, n)
  for (const n of byInode) holds(n > 0 && n <= entries, 'no such file')
  for (let at = 0; at < links.length; at += 2) {
    holds(links[at]! <= entries && links[at + 1]! < columns.number.length, 'no such link')
  }
  for (let at = 0; at < overrides.length; at += OVERRIDE)
    holds(overrides[at]! <= entries, 'override of nothing')
}

function checkFile(columns: Columns, { targetBytes, odd }: Counts, n: number): void {
  const { kinds, kind, below, blocks, sizes, atime, mtime, ctime } = columns
  holds(kinds[n]! * KIND < kind.length, 'no such kind')
  const type = kind[kinds[n]! * KIND]! & S.IFMT
  if (type === S.IFLNK)
    holds(sizes[n]! >= 0 && below[n]! + sizes[n]! <= targetBytes, 'no such target')
  if (type === S.IFREG && blocks[n] === ODD_BLOCKS) holds(below[n]! < odd, 'no such blocks')
  const isOdd = (high: Uint32Array) => (high[n]! & ODD_TIME) === ODD_TIME
  if (isOdd(columns.atimeNsec)) holds(atime[n]! < odd, 'no such time')
  if (isOdd(columns.mtimeNsec)) holds(mtime[n]! < odd, 'no such time')
  if (isOdd(columns.ctimeNsec)) holds(ctime[n]! < odd, 'no such time')
}

function checkNames({ nameAt, names, number, inodes }: Columns, rows: number): void {
  const all = names.subarray(0, nameAt[rows])
  holds(!all.includes(0) && !all.includes(0x2f), 'no such name')
  holds(nameAt[0] === 0, 'names end elsewhere')
  for (let row = 0; row < rows; row++) {
    const start = nameAt[row]!
    const length = nameAt[row + 1]! - start
    holds(length > 0 && length <= 255, 'no such name')
    const dots =
      names[start] === 0x2e && (length === 1 || (length === 2 && names[start + 1] === 0x2e))
    holds(!dots && number[row]! > 0 && number[row]! < inodes.length, 'no such name')
  }
}

// One walk over all names: a directory is met once, after the one that it lies in.
function checkTree({ first, ownName, number, kinds, kind, below }: Columns): void {
  const isDirectory = (n: number) => (kind[kinds[n]! * KIND]! & S.IFMT) === S.IFDIR
  holds(ownName.length > 0 && ownName[0] === NONE, 'no root')
  holds(isDirectory(1) && below[1] === 0, 'no root')
  holds(first[0] === 0 && first.at(-1) === number.length, 'names of no directory')
  let met = 1
  for (let dir = 0; dir < ownName.length; dir++) {
    const end = first[dir + 1]!
    holds(end >= first[dir]! && end <= number.length, 'names of no directory')
    for (let row = first[dir]!; row < end; row++) {
      const n = number[row]!
      if (!isDirectory(n)) continue
      const child = below[n]!
      holds(child > dir && child < ownName.length && ownName[child] === row, 'no such directory')
      met += 1
    }
  }
  holds(met === ownName.length, 'a directory without a name')
}
