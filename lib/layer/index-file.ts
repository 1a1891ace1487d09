// The index of a read-only sublayer, `ro/<version>.index`: which number each file has, where
// hard links meet, what the disk could not hold of a file, and the tree's digest.
//
//   header   64 bytes: magic `svsfs-ix`, version u32, entries u32, files u32, overrides u32,
//            groups u32, 0 u32, bytes of content u64, root: backing inode u64,
//            birth second u64, birth nanosecond u32, device u32 (low bits)
//   digest   32 bytes
//   inodes   files × u64: backing inode numbers, ascending
//   numbers  files × u32: the number of each
//   override overrides × 5 u32: number (ascending), mode, uid, gid, device; all ones: as on disk
//   groups   per hard-linked file: number u32, names u32, then each name: length u32, bytes
//
// A number is a file's position in the walk (walk.ts), from 1; the further names of a hard-linked
// file share its first name's. So numbers follow from the tree alone: where the tree was copied
// (its root is another inode), only the column of inodes is wrong, and one walk renews it.
//
// Rule: an index is written once, beside a tree that never changes. A higher version is refused.

import { Cursor, ShortMessage, Writer } from '../base/cursor.ts'
import { Failure } from '../base/failure.ts'
import { isWithin, type RelPath, relPath, shown } from '../base/path.ts'
import { readWhole, writeWhole } from '../host/file.ts'
import { Stat } from '../host/stat.ts'
import { AT_FDCWD, must, O, S, sys } from '../host/sys.ts'
import { goOn } from './breath.ts'
import { digestTree } from './digest.ts'
import type { Override, Overrides } from './layer.ts'
import { walk } from './walk.ts'

const MAGIC = 'svsfs-ix'
const VERSION = 1
const HEADER = 64
const DIGEST = 32
const AS_ON_DISK = 0xffff_ffff

/** What is known of a read-only sublayer as a whole. */
export interface TreeFacts {
  /** SHA-256 in hex over everything that the tree holds: the same tree, the same digest. */
  readonly digest: string
  /** Names, the root's among them. */
  readonly entries: number
  /** Bytes of all regular files, each hard-linked file once. */
  readonly bytes: number
}

/** The index of one tree, as the union asks it: once a lookup, without allocation. */
export interface TreeIndex extends TreeFacts {
  /** The number of a file by its inode on the disk; 0 where the tree has no such file. */
  number(ino: number): number
  /** All names of a file that has several, in the order of the walk; null for any other. */
  names(ino: number): readonly RelPath[] | null
  /** True where a name of a hard-linked file is the path or lies below it. */
  linkedWithin(path: string): boolean
  /** What the disk could not hold of a file (an ordinary user's import); null for most. */
  override(ino: number): Override | null
}

/**
 * Walks a finished tree, and writes its index (flushed, then renamed into place). Gives way to
 * other work while it reads. `overrides` are what an import could not put on the disk.
 */
export async function publishIndex(
  tree: string,
  index: string,
  overrides: Overrides = new Map(),
): Promise<TreeFacts> {
  const root = must(sys.openat(AT_FDCWD, tree, O.RDONLY | O.DIRECTORY), shown(tree))
  try {
    const { digest, bytes } = await digestTree(root, overrides)
    const found = numberTree(root, overrides)
    const facts = { digest, bytes, entries: found.entries }
    writeWhole(index, encode(facts, found, overridesByNumber(found, overrides), identityOf(root)))
    return facts
  } finally {
    sys.close(root)
  }
}

/** Digest, names and size, without loading the tables. */
export function readTreeFacts(index: string): TreeFacts {
  return readHeader(readWhole(index, HEADER + DIGEST), index)
}

/**
 * Opens the index of the tree behind the descriptor `root`; the tables are loaded at the first
 * question. A tree that was copied is walked once, and its index written anew where that is possible.
 */
export function openIndex(index: string, root: number): TreeIndex {
  const facts = readTreeFacts(index)
  const load = (): Tables => (tables ??= loadTables(index, root))
  let tables: Tables | null = null
  return {
    ...facts,
    number: (ino) => numberIn(load(), ino),
    names: (ino) => load().groups.get(numberIn(load(), ino)) ?? null,
    override: (ino) => overrideIn(load(), ino),
    linkedWithin: (path) => linkedWithin(load().groups, path),
  }
}

function linkedWithin(groups: Tables['groups'], path: string): boolean {
  for (const names of groups.values()) if (names.some((name) => isWithin(name, path))) return true
  return false
}

