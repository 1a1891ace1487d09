// Which of the names that are gone and the names that came are one file that was renamed.
//
//   gone ─┐   1  the same inode number toward programs: never given twice
//         ├─▶ 2  it says itself where in the read-only sublayer it lies
//   came ─┘   3  the same inode of one disk, with the same size and time of change
//             4  directories: the same inode, and something in both that is the same
//             5  the same place in a renamed directory
//             6  the same bytes, of one gone and one that came, no more
//
// Inodes of a disk are used again, so they alone prove nothing.
//
// Rule: a name is at most one side of one rename. What lies in a renamed directory where it lay before
// was not renamed itself. Above a bound nothing is compared: then all are deleted and added.

import { baseName, parentPath, type RelPath } from '../base/path.ts'
import { sameAttributes, sameContent } from './changes.ts'
import type { Entry } from './records.ts'

/** So many names that are gone, or that came, are compared. */
const MOST = 50_000

/** One side: an entry, and its inode on the disk of the writable sublayer; 0 where it is not known. */
export interface Side {
  readonly entry: Entry
  readonly ino: number
  /** It lies in the read-only sublayer. */
  readonly below?: boolean
  /** Where its bytes lie there, if the entry has none; null or absent: nowhere. */
  readonly lower?: RelPath | null
}

export interface Rename {
  readonly from: Side
  readonly to: Side
  /** `from` was told as gone. */
  readonly isGone: boolean
  /** Its directory was renamed, and it with it. */
  readonly inside: boolean
  /** Its bytes changed too, or its attributes alone. */
  readonly also: 'M' | 'attr' | null
}

export class Renames {
  readonly #gone: Side[] = []
  readonly #came: Side[] = []

