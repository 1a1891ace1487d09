// The loaded index of a published tree, as it is asked: what a name in a directory is, what a
// file's attributes are, what a directory lists. No system call, and no object for a file.
//
//   number   a file of the tree; 1 is the root, 0 none
//   row      one name of a directory; names of one directory follow each other
//
// Rule: a tree is never changed, so nothing here is, but for access times (accesses.ts).

import { baseName, parentPath, type RelPath, ROOT } from '../base/path.ts'
import type { IndexedStat, Stat } from '../host/stat.ts'
import { S } from '../host/sys.ts'
import {
  BLKSIZE,
  type Columns,
  FLAGS,
  GID,
  KIND,
  MAJOR,
  MINOR,
  MODE,
  NLINK,
  NONE,
  ODD_BLOCKS,
  ODD_TIME,
  OVERRIDE,
  UID,
} from './index-format.ts'
import type { Override } from './layer.ts'

/** What `flags` says that a file has of extended attributes. */
export const HAS = { any: 1, accessList: 2, defaultList: 4, capability: 8 } as const

/** Directories whose numbers are remembered by path. */
const MOST_PATHS = 4096

const HIGH = 0x1_0000_0000
const DAY = 24 * 60 * 60

export class IndexTables {
  readonly columns: Columns
  readonly #dev: readonly [major: number, minor: number]
  readonly #paths = new Map<string, number>()
  readonly #stat = emptyStat()

  /** `dev` is the device that the tree lies on now. */
  constructor(columns: Columns, dev: readonly [major: number, minor: number]) {
    this.columns = columns
    this.#dev = dev
  }

