// What a restore has to do: the differences between the writable sublayer as it is and a
// state, as a plain object that can be shown before anything is touched.
//
//   image (now) ─┐
//   head        ─┼─ one walk ─▶ removes, places, attrs
//   target      ─┘
//
// The head (the state that the sublayer came from) only spares reading: what it knows to be unchanged.
// Where it was taken a moment ago and nothing changed since, it spares the walk (plan-lists.ts).
//
// A restore of single paths has the same steps (parts.ts).
//
// Rule: nothing that is equal is touched. A file is replaced as a whole with all its names, where
// its bytes, its number, or which names belong to it differ.

import { isWithin, type RelPath } from '../base/path.ts'
import type { Changed } from '../layer/changed.ts'
import { type MarkPrefix, markAttributes } from '../layer/marks.ts'
import { sameAttributes, sameContent, sameRecord } from './changes.ts'
import type { DepotReader } from './depot.ts'
import { type ImageDirs, openImage } from './image.ts'
import type { Report } from './jobs.ts'
import { type Parts, planParts } from './parts.ts'
import { planByLists } from './plan-lists.ts'
import { PresentContents } from './present.ts'
import type { Entry, Piece } from './records.ts'
import type { Restamped } from './restamped.ts'
import { comparePaths, type Listed, readTree, TreeCursor } from './tree.ts'

export interface PlanJob {
  readonly dirs: ImageDirs
  readonly prefix: MarkPrefix
  /** The list of the state to go to. */
  readonly target: readonly Piece[]
  /** The list of the state that the sublayer came from; null where there is none. */
  readonly head: readonly Piece[] | null
  /** True where the head is what is there now, but for what `changed` names: then nothing is walked. */
  readonly headIsNow?: boolean
  readonly changed?: Changed
  /** Of files that a restore made as the head has them. */
  readonly restamped?: Restamped['stamps'] | null
  /** The only paths that are meant; absent for the whole layer. */
  readonly parts?: Parts
}

/** What people see of it. Paths are internal (bytes as latin1 text). */
export interface RestorePlan {
  readonly write: readonly { readonly path: RelPath; readonly size: number }[]
  readonly remove: readonly RelPath[]
  readonly attrs: readonly RelPath[]
  /** Files whose present content is in no state, unless one is taken first. */
  readonly lose: readonly RelPath[]
}

/** An entry whose attributes are set in place. */
export interface Fix {
  readonly entry: Entry
  readonly removeXattrs: readonly string[]
  /** The present inode, where it is to get the entry's number; else 0. */
  readonly renumber: number
  /** True for a directory that goes on showing what it shows. */
  readonly shallow?: boolean
}

export interface PlannedSteps {
  /** Topmost paths only. */
  readonly removes: readonly RelPath[]
  /** Directories before what lies in them, first names before further ones. */
  readonly places: readonly Entry[]
  /** Directories last, the deepest first. */
  readonly fixes: readonly Fix[]
  /** Files that are copied from the read-only sublayer: where they lie there. */
  readonly copied: ReadonlyMap<RelPath, RelPath>
  /** Of files in `places`, those that are there now, with one name, as another content. */
  readonly replaced?: ReadonlyMap<RelPath, Replaced>
}

/** A file that is there now, and is to have other bytes. */
export interface Replaced {
  readonly now: Entry
  readonly ino: number
  /** What is set where the file itself stays. */
  readonly fix: Fix
}

export interface Planned {
  readonly plan: RestorePlan
  readonly steps: PlannedSteps
  /** Names that the lists do not know alike, which no step need be about; absent where that is not known. */
  readonly differing?: readonly RelPath[]
}

export async function plan(job: PlanJob, depot: DepotReader, report: Report): Promise<Planned> {
  if (job.parts !== undefined) return planParts(job, job.parts, depot, report)
  const listed = job.headIsNow === true ? await planByLists(job, depot) : null
  if (listed !== null) return listed
  const image = openImage(job.dirs, job.prefix)
  try {
    const target = readTree(depot, job.target)
    const comparison = new Comparison(job.prefix, target, readTree(depot, job.head ?? []))
    const contents = new PresentContents(job.restamped)
    let entries = 0
    const differing: RelPath[] = []
    for (const item of image.entries()) {
      const { path } = item.entry
      await comparison.take(path, item.ino, (states) => {
        const [, listed] = states
        if (listed && inodeOf(listed) !== item.ino) differing.push(path)
        return contents.complete(item, states)
      })
      report({ entries: (entries += 1), bytes: 0 })
    }
    const planned = await comparison.end()
    image.check()
    return { ...planned, differing }
  } finally {
    image.close()
  }
}

