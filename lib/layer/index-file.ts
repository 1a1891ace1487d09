// The index of a read-only sublayer, `ro/<version>.index`: names, attributes, numbers and links
// of all its files, what the disk could not hold of them, and the tree's digest.
//
//   publishIndex ─▶ index-build.ts ─▶ bytes (index-format.ts) ─▶ openIndex ─▶ index-tables.ts
//                                               its top alone (index-top.ts) ─▶ index-tables.ts
//
// A number is a file's position in the walk (walk.ts), from 1; the further names of a hard-linked
// file share its first name's. So numbers follow from the tree alone: where the tree was copied
// (its root is another inode), or the index is of version 1, one walk makes it anew.
//
// Rule: an index is written once, beside a tree that never changes. A higher version is refused.

import { ShortMessage } from '../base/cursor.ts'
import { Failure } from '../base/failure.ts'
import { parentPath, type RelPath, shown } from '../base/path.ts'
import { readWhole, writeWhole } from '../host/file.ts'
import { Stat } from '../host/stat.ts'
import { AT_FDCWD, must, O, sys } from '../host/sys.ts'
import { Accesses, accessesOf } from './accesses.ts'
import { digestTree } from './digest.ts'
import { encodeIndex, gather, overrideRows } from './index-build.ts'
import {
  HEADER,
  type Header,
  type Identity,
  openTop,
  readColumns,
  readFirstOverrides,
  readHeader,
  sizeOf,
  VERSION,
} from './index-format.ts'
import { IndexTables } from './index-tables.ts'
import type { Override, Overrides } from './layer.ts'

/** What is known of a read-only sublayer as a whole. */
export interface TreeFacts {
  /** SHA-256 in hex over everything that the tree holds: the same tree, the same digest. */
  readonly digest: string
  /** Names, the root's among them. */
  readonly entries: number
  /** Bytes of all regular files, each hard-linked file once. */
  readonly bytes: number
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
    const found = gather(root, overrides)
    const facts = { digest, bytes, entries: found.entries }
    writeWhole(index, encodeIndex(facts, identityOf(root), found, overrideRows(found, overrides)))
    return facts
  } finally {
    sys.close(root)
  }
}

/** Digest, names and size, without loading the tables. */
export function readTreeFacts(index: string): TreeFacts {
  return headerOf(index).facts
}

function headerOf(index: string): Header {
  return intact(index, () => readHeader(readWhole(index, HEADER)))
}

/**
 * Opens the index of the tree behind the descriptor `root`. Throws SVS_TREE_DAMAGED, or at the
 * first question.
 */
export const openIndex = (index: string, root: number): TreeIndex => new TreeIndex(index, root)

/** The index of one tree, as the union asks it. */
export class TreeIndex implements TreeFacts {
  readonly digest: string
  readonly entries: number
  readonly bytes: number
  readonly #path: string
  readonly #root: number
  readonly #accesses: Accesses
  readonly #overrides: number
  #tables: IndexTables | null = null
  /** Tables of which the top alone is read, and for which numbers; null where not, undefined before. */
  #top: Top | null | undefined
  #damage: unknown = null

  constructor(path: string, root: number) {
    const { facts, version, counts } = headerOf(path)
    const { digest, entries, bytes } = facts
    this.digest = digest
    this.entries = entries
    this.bytes = bytes
    this.#path = path
    this.#root = root
    this.#overrides = counts.overrides
    if (version !== VERSION) this.#top = null
    this.#accesses = new Accesses(accessesOf(path))
    if (version === VERSION) intact(path, () => mustBeWhole(path, sizeOf(counts)))
  }

  /** Its tables: loaded at the first question. A tree that was copied is walked once for them. */
  get tables(): IndexTables {
    return this.#tables ?? this.#load()
  }

