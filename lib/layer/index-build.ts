// The columns of an index, gathered by one walk over the tree.
//
//   walk ─▶ Gathering: a row for each name, in the order of the walk ─▶ encodeIndex: sorted, as bytes
//
// Rule: a million names take columns, not objects: whatever grows with the tree is a typed array.

import type { RelPath } from '../base/path.ts'
import { parentPath } from '../base/path.ts'
import type { Stat } from '../host/stat.ts'
import { must, S, sys } from '../host/sys.ts'
import { listXattr } from '../host/xattr.ts'
import { goOn } from './breath.ts'
import type { TreeFacts } from './index-file.ts'
import {
  type Columns,
  type Counts,
  FILE_COLUMNS,
  type Identity,
  KIND,
  NONE,
  ODD_BLOCKS,
  ODD_TIME,
  writeIndex,
} from './index-format.ts'
import { HAS } from './index-tables.ts'
import type { Override, Overrides } from './layer.ts'
import { type WalkEntry, walk } from './walk.ts'

const HIGH = 0x1_0000_0000

/** A column that grows. */
class Growing<T extends Float64Array | Uint32Array | Uint8Array> {
  #rows: T
  length = 0

  constructor(empty: T) {
    this.#rows = empty
  }

  push(value: number): void {
    if (this.length === this.#rows.length) this.#grow(this.length + 1)
    this.#rows[this.length++] = value
  }

  append(values: Uint8Array): void {
    const end = this.length + values.length
    if (end > this.#rows.length) this.#grow(end)
    this.#rows.set(values, this.length)
    this.length = end
  }

  get rows(): T {
    return this.#rows.subarray(0, this.length) as T
  }

  #grow(least: number): void {
    const Made = this.#rows.constructor as new (length: number) => T
    const more = new Made(Math.max(least, 1024, this.length * 2))
    more.set(this.#rows)
    this.#rows = more
  }
}

const u32 = () => new Growing(new Uint32Array(0))
const f64 = () => new Growing(new Float64Array(0))
const u8 = () => new Growing(new Uint8Array(0))

/** What one walk finds. */
export class Gathering {
  /** By number, in the order of `Columns`. */
  readonly inodes = f64()
  readonly sizes = f64()
  readonly blocks = u32()
  readonly atime = u32()
  readonly atimeNsec = u32()
  readonly mtime = u32()
  readonly mtimeNsec = u32()
  readonly ctime = u32()
  readonly ctimeNsec = u32()
  readonly kinds = u32()
  readonly below = u32()
  readonly odd = f64()
  readonly kind = u32()
  readonly targets = u8()
  /** By name, in the order of the walk; the root is none. */
  readonly number = u32()
  readonly inDirectory = u32()
  readonly nameLength = u32()
  readonly names = u8()
  /** By directory: its name, in the order of the walk. */
  readonly ownName = u32()
  /** Numbers of the files that have overrides. */
  readonly overridden = new Map<RelPath, number>()
  entries = 0
  files = 0
  readonly #kinds = new Map<string, number>()
  /** Numbers of files with several names, by inode. */
  readonly linked = new Map<number, number>()
  /** The directories that the walk is in. */
  readonly #open: { path: RelPath; at: number }[] = []
  readonly #buffer = Buffer.alloc(4096)

  constructor() {
    this.#emptyRow()
    // Of rows that are empty.
    this.#kindOf([0, 0, 0, 0, 0, 0, 0, 0])
  }

  add(entry: WalkEntry, overrides: Overrides): void {
    const { path, stat } = entry
    this.entries += 1
    const isDirectory = (stat.mode & S.IFMT) === S.IFDIR
    const linked = !isDirectory && stat.nlink > 1
    const known = linked ? this.linked.get(stat.ino) : undefined
    const number = known ?? this.entries
    if (linked && known === undefined) this.linked.set(stat.ino, number)
    if (overrides.has(path)) this.overridden.set(path, number)
    if (path !== '') this.#addName(entry, number)
    if (known === undefined) this.#addFile(entry)
    else this.#emptyRow()
    if (!isDirectory) return
    this.#open.push({ path, at: this.ownName.length })
    this.ownName.push(path === '' ? NONE : this.number.length - 1)
  }

  #addName({ path, name }: WalkEntry, number: number): void {
    const parent = parentPath(path)
    while (this.#open.at(-1)!.path !== parent) this.#open.pop()
    this.number.push(number)
    this.inDirectory.push(this.#open.at(-1)!.at)
    this.nameLength.push(name.length)
    this.names.append(Buffer.from(name, 'latin1'))
  }

  #addFile(entry: WalkEntry): void {
    const { stat } = entry
    this.files += 1
    this.inodes.push(stat.ino)
    this.sizes.push(stat.size)
    this.#addTime(this.atime, this.atimeNsec, stat.atime, stat.atimeNsec)
    this.#addTime(this.mtime, this.mtimeNsec, stat.mtime, stat.mtimeNsec)
    this.#addTime(this.ctime, this.ctimeNsec, stat.ctime, stat.ctimeNsec)
    this.kinds.push(this.#kindOf(kindOf(stat, flagsOf(entry))))
    this.blocks.push(Math.min(stat.blocks, ODD_BLOCKS))
    this.below.push(this.#below(entry))
  }

  #below({ dir, name, path, stat }: WalkEntry): number {
    const type = stat.mode & S.IFMT
    if (type === S.IFDIR) return this.ownName.length
    if (type === S.IFREG && stat.blocks >= ODD_BLOCKS) return this.#addOdd(stat.blocks, 0)
    if (type !== S.IFLNK) return 0
    const length = must(sys.readlinkat(dir, name, this.#buffer), path)
    this.targets.append(this.#buffer.subarray(0, length))
    return this.targets.length - length
  }

  #addTime(low: Growing<Uint32Array>, high: Growing<Uint32Array>, seconds: number, nsec: number) {
    const epoch = Math.floor((seconds + HIGH / 2) / HIGH)
    if (epoch >= 0 && epoch < 4) {
      low.push(seconds - epoch * HIGH)
      high.push(epoch * 2 ** 30 + nsec)
    } else {
      low.push(this.#addOdd(seconds, nsec))
      high.push(ODD_TIME)
    }
  }

  #addOdd(one: number, other: number): number {
    this.odd.push(one)
    this.odd.push(other)
    return this.odd.length / 2 - 1
  }

  #kindOf(fields: readonly number[]): number {
    const key = fields.join()
    const known = this.#kinds.get(key)
    if (known !== undefined) return known
    const row = this.#kinds.size
    this.#kinds.set(key, row)
    for (const field of fields) this.kind.push(field)
    return row
  }

  #emptyRow(): void {
    for (const column of FILE_COLUMNS) this[column].push(0)
  }
}

function kindOf(stat: Stat, flags: number): number[] {
  const { mode, uid, gid, rdevMajor, rdevMinor, blksize, nlink } = stat
  return [mode, uid, gid, rdevMajor, rdevMinor, blksize, nlink, flags]
}

function flagsOf({ dir, name }: WalkEntry): number {
  const found = listXattr(dir, name)
  if (found.length === 0) return 0
  const bit = (attribute: string, flag: number) => (found.includes(attribute) ? flag : 0)
  return (
    HAS.any |
    bit('system.posix_acl_access', HAS.accessList) |
    bit('system.posix_acl_default', HAS.defaultList) |
    bit('security.capability', HAS.capability)
  )
}

/** Walks a tree. Throws Errno. */
export function gather(root: number, overrides: Overrides = new Map()): Gathering {
  const found = new Gathering()
  for (const entry of walk(root)) {
    goOn()
    found.add(entry, overrides)
  }
  return found
}

/** The bytes of an index. `overrides`: its rows. */
export function encodeIndex(
  facts: TreeFacts,
  identity: Identity,
  found: Gathering,
  overrides: Uint32Array,
): Buffer {
  const links = linksOf(found)
  const counts: Counts = {
    entries: found.entries,
    files: found.files,
    directories: found.ownName.length,
    names: found.number.length,
    kinds: found.kind.length / KIND,
    odd: found.odd.length / 2,
    overrides: overrides.length / 5,
    links: links.length / 2,
    nameBytes: found.names.length,
    targetBytes: found.targets.length,
  }
  return writeIndex(facts, identity, counts, (into) => {
    for (const column of FILE_COLUMNS) into[column].set(found[column].rows)
    for (const column of ['odd', 'kind', 'targets'] as const) into[column].set(found[column].rows)
    into.overrides.set(overrides)
    fillByInode(into)
    const places = fillNames(into, found)
    for (let at = 0; at < links.length; at += 2) links[at + 1] = places[links[at + 1]!]!
    into.links.set(links)
  })
}

function fillByInode({ byInode, inodes, kinds }: Columns): void {
  let at = 0
  for (let number = 1; number < inodes.length; number++) {
    if (kinds[number] !== 0) byInode[at++] = number
  }
  byInode.sort((a, b) => inodes[a]! - inodes[b]!)
}

/** Names go to their directories, in which they keep their order. Answers where each went. */
function fillNames(into: Columns, found: Gathering): Uint32Array {
  const { first, ownName, nameAt, number, names } = into
  const inDirectory = found.inDirectory.rows
  const lengths = found.nameLength.rows
  for (const dir of inDirectory) first[dir + 1]! += 1
  for (let dir = 1; dir < first.length; dir++) first[dir]! += first[dir - 1]!
  const next = first.slice()
  const places = Uint32Array.from(inDirectory, (dir) => next[dir]!++)
  for (const [at, place] of places.entries()) {
    number[place] = found.number.rows[at]!
    nameAt[place + 1] = lengths[at]!
  }
  for (let place = 0; place < number.length; place++) nameAt[place + 1]! += nameAt[place]!
  let start = 0
  const all = found.names.rows
  for (const [at, place] of places.entries()) {
    names.set(all.subarray(start, start + lengths[at]!), nameAt[place]!)
    start += lengths[at]!
  }
  for (const [dir, own] of found.ownName.rows.entries()) {
    ownName[dir] = own === NONE ? NONE : places[own]!
  }
  return places
}

/** Number and name (in the order of the walk) of each name of a file that has several. */
function linksOf(found: Gathering): Uint32Array {
  const names = new Map<number, number[]>()
  for (const number of found.linked.values()) names.set(number, [])
  for (const [name, number] of found.number.rows.entries()) names.get(number)?.push(name)
  const several = [...names].filter(([, group]) => group.length > 1).sort(([a], [b]) => a - b)
  return Uint32Array.from(
    several.flatMap(([number, group]) => group.flatMap((name) => [number, name])),
  )
}

/** The rows of what an import could not put on the disk. */
export function overrideRows(found: Gathering, overrides: Overrides): Uint32Array {
  const rows = new Map<number, Override>()
  for (const [path, override] of overrides) {
    const number = found.overridden.get(path)
    if (number === undefined) throw new TypeError(`override of nothing: ${path}`)
    rows.set(number, override)
  }
  const sorted = [...rows].sort(([a], [b]) => a - b)
  return Uint32Array.from(
    sorted.flatMap(([number, { mode, uid, gid, rdev }]) =>
      [number, mode, uid, gid, rdev].map((field) => field ?? NONE),
    ),
  )
}