const inodeOf = ({ stamp, ino = stamp?.ino ?? 0 }: Listed): number => ino

/** A directory of the target on the way down. */
interface OpenDir extends Fix {
  touched: boolean
}

/** One name of a file that has, or is to have, several. */
interface Member {
  readonly entry: Entry
  readonly dir: OpenDir | null
  /** What is there now; null for nothing, or nothing that could stay. */
  readonly now: Entry | null
  readonly ino: number
}

/** Goes through what is there now, in the order of a walk, beside what is to be there. */
export class Comparison {
  readonly #prefix: MarkPrefix
  readonly #target: TreeCursor
  readonly #head: TreeCursor
  readonly #removes: RelPath[] = []
  readonly #places: Entry[] = []
  readonly #fixes: Fix[] = []
  readonly #lose: RelPath[] = []
  readonly #dirs: OpenDir[] = []
  readonly #touched: OpenDir[] = []
  readonly #groups = new Map<string, Member[]>()
  readonly #replaced = new Map<RelPath, Replaced>()
  readonly #partly: boolean
  #removed: RelPath | null = null

  /** `partly`: files may have further names, and numbers further owners, that are not gone through. */
  constructor(
    prefix: MarkPrefix,
    target: AsyncGenerator<Listed>,
    head: AsyncGenerator<Listed>,
    partly = false,
  ) {
    this.#prefix = prefix
    this.#target = new TreeCursor(target)
    this.#head = new TreeCursor(head)
    this.#partly = partly
  }

  /** `present` is given what the states have there, and answers what is there now. */
  async take(
    path: RelPath,
    ino: number,
    present: (states: readonly (Listed | null)[]) => Entry,
  ): Promise<void> {
    const listed = await this.#target.at(path, ({ entry }) => this.#placeNew(entry))
    const known = await this.#head.at(path, () => {})
    const now = present([known, listed])
    const wanted = listed === null ? null : this.#numbered(listed.entry, now)
    const goes = this.#removed !== null && isWithin(path, this.#removed)
    const stays = !goes && wanted !== null && this.#pair(ino, now, wanted)
    if (!goes && wanted === null) this.#remove(now)
    if (!stays && isLost(now, known?.entry ?? null)) this.#lose.push(path)
  }

  async end(): Promise<Planned> {
    await this.#target.end(({ entry }) => this.#placeNew(entry))
    const claimed = new Set<number>()
    for (const members of this.#groups.values()) this.#settle(members, claimed)
    const dirs = [...this.#touched].sort((a, b) => comparePaths(b.entry.path, a.entry.path))
    const fixes = [...this.#fixes, ...dirs.map(({ touched, ...fix }) => fix)]
    const own = { removes: this.#removes, places: this.#places, replaced: this.#replaced }
    const steps = { ...own, fixes, copied: new Map() }
    const placed = new Set(this.#places.map(({ path }) => path))
    return {
      steps,
      plan: {
        write: this.#places.map(({ path, size = 0 }) => ({ path, size })),
        remove: this.#removes.filter((path) => !placed.has(path)),
        attrs: fixes.map(({ entry }) => entry.path).filter((path) => !placed.has(path)),
        lose: this.#lose,
      },
    }
  }

  // A number that another file may have by now is not given again.
  #numbered(wanted: Entry, now: Entry | null): Entry {
    if (!this.#partly || (now !== null && now.number === wanted.number && !hasLinks(now)))
      return wanted
    return { ...wanted, number: 0 }
  }

  #placeNew(entry: Entry): void {
    this.#place(this.#numbered(entry, null))
  }

  // True where what is there now stays.
  #pair(ino: number, now: Entry, wanted: Entry): boolean {
    const dir = this.#enter(wanted.path)
    if (now.kind === 'dir' && wanted.kind === 'dir') {
      this.#pairDirs(ino, now, wanted)
      return true
    }
    if (now.kind === 'dir' || wanted.kind === 'dir') {
      this.#remove(now)
      this.#place(wanted)
      return false
    }
    const stays = sameContent(now, wanted) && sameNumber(now, wanted)
    if (hasLinks(now) || hasLinks(wanted)) {
      this.#join({ entry: wanted, dir, now: stays ? now : null, ino })
      return stays
    }
    if (stays) this.#fix(now, wanted)
    else this.#replace(dir, ino, now, wanted)
    return stays
  }

  #replace(dir: OpenDir | null, ino: number, now: Entry, wanted: Entry): void {
    this.#placeIn(dir, wanted)
    if (now.kind !== 'file' || wanted.kind !== 'file') return
    const removeXattrs = this.#xattrsToRemove(now, wanted)
    const fix = { entry: wanted, removeXattrs, renumber: sameNumber(now, wanted) ? 0 : ino }
    this.#replaced.set(wanted.path, { now, ino, fix })
  }

  #pairDirs(ino: number, now: Entry, wanted: Entry): void {
    const renumber = sameNumber(now, wanted) ? 0 : ino
    const removeXattrs = this.#xattrsToRemove(now, wanted)
    const marked = sameRecord(now.marks, wanted.marks)
    const shallow = marked && renumber === 0
    const dir: OpenDir = { entry: wanted, removeXattrs, renumber, shallow, touched: false }
    this.#dirs.push(dir)
    const timed = now.mtime === wanted.mtime && now.mtimeNsec === wanted.mtimeNsec
    const same = timed && sameAttributes(now, wanted) && marked
    if (!same || renumber !== 0) this.#touch(dir)
  }

  #fix(now: Entry, wanted: Entry): void {
    if (sameAttributes(now, wanted)) return
    const removeXattrs = this.#xattrsToRemove(now, wanted)
    this.#fixes.push({ entry: wanted, removeXattrs, renumber: 0 })
  }