  /** The number of a file by its inode on the disk; 0 where the tree has no such file. */
  numberOf(ino: number): number {
    const { byInode, inodes } = this.columns
    let low = 0
    let high = byInode.length - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const number = byInode[middle]!
      const here = inodes[number]!
      if (here === ino) return number
      if (here < ino) low = middle + 1
      else high = middle - 1
    }
    return 0
  }

  /** The number of a directory by its path; 0 where the tree has no such directory. */
  directory(path: RelPath): number {
    if (path === '') return 1
    const known = this.#paths.get(path)
    if (known !== undefined) return known
    let number = 1
    for (let start = 0; start <= path.length && number !== 0; ) {
      const slash = path.indexOf('/', start)
      const end = slash === -1 ? path.length : slash
      number = this.child(number, path.slice(start, end))
      if (number !== 0 && !this.isDirectory(number)) number = 0
      start = end + 1
    }
    if (this.#paths.size >= MOST_PATHS) this.#paths.clear()
    this.#paths.set(path, number)
    return number
  }

  /** The number of a name in a directory; 0 where it is absent. */
  child(directory: number, name: string): number {
    const row = this.#row(directory, name)
    return row === -1 ? 0 : this.columns.number[row]!
  }

  #row(directory: number, name: string): number {
    if (directory === 0) return -1
    const { first, below } = this.columns
    let low = first[below[directory]!]!
    let high = first[below[directory]! + 1]! - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const order = this.#compare(middle, name)
      if (order === 0) return middle
      if (order < 0) low = middle + 1
      else high = middle - 1
    }
    return -1
  }

  // Byte by byte, as the names are sorted.
  #compare(row: number, name: string): number {
    const { names, nameAt } = this.columns
    const start = nameAt[row]!
    const length = nameAt[row + 1]! - start
    const both = Math.min(length, name.length)
    for (let at = 0; at < both; at++) {
      const order = names[start + at]! - name.charCodeAt(at)
      if (order !== 0) return order
    }
    return length - name.length
  }

  /** The rows of a directory's names: from the first up to, not including, the second. */
  rows(directory: number): readonly [start: number, end: number] {
    const { first, below } = this.columns
    const at = below[directory]!
    return [first[at]!, first[at + 1]!]
  }

  nameAt(row: number): string {
    const { names, nameAt } = this.columns
    return names.latin1Slice(nameAt[row]!, nameAt[row + 1]!)
  }

  numberAt(row: number): number {
    return this.columns.number[row]!
  }

  mode(number: number): number {
    return this.#kind(number, MODE)
  }

  isDirectory(number: number): boolean {
    return (this.mode(number) & S.IFMT) === S.IFDIR
  }

  /** Which extended attributes the file has: bits of HAS. */
  flags(number: number): number {
    return this.#kind(number, FLAGS)
  }

  #kind(number: number, column: number): number {
    const { kind, kinds } = this.columns
    return kind[kinds[number]! * KIND + column]!
  }

  /** Attributes of a file, as the disk has them. */
  fill(number: number, into: Stat): void {
    const { columns } = this
    const { kind, inodes, sizes, atime, atimeNsec, mtime, mtimeNsec, ctime, ctimeNsec } = columns
    const at = columns.kinds[number]! * KIND
    const stat = this.#stat
    stat.position = number
    stat.mode = kind[at + MODE]!
    stat.uid = kind[at + UID]!
    stat.gid = kind[at + GID]!
    stat.rdevMajor = kind[at + MAJOR]!
    stat.rdevMinor = kind[at + MINOR]!
    stat.blksize = kind[at + BLKSIZE]!
    stat.nlink = kind[at + NLINK]!
    stat.ino = inodes[number]!
    stat.size = sizes[number]!
    stat.blocks = this.#blocks(number, stat.mode)
    stat.atime = this.#seconds(atime[number]!, atimeNsec[number]!)
    stat.atimeNsec = this.#nsec(atime[number]!, atimeNsec[number]!)
    stat.mtime = this.#seconds(mtime[number]!, mtimeNsec[number]!)
    stat.mtimeNsec = this.#nsec(mtime[number]!, mtimeNsec[number]!)
    stat.ctime = this.#seconds(ctime[number]!, ctimeNsec[number]!)
    stat.ctimeNsec = this.#nsec(ctime[number]!, ctimeNsec[number]!)
    stat.devMajor = this.#dev[0]
    stat.devMinor = this.#dev[1]
    into.fill(stat)
  }

  #blocks(number: number, mode: number): number {
    const { blocks, below, odd } = this.columns
    const some = blocks[number]!
    const isOdd = some === ODD_BLOCKS && (mode & S.IFMT) === S.IFREG
    return isOdd ? odd[below[number]! * 2]! : some
  }

  #seconds(low: number, high: number): number {
    if ((high & ODD_TIME) === ODD_TIME) return this.columns.odd[low * 2]!
    return (low | 0) + (high >>> 30) * HIGH
  }

  #nsec(low: number, high: number): number {
    const nsec = high & ODD_TIME
    return nsec === ODD_TIME ? this.columns.odd[low * 2 + 1]! : nsec
  }

  /** Seconds and nanoseconds of the last access. */
  accessOf(number: number): readonly [seconds: number, nsec: number] {
    const { atime, atimeNsec } = this.columns
    const [low, high] = [atime[number]!, atimeNsec[number]!]
    return [this.#seconds(low, high), this.#nsec(low, high)]
  }

  setAccess(number: number, seconds: number, nsec: number): void {
    const epoch = Math.floor((seconds + HIGH / 2) / HIGH)
    this.columns.atime[number] = seconds - epoch * HIGH
    this.columns.atimeNsec[number] = epoch * 2 ** 30 + nsec
  }

  /** True where an access now is to be noted: once after a change, or in a day (relatime). */
  isDue(number: number, seconds: number): boolean {
    const { mtime, mtimeNsec, ctime, ctimeNsec } = this.columns
    const [last, nsec] = this.accessOf(number)
    if (seconds - last >= DAY) return true
    const since = (low: number, high: number) => {
      const changed = this.#seconds(low, high)
      return last < changed || (last === changed && nsec <= this.#nsec(low, high))
    }
    const moved = since(mtime[number]!, mtimeNsec[number]!)
    return moved || since(ctime[number]!, ctimeNsec[number]!)
  }

  /** What a symbolic link points to. */
  target(number: number): string {
    const { targets, below, sizes } = this.columns
    const start = below[number]!
    return targets.latin1Slice(start, start + sizes[number]!)
  }

  /** What the disk could not hold of a file (an ordinary user's import); null for most. */
  override(number: number): Override | null {
    const rows = this.columns.overrides
    let low = 0
    let high = rows.length / OVERRIDE - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const here = rows[middle * OVERRIDE]!
      if (here === number) return overrideAt(rows, middle * OVERRIDE)
      if (here < number) low = middle + 1
      else high = middle - 1
    }
    return null
  }

  /** All names of a file that has several, in the order of the walk; null for any other. */
  paths(number: number): readonly RelPath[] | null {
    const { links } = this.columns
    const found: RelPath[] = []
    for (let at = firstLink(links, number); links[at] === number; at += 2) {
      found.push(this.#path(links[at + 1]!))
    }
    return found.length === 0 ? null : found
  }

  /** True where a name of a hard-linked file is the path or lies below it. */
  linkedWithin(path: RelPath): boolean {
    const { links, below } = this.columns
    const row = path === ROOT ? -1 : this.#row(this.directory(parentPath(path)), baseName(path))
    const number = row === -1 ? 1 : this.columns.number[row]!
    if (row === -1 && path !== ROOT) return false
    const within = this.isDirectory(number) ? below[number]! : NONE
    for (let at = 1; at < links.length; at += 2) {
      if (links[at] === row || this.#isBelow(links[at]!, within)) return true
    }
    return false
  }

  // A directory comes after those that it lies in.
  #isBelow(row: number, directory: number): boolean {
    let at = this.#directoryOf(row)
    while (at > directory) at = this.#directoryOf(this.columns.ownName[at]!)
    return at === directory
  }

  #path(row: number): RelPath {
    const { ownName } = this.columns
    let path = this.nameAt(row)
    for (let own = ownName[this.#directoryOf(row)]!; own !== NONE; ) {
      path = `${this.nameAt(own)}/${path}`
      own = ownName[this.#directoryOf(own)]!
    }
    return path as RelPath
  }

  // The last directory whose names begin at the row or before: those without names come first.
  #directoryOf(row: number): number {
    const { first, ownName } = this.columns
    let low = 0
    let high = ownName.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (first[middle]! <= row) low = middle
      else high = middle - 1
    }
    return low
  }
}

// Rows of two, by number.
function firstLink(links: Uint32Array, number: number): number {
  let low = 0
  let high = links.length / 2
  while (low < high) {
    const middle = (low + high) >>> 1
    if (links[middle * 2]! < number) low = middle + 1
    else high = middle
  }
  return low * 2
}

function overrideAt(rows: Uint32Array, at: number): Override {
  const override: { -readonly [Field in keyof Override]: Override[Field] } = {}
  if (rows[at + 1] !== NONE) override.mode = rows[at + 1]!
  if (rows[at + 2] !== NONE) override.uid = rows[at + 2]!
  if (rows[at + 3] !== NONE) override.gid = rows[at + 3]!
  if (rows[at + 4] !== NONE) override.rdev = rows[at + 4]!
  return override
}

const emptyStat = (): IndexedStat => ({
  position: 0,
  mode: 0,
  nlink: 0,
  uid: 0,
  gid: 0,
  ino: 0,
  size: 0,
  blocks: 0,
  blksize: 0,
  atime: 0,
  atimeNsec: 0,
  ctime: 0,
  ctimeNsec: 0,
  mtime: 0,
  mtimeNsec: 0,
  rdevMajor: 0,
  rdevMinor: 0,
  devMajor: 0,
  devMinor: 0,
})