interface Tables {
  readonly inodes: Float64Array
  readonly numbers: Uint32Array
  /** Rows of five: number, mode, uid, gid, device. */
  readonly overrides: Uint32Array
  readonly groups: ReadonlyMap<number, readonly RelPath[]>
}

function numberIn({ inodes, numbers }: Tables, ino: number): number {
  let low = 0
  let high = inodes.length - 1
  while (low <= high) {
    const middle = (low + high) >>> 1
    const here = inodes[middle]!
    if (here === ino) return numbers[middle]!
    if (here < ino) low = middle + 1
    else high = middle - 1
  }
  return 0
}

function overrideIn(tables: Tables, ino: number): Override | null {
  const rows = tables.overrides
  if (rows.length === 0) return null
  const number = numberIn(tables, ino)
  let low = 0
  let high = rows.length / 5 - 1
  while (low <= high) {
    const middle = (low + high) >>> 1
    const here = rows[middle * 5]!
    if (here === number) return overrideAt(rows, middle * 5)
    if (here < number) low = middle + 1
    else high = middle - 1
  }
  return null
}

function overrideAt(rows: Uint32Array, at: number): Override {
  const override: { -readonly [Field in keyof Override]: Override[Field] } = {}
  if (rows[at + 1] !== AS_ON_DISK) override.mode = rows[at + 1]!
  if (rows[at + 2] !== AS_ON_DISK) override.uid = rows[at + 2]!
  if (rows[at + 3] !== AS_ON_DISK) override.gid = rows[at + 3]!
  if (rows[at + 4] !== AS_ON_DISK) override.rdev = rows[at + 4]!
  return override
}

/** What one walk finds: the inode of each number, and who has several names. */
interface Numbered {
  readonly entries: number
  readonly inodes: Float64Array
  readonly numbers: Uint32Array
  readonly groups: Map<number, readonly RelPath[]>
  /** Numbers of the files that have overrides. */
  readonly overridden: ReadonlyMap<RelPath, number>
}

function numberTree(root: number, overrides: Overrides = new Map()): Numbered {
  const byInode = new Map<number, number>()
  const names = new Map<number, RelPath[]>()
  const overridden = new Map<RelPath, number>()
  let entries = 0
  for (const { path, stat } of walk(root)) {
    goOn()
    entries += 1
    const number = byInode.get(stat.ino) ?? entries
    byInode.set(stat.ino, number)
    if (overrides.has(path)) overridden.set(path, number)
    if (stat.nlink > 1 && (stat.mode & S.IFMT) !== S.IFDIR) {
      const group = names.get(number)
      if (group === undefined) names.set(number, [path])
      else group.push(path)
    }
  }
  const inodes = Float64Array.from(byInode.keys()).sort()
  return {
    entries,
    inodes,
    numbers: Uint32Array.from(inodes, (ino) => byInode.get(ino)!),
    groups: new Map([...names].filter(([, group]) => group.length > 1)),
    overridden,
  }
}

function overridesByNumber(found: Numbered, overrides: Overrides): Uint32Array {
  const rows = new Map<number, Override>()
  for (const [path, override] of overrides) {
    const number = found.overridden.get(path)
    if (number === undefined) throw new TypeError(`override of nothing: ${shown(path)}`)
    rows.set(number, override)
  }
  const sorted = [...rows].sort(([a], [b]) => a - b)
  return Uint32Array.from(
    sorted.flatMap(([number, { mode, uid, gid, rdev }]) => [
      number,
      mode ?? AS_ON_DISK,
      uid ?? AS_ON_DISK,
      gid ?? AS_ON_DISK,
      rdev ?? AS_ON_DISK,
    ]),
  )
}

/** Which tree an index belongs to: a copy's root is another file, born at another time. */
interface Identity {
  readonly ino: number
  readonly birth: number
  readonly birthNsec: number
  readonly dev: number
}

function identityOf(root: number): Identity {
  const stat = new Stat()
  must(sys.stat(root, '', stat), 'stat')
  const { ino, btime: birth, btimeNsec: birthNsec, dev } = stat
  return { ino, birth, birthNsec, dev: dev % 2 ** 32 }
}

// Device numbers may change with a reboot, births do not: they decide where the disk has them.
function sameTree(a: Identity, b: Identity): boolean {
  if (a.ino !== b.ino || a.birth !== b.birth || a.birthNsec !== b.birthNsec) return false
  return a.birth !== 0 || a.dev === b.dev
}