  #xattrsToRemove(now: Entry, wanted: Entry): string[] {
    const names = (entry: Entry) => [
      ...Object.keys(entry.xattrs ?? {}),
      ...markAttributes(entry.marks ?? {}, this.#prefix).keys(),
    ]
    const kept = new Set(names(wanted))
    return names(now).filter((name) => !kept.has(name))
  }

  #remove({ path, kind }: Entry): void {
    const dir = this.#enter(path)
    if (dir !== null) this.#touch(dir)
    this.#removes.push(path)
    if (kind === 'dir') this.#removed = path
  }

  // A name of the target where nothing is, or nothing will be by then.
  #place(entry: Entry): void {
    const dir = this.#enter(entry.path)
    if (hasLinks(entry)) {
      this.#join({ entry, dir, now: null, ino: 0 })
      return
    }
    this.#placeIn(dir, entry)
    if (entry.kind !== 'dir') return
    const own: OpenDir = { entry, removeXattrs: [], renumber: 0, touched: false }
    this.#dirs.push(own)
    this.#touch(own)
  }

  #placeIn(dir: OpenDir | null, entry: Entry): void {
    if (dir !== null) this.#touch(dir)
    this.#places.push(entry)
  }

  #join(member: Member): void {
    const name = member.entry.link ?? member.entry.path
    const members = this.#groups.get(name)
    if (members === undefined) this.#groups.set(name, [member])
    else members.push(member)
  }

  // All names of a file stay where they are one file now, and no other file of the target; else
  // all are made anew, as one.
  #settle(members: readonly Member[], claimed: Set<number>): void {
    const { ino, now, entry } = members[0]!
    const one = members.every((member) => member.now !== null && member.ino === ino)
    const shared = this.#partly && now !== null && !sameAttributes(now, entry)
    if (!one || now === null || claimed.has(ino) || shared) {
      for (const { dir, entry } of members) this.#placeIn(dir, entry)
      return
    }
    claimed.add(ino)
    this.#fix(now, entry)
  }

  // The target's directory that holds `path`; null for the root's own.
  #enter(path: RelPath): OpenDir | null {
    while (this.#dirs.length > 0) {
      const dir = this.#dirs.at(-1)!
      if (dir.entry.path !== path && isWithin(path, dir.entry.path)) return dir
      this.#dirs.pop()
    }
    return null
  }

  #touch(dir: OpenDir): void {
    if (dir.touched) return
    dir.touched = true
    this.#touched.push(dir)
  }
}

const hasLinks = (entry: Entry): boolean => entry.linked === true || entry.link !== undefined

// Unknown numbers are no difference: nothing was told of them.
const sameNumber = (a: Entry, b: Entry): boolean =>
  a.number === b.number || a.number === 0 || b.number === 0

// Directories and whiteouts hold nothing that a person could miss.
function isLost(now: Entry, known: Entry | null): boolean {
  if (now.kind === 'dir' || now.kind === 'whiteout') return false
  return known === null || !sameContent(now, known)
}