  gone(side: Side): void {
    if (this.#gone.length <= MOST) this.#gone.push(side)
  }

  came(side: Side): void {
    if (this.#came.length <= MOST) this.#came.push(side)
  }

  /**
   * Those that belong together. `lookBelow`: what the read-only sublayer has at a path; of a directory
   * that lay there, what lies in it is not told as gone.
   */
  match(lookBelow: (path: RelPath) => Entry | null): Rename[] {
    if (this.#gone.length > MOST || this.#came.length > MOST) return []
    if (this.#gone.length === 0) return []
    const pairs = new Pairs(this.#gone, this.#came)
    pairs.join(byNumber)
    pairs.join(byPlace, byRedirect)
    pairs.join(byInode)
    pairs.joinDirectories()
    const places = new Places(pairs.found)
    pairs.join(byPath, ({ entry: { path, kind } }) => {
      const place = places.of(path)
      return place === null ? null : `${kind} ${place}`
    })
    pairs.joinBelow(places, lookBelow)
    pairs.join(byContent, byContent, true)
    const gone = new Set(this.#gone)
    return [...pairs.found].map(([to, from]) => ({
      from,
      to,
      isGone: gone.has(from),
      inside: places.of(to.entry.path) === from.entry.path,
      also: alsoOf(from, to),
    }))
  }
}

/** What two sides that are one have in common; null where the side has none. */
type KeyOf = (side: Side) => string | null

const byNumber: KeyOf = ({ entry: { number, kind } }) => (number === 0 ? null : `${number} ${kind}`)
const byPlace: KeyOf = ({ entry, below }) => (below === true ? entry.path : null)
const byRedirect: KeyOf = ({ entry }) => entry.marks?.redirect ?? null
const byInode: KeyOf = ({ entry, ino, below }) => {
  if (ino === 0 || below === true) return null
  const { kind, size = 0, mtime, mtimeNsec } = entry
  return `${ino} ${kind} ${size} ${mtime}.${mtimeNsec}`
}
const byPath: KeyOf = ({ entry: { path, kind } }) => `${kind} ${path}`
const byContent: KeyOf = ({ entry }) => entry.content ?? null

class Pairs {
  readonly found = new Map<Side, Side>()
  #gone: readonly Side[]
  #came: readonly Side[]

  constructor(gone: readonly Side[], came: readonly Side[]) {
    this.#gone = gone
    this.#came = came
  }

  /** `unique`: only where no other has the key. */
  join(goneKey: KeyOf, cameKey: KeyOf = goneKey, unique = false): void {
    const gone = keyed(this.#gone, goneKey)
    const came = keyed(this.#came, cameKey)
    const taken = new Set<Side>()
    for (const [key, sides] of came) {
      const others = gone.get(key) ?? []
      if (unique && (sides.length > 1 || others.length > 1)) continue
      for (const [at, to] of sides.entries()) {
        const from = others[at]
        if (from === undefined) break
        this.found.set(to, from)
        taken.add(from).add(to)
      }
    }
    const left = (side: Side) => !taken.has(side)
    this.#gone = this.#gone.filter(left)
    this.#came = this.#came.filter(left)
  }

  joinBelow(places: Places, lookBelow: (path: RelPath) => Entry | null): void {
    for (const to of this.#came) {
      const place = places.of(to.entry.path)
      const entry = place === null ? null : lookBelow(place)
      if (entry?.kind === to.entry.kind)
        this.found.set(to, { entry, ino: 0, below: true, lower: place })
    }
    this.#came = this.#came.filter((side) => !this.found.has(side))
  }

  /** Their times change with what lies in them. */
  joinDirectories(): void {
    const common = new Set<string>()
    for (const [to, from] of this.found) {
      let [was, is] = [from.entry.path, to.entry.path]
      while (was !== '' && is !== '' && baseName(was) === baseName(is)) {
        was = parentPath(was)
        is = parentPath(is)
        common.add(`${was}\0${is}`)
      }
    }
    const gone = keyed(this.#gone, directoryInode)
    for (const to of this.#came) {
      const key = directoryInode(to)
      const [from, other] = key === null ? [] : (gone.get(key) ?? [])
      if (from === undefined || other !== undefined) continue
      if (common.has(`${from.entry.path}\0${to.entry.path}`)) this.found.set(to, from)
    }
    const taken = new Set([...this.found.keys(), ...this.found.values()])
    this.#gone = this.#gone.filter((side) => !taken.has(side))
    this.#came = this.#came.filter((side) => !taken.has(side))
  }
}

const directoryInode: KeyOf = ({ entry, ino, below }) =>
  entry.kind === 'dir' && ino !== 0 && below !== true ? String(ino) : null

function keyed(sides: readonly Side[], keyOf: KeyOf): Map<string, Side[]> {
  const all = new Map<string, Side[]>()
  for (const side of sides) {
    const key = keyOf(side)
    if (key === null) continue
    const known = all.get(key)
    if (known === undefined) all.set(key, [side])
    else known.push(side)
  }
  return all
}

/** Where names lay whose directories were renamed. */
class Places {
  readonly #directories = new Map<RelPath, RelPath>()

  constructor(found: ReadonlyMap<Side, Side>) {
    for (const [to, from] of found)
      if (to.entry.kind === 'dir') this.#directories.set(to.entry.path, from.entry.path)
  }

  /** Null where none of its directories was renamed. */
  of(path: RelPath): RelPath | null {
    for (let dir = path; dir !== ''; ) {
      dir = parentPath(dir)
      const was = this.#directories.get(dir)
      if (was !== undefined) return `${was}${path.slice(dir.length)}` as RelPath
    }
    return null
  }
}

function alsoOf(from: Side, to: Side): 'M' | 'attr' | null {
  const isDir = to.entry.kind === 'dir'
  if (!isDir && !sameBytes(from, to)) return 'M'
  return sameAttributes(from.entry, to.entry) ? null : 'attr'
}

// Where the bytes of one have no name (they lie below, or no state has them there), size and time tell.
function sameBytes({ entry: a, below }: Side, { entry: b }: Side): boolean {
  if (b.marks?.metacopy === true && (below === true || a.marks?.metacopy === true)) return true
  const named = a.content !== undefined && b.content !== undefined
  if (named || a.kind !== 'file') return sameContent({ ...a, marks: {} }, { ...b, marks: {} })
  return a.size === b.size && a.mtime === b.mtime && a.mtimeNsec === b.mtimeNsec
}