  /** The tables that know a name of a directory, and the directory: of the tree's own, without the rest. */
  tablesAt(directory: RelPath): IndexTables {
    if (this.#tables !== null) return this.#tables
    return directory === '' ? (this.#openedTop()?.tables ?? this.tables) : this.tables
  }

  /** The tables that know a file by its number. */
  tablesOf(number: number): IndexTables {
    if (this.#tables !== null) return this.#tables
    const top = this.#openedTop()
    return top?.numbers.has(number) ? top.tables : this.tables
  }

  /** The number of a directory by its path; 0 where the tree has no such directory. */
  directory(path: RelPath): number {
    return this.tablesAt(parentPath(path)).directory(path)
  }

  #openedTop(): Top | null {
    if (this.#top !== undefined) return this.#top
    this.#top = loadTop(this.#path, this.#root)
    if (this.#top !== null) this.#accesses.load(this.#top.tables)
    return this.#top
  }

  #load(): IndexTables {
    if (this.#damage !== null) throw this.#damage
    try {
      const tables = loadTables(this.#path, this.#root)
      if (this.#top) this.#accesses.move(this.#top.tables, tables)
      else this.#accesses.load(tables)
      this.#tables = tables
      return tables
    } catch (err) {
      // Not read again for every request.
      this.#damage = err
      throw err
    } finally {
      this.#top = null
    }
  }

  /** The number of a file by its inode on the disk; 0 where the tree has no such file. */
  number(ino: number): number {
    return this.tables.numberOf(ino)
  }

  /** All names of a file that has several, in the order of the walk; null for any other. */
  names(ino: number): readonly RelPath[] | null {
    return this.tables.paths(this.number(ino))
  }

  /** True where a name of a hard-linked file is the path or lies below it. */
  linkedWithin(path: RelPath): boolean {
    return this.tables.linkedWithin(path)
  }

  /** What the disk could not hold of a file (an ordinary user's import); null for most. */
  override(ino: number): Override | null {
    return this.#override(0, ino)
  }

  /** The same, of the file with these attributes. */
  overrideOf({ position, ino }: Stat): Override | null {
    return this.#override(position, ino)
  }

  /** A program read a file of the tree, listed a directory or followed a link. */
  accessed(number: number): void {
    this.#accesses.note(this.tablesOf(number), number)
  }

  /** The kernel may have read a file by itself: its attributes as the disk says them. */
  learnAccess(number: number, from: Stat): void {
    if (number !== 0) this.#accesses.learn(this.tables, number, from)
  }

  /** Sets the time of the last access in what the disk says of a file of the tree. */
  showAccess(into: Stat): void {
    if (!this.#accesses.isEmpty) this.#accesses.show(this.tables, this.number(into.ino), into)
  }

  /** Writes down what programs accessed. */
  close(): void {
    const tables = this.#tables ?? this.#top?.tables
    if (tables !== undefined) this.#accesses.close(tables)
  }

  #override(position: number, ino: number): Override | null {
    if (this.#overrides === 0) return null
    const { tables } = this
    return tables.override(position === 0 ? tables.numberOf(ino) : position)
  }
}

const stat = new Stat()

function identityOf(root: number): Identity {
  must(sys.stat(root, '', stat), 'stat')
  const { ino, btime: birth, btimeNsec: birthNsec, dev } = stat
  return { ino, birth, birthNsec, dev: dev % 2 ** 32 }
}

// Device numbers may change with a reboot, births do not: they decide where the disk has them.
function sameTree(a: Identity, b: Identity): boolean {
  if (a.ino !== b.ino || a.birth !== b.birth || a.birthNsec !== b.birthNsec) return false
  return a.birth !== 0 || a.dev === b.dev
}

interface Top {
  readonly tables: IndexTables
  readonly numbers: ReadonlySet<number>
}

// Of a tree that was copied, or an index that is damaged, all is loaded: that knows what to do.
function loadTop(index: string, root: number): Top | null {
  const fd = must(sys.openat(AT_FDCWD, index, O.RDONLY), shown(index))
  try {
    const header = Buffer.alloc(HEADER)
    if (must(sys.pread(fd, header, HEADER, 0), 'index') !== HEADER) return null
    if (!sameTree(readHeader(header).identity, identityOf(root))) return null
    const dev = [stat.devMajor, stat.devMinor] as const
    const top = openTop(fd, header)
    return top && { tables: new IndexTables(top.columns, dev), numbers: top.numbers }
  } catch (err) {
    if (err instanceof ShortMessage) return null
    throw err
  } finally {
    sys.close(fd)
  }
}

function loadTables(index: string, root: number): IndexTables {
  const bytes = readWhole(index)
  const here = identityOf(root)
  const dev = [stat.devMajor, stat.devMinor] as const
  const open = (whole: Buffer) =>
    intact(index, () => new IndexTables(readColumns(whole, readHeader(whole).counts), dev))
  const { version, identity, facts, counts } = intact(index, () => readHeader(bytes))
  const tables = version === VERSION ? open(bytes) : null
  if (tables !== null && sameTree(identity, here)) return tables
  const overrides =
    tables?.columns.overrides ?? intact(index, () => readFirstOverrides(bytes, counts))
  const found = gather(root)
  if (found.entries !== facts.entries) {
    throw new Failure('SVS_TREE_DAMAGED', shown(index), 'it holds other names than its index')
  }
  const renewed = encodeIndex(facts, here, found, overrides)
  try {
    writeWhole(index, renewed)
  } catch {
    // A store on a read-only disk, or somebody else's: the walk is repeated next time.
  }
  return open(renewed)
}

function mustBeWhole(index: string, size: number): void {
  must(sys.stat(AT_FDCWD, index, stat), shown(index))
  if (stat.size !== size) throw new ShortMessage('cut off')
}

// A broken index is damage with a name, never a RangeError of a reader.
function intact<T>(index: string, read: () => T): T {
  try {
    return read()
  } catch (err) {
    if (!(err instanceof ShortMessage)) throw err
    throw new Failure('SVS_TREE_DAMAGED', shown(index), err.message, { cause: err })
  }
}