function loadTables(index: string, root: number): Tables {
  const bytes = readWhole(index)
  const { facts, identity, tables } = decode(bytes, index)
  const here = identityOf(root)
  if (sameTree(identity, here)) return tables
  const found = numberTree(root)
  if (found.entries !== facts.entries) {
    throw new Failure('SVS_TREE_DAMAGED', shown(index), 'it holds other names than its index')
  }
  try {
    writeWhole(index, encode(facts, found, tables.overrides, here))
  } catch {
    // A store on a read-only disk, or somebody else's: the walk is repeated next time.
  }
  return { ...found, overrides: tables.overrides }
}

function encode(
  facts: TreeFacts,
  found: Pick<Numbered, 'inodes' | 'numbers' | 'groups'>,
  overrides: Uint32Array,
  root: Identity,
): Buffer {
  const { inodes, numbers, groups } = found
  let size = HEADER + DIGEST + inodes.length * 12 + overrides.length * 4
  for (const names of groups.values()) {
    size += names.reduce((sum, name) => sum + 4 + name.length, 8)
  }
  const out = new Writer(Buffer.alloc(size))
  out.name(MAGIC)
  out.u32(VERSION)
  out.u32(facts.entries)
  out.u32(inodes.length)
  out.u32(overrides.length / 5)
  out.u32(groups.size)
  out.u32(0)
  out.u64(facts.bytes)
  out.u64(root.ino)
  out.u64(root.birth)
  out.u32(root.birthNsec)
  out.u32(root.dev)
  out.put(Buffer.from(facts.digest, 'hex'))
  for (const ino of inodes) out.u64(ino)
  for (const number of numbers) out.u32(number)
  for (const word of overrides) out.u32(word)
  for (const [number, names] of groups) {
    out.u32(number)
    out.u32(names.length)
    for (const name of names) {
      out.u32(name.length)
      out.name(name)
    }
  }
  return out.bytes
}

interface Header extends TreeFacts {
  readonly files: number
  readonly overrides: number
  readonly groups: number
  readonly identity: Identity
}

function readHeader(bytes: Buffer, index: string): Header {
  return bounded(index, () => {
    const cursor = new Cursor(bytes)
    if (cursor.take(8).latin1Slice() !== MAGIC) throw new ShortMessage('no index')
    const version = cursor.u32()
    if (version !== VERSION)
      throw new ShortMessage(`format ${version}, this svsfs reads ${VERSION}`)
    const entries = cursor.u32()
    const files = cursor.u32()
    const overrides = cursor.u32()
    const groups = cursor.u32()
    cursor.skip(4)
    const size = cursor.u64()
    const identity = {
      ino: cursor.u64(),
      birth: cursor.i64(),
      birthNsec: cursor.u32(),
      dev: cursor.u32(),
    }
    const digest = cursor.take(DIGEST).toString('hex')
    return { digest, entries, bytes: size, files, overrides, groups, identity }
  })
}

function decode(
  bytes: Buffer,
  index: string,
): { facts: TreeFacts; identity: Identity; tables: Tables } {
  const {
    digest,
    entries,
    bytes: size,
    files,
    overrides,
    groups,
    identity,
  } = readHeader(bytes, index)
  const tables = bounded(index, () => {
    const cursor = new Cursor(bytes).reset(HEADER + DIGEST, bytes.length)
    if (files * 12 + overrides * 20 > cursor.left) throw new ShortMessage('cut off')
    const inodes = new Float64Array(files)
    for (let i = 0; i < files; i++) inodes[i] = cursor.u64()
    const numbers = new Uint32Array(files)
    for (let i = 0; i < files; i++) numbers[i] = cursor.u32()
    const rows = new Uint32Array(overrides * 5)
    for (let i = 0; i < rows.length; i++) rows[i] = cursor.u32()
    return { inodes, numbers, overrides: rows, groups: readGroups(cursor, groups) }
  })
  return { facts: { digest, entries, bytes: size }, identity, tables }
}

function readGroups(cursor: Cursor, count: number): Map<number, readonly RelPath[]> {
  const groups = new Map<number, readonly RelPath[]>()
  for (let i = 0; i < count; i++) {
    const number = cursor.u32()
    const names: RelPath[] = []
    for (let left = cursor.u32(); left > 0; left--) {
      names.push(nameIn(cursor.take(cursor.u32()).latin1Slice()))
    }
    groups.set(number, names)
  }
  return groups
}

function nameIn(text: string): RelPath {
  if (text.includes('\0') || text.split('/').includes('..')) throw new ShortMessage('no such name')
  return relPath(text)
}

// A broken index is damage with a name, never a RangeError of a reader.
function bounded<T>(index: string, read: () => T): T {
  try {
    return read()
  } catch (err) {
    if (!(err instanceof ShortMessage)) throw err
    throw new Failure('SVS_TREE_DAMAGED', shown(index), err.message, { cause: err })
  }
}
