// The difference between two states, or between a state and now, as a list of paths.
//
//   before ─┐              deleted and added of one file ─▶ renamed
//           ├─ one walk ─▶ marks ─────────────────────────▶ differences ─▶ bytes of both sides
//   after  ─┘              brought up and not changed ─▶ none
//
// Rule: it says what a user of the layer would see, not what lies in the sublayer: a directory that was
// only brought up for its entries, or a file that is as it was, is no difference (changes.ts decides).

import { isWithin, type RelPath } from '../base/path.ts'
import { Below, type BelowIndex } from './below.ts'
import { type Mark, markOf, mayBeSame, sameAttributes } from './changes.ts'
import type { DepotReader } from './depot.ts'
import { type Found, foundInTrees } from './diff-shown.ts'
import { presentOn } from './file-out.ts'
import { type Image, openImage } from './image.ts'
import type { Report } from './jobs.ts'
import { LowerTrail, LowerTrees } from './lower.ts'
import type { PlanJob } from './plan.ts'
import { presentEntries } from './present.ts'
import type { Entry, Kind, Piece } from './records.ts'
import { Renames, type Side } from './renames.ts'
import { ShownTree } from './shown-tree.ts'
import { SideBytes } from './side-bytes.ts'
import {
  type DatabaseSides,
  type DatabasesWish,
  mainFileOf,
  SideDatabases,
} from './side-databases.ts'
import {
  SideReader,
  type SideSources,
  sameBytes,
  type VersionTree,
  type Which,
} from './side-reader.ts'
import { type EntryList, KnownList, StateList } from './state-list.ts'
import { type Listed, readTree, TreeCursor } from './tree.ts'

/** What a path is on one side. */
export interface DiffSide {
  readonly kind: Kind
  /** Bytes of a file; else 0. */
  readonly size: number
  /** Of a file, where they were asked for, and it is not too large. */
  readonly bytes?: Uint8Array
}

export interface Difference {
  /** Bytes as latin1 text. */
  readonly path: RelPath
  /** `R`: renamed from `from`. */
  readonly mark: Mark | 'R'
  readonly from?: RelPath
  /** Of what was renamed: its bytes changed too; its attributes did. */
  readonly also?: 'M' | 'attr'
  readonly before: DiffSide | null
  readonly after: DiffSide | null
  /** Where bytes were asked for: how many differ, of files that are too large to have them here. */
  readonly different?: number
  /** Where databases were asked for: the one that it belongs to. */
  readonly database?: DatabaseSides
  /** The main file of a database that another difference tells of. */
  readonly partOf?: RelPath
}

/** What both ways of asking have in common. */
export interface DiffWish {
  /** Read-only trees, top first, and the index of the first; null where it is not known. */
  readonly ro: readonly string[]
  readonly index?: BelowIndex | null
  /** What `before` lies over, where that is another version than that of `ro`. */
  readonly earlier?: VersionTree
  /** Only what lies at or below these; all of it where absent. */
  readonly paths?: readonly RelPath[]
  /** False where a rename is to be told as a deleted name and an added one. */
  readonly renames?: boolean
  /** Bytes of files are wanted: so many of each at most, and of all together. */
  readonly contents?: {
    readonly each: number
    readonly all: number
    /** SQLite databases are to be written out. */
    readonly databases?: DatabasesWish
  }
  /** Over another version, bytes are compared at or below these alone; those of `paths` where absent. */
  readonly within?: readonly RelPath[]
  /** A directory for nameless files. */
  readonly temporary?: string
}

export interface DiffStatesJob extends DiffWish, SideSources {
  readonly ro: readonly string[]
  /** Null for the layer as it was installed: the read-only sublayer alone. */
  readonly before: readonly Piece[] | null
  readonly after: readonly Piece[]
}

/** What `after` shows otherwise than `before`, in the order of a walk. */
export async function diffStates(
  job: DiffStatesJob,
  depot: DepotReader,
  report: Report,
): Promise<Difference[]> {
  const after = { list: readTree(depot, job.after), pieces: job.after, image: null }
  return compare(job, job.before, after, depot, report)
}

export interface DiffNowJob extends PlanJob, DiffWish, SideSources {
  readonly ro: readonly string[]
}

/** What the layer shows now otherwise than the state `target` (as in a plan). */
export async function diffNow(
  job: DiffNowJob,
  depot: DepotReader,
  report: Report,
): Promise<Difference[]> {
  const image = openImage(job.dirs, job.prefix)
  try {
    const after = { list: presentEntries(job, depot), pieces: [], image }
    const found = await compare(job, job.target, after, depot, report)
    image.check()
    return found
  } finally {
    image.close()
  }
}

/** The later side: the list of a state, or what lies there now. */
interface After {
  readonly list: AsyncGenerator<Listed>
  readonly pieces: readonly Piece[]
  readonly image: Image | null
}

async function compare(
  job: DiffWish & SideSources,
  before: readonly Piece[] | null,
  after: After,
  depot: DepotReader,
  report: Report,
): Promise<Difference[]> {
  const { earlier } = job
  const below = new Below(job.ro[0]!, job.index ?? null)
  const older = earlier === undefined ? below : new Below(earlier.ro[0]!, earlier.index)
  const over = earlier === undefined ? null : { below: older, over: earlier }
  const reader = new SideReader(job, depot, below, after.image, over)
  try {
    const found =
      earlier === undefined
        ? await foundInLists(job, before, after.list, depot, report, below, reader)
        : await foundInTrees(
            new ShownTree(new StateList(depot, before ?? []), older),
            new ShownTree(await listOf(after, depot), below),
            reader,
            report,
            job.within ?? job.paths,
          )
    // Over another version everything that is gone was told.
    const lookBelow = (path: RelPath) =>
      earlier === undefined ? (below.look(path)?.entry ?? null) : null
    const all: readonly Different[] =
      job.renames === false ? found : differencesOf(found, lookBelow)
    const wanted = all.filter(({ path, from }) => isWanted(job, path, from))
    const contents = job.contents === undefined ? null : new SideBytes(job.contents, reader)
    const databases = databasesOf(
      job,
      before,
      after,
      depot,
      { before: older, after: below },
      reader,
    )
    const shown: Difference[] = []
    for (const one of wanted) shown.push(await shownOf(one, contents, databases))
    return shown
  } finally {
    reader.close()
    below.close()
    if (older !== below) older.close()
  }
}

async function foundInLists(
  job: DiffWish,
  before: readonly Piece[] | null,
  list: AsyncGenerator<Listed>,
  depot: DepotReader,
  report: Report,
  below: Below,
  reader: SideReader,
): Promise<Found[]> {
  const found: Found[] = []
  for (const one of await walk(job, before, list, depot, report, below)) {
    const mark = await trueMark(one, reader)
    if (mark !== null) found.push({ ...one, mark })
  }
  return found
}

async function listOf({ list, pieces, image }: After, depot: DepotReader): Promise<EntryList> {
  if (image === null) return new StateList(depot, pieces)
  const known = new KnownList()
  for await (const { entry } of list) known.add(entry)
  return known
}

// What lies in a sublayer in another form may show the same all the same.
async function trueMark({ mark, before, after }: Found, reader: SideReader): Promise<Mark | null> {
  if (mark !== 'M' || before === null || after === null) return mark
  if (!mayBeSame(before.entry, after.entry)) return mark
  const [was, is] = [reader.open(before, 'before'), reader.open(after, 'after')]
  try {
    const isFile = after.entry.kind === 'file'
    if (isFile && (was === null || is === null || !(await sameBytes(was, is)))) return mark
    return sameAttributes(before.entry, after.entry) ? null : 'attr'
  } finally {
    was?.close()
    is?.close()
  }
}

function databasesOf(
  { contents }: DiffWish,
  before: readonly Piece[] | null,
  { pieces, image }: After,
  depot: DepotReader,
  below: Readonly<Record<Which, Below>>,
  reader: SideReader,
): SideDatabases | null {
  if (contents?.databases === undefined) return null
  const was = new StateList(depot, before ?? [])
  const is = new StateList(depot, pieces)
  return new SideDatabases(contents.databases, reader, (path, which) => {
    if (which === 'before') return new ShownTree(was, below.before).look(path)
    image?.rewind()
    return new ShownTree(image === null ? is : presentOn(image, path), below.after).look(path)
  })
}

// Who names a database means its log, too.
const isWanted = ({ paths, contents }: DiffWish, ...names: (RelPath | undefined)[]): boolean =>
  paths === undefined ||
  names.some((name) => {
    if (name === undefined) return false
    const main = contents?.databases === undefined ? name : mainFileOf(name)
    return paths.some((path) => isWithin(name, path) || main === path)
  })

async function walk(
  job: DiffWish,
  before: readonly Piece[] | null,
  after: AsyncGenerator<Listed>,
  depot: DepotReader,
  report: Report,
  below: Below,
): Promise<Found[]> {
  const trees = new LowerTrees(job.ro)
  const [trail, trailBefore] = [new LowerTrail(), new LowerTrail()]
  const cursor = new TreeCursor(readTree(depot, before ?? []))
  const found: Found[] = []
  const add = (
    was: Listed | null,
    wasOver: RelPath | null,
    is: Listed | null,
    over: RelPath | null,
  ) => {
    const path = (is ?? was)!.entry.path
    const mark = markOf(was?.entry ?? null, is?.entry ?? null, () => trees.look(over))
    if (mark === null) return
    const lower = () => lowerSide(below, over)
    const before = was === null ? lower() : sideOf(was, wasOver)
    found.push({ path, mark, before, after: is === null ? lower() : sideOf(is, over) })
  }
  // A name that is gone shows what lies below.
  const gone = (was: Listed) => add(was, trailBefore.at(was.entry), null, was.entry.path)
  try {
    let entries = 0
    for await (const is of after) {
      const was = await cursor.at(is.entry.path, gone)
      add(was, was === null ? null : trailBefore.at(was.entry), is, trail.at(is.entry))
      report({ entries: (entries += 1), bytes: 0 })
    }
    await cursor.end(gone)
    return found
  } finally {
    trees.close()
  }
}

function lowerSide(below: Below, path: RelPath | null): Side | null {
  const entry = path === null ? undefined : below.look(path)?.entry
  return entry === undefined ? null : { entry, ino: 0, below: true, lower: path }
}

function sideOf({ entry, ino, stamp }: Listed, over: RelPath | null): Side | null {
  if (entry.kind === 'whiteout') return null
  return { entry, ino: ino ?? stamp?.ino ?? 0, lower: entry.marks?.redirect ?? over }
}

interface Different extends Found {
  readonly from?: RelPath
  readonly also?: 'M' | 'attr'
}

function differencesOf(
  found: readonly Found[],
  lookBelow: (path: RelPath) => Entry | null,
): Different[] {
  const renames = new Renames()
  for (const { mark, before, after } of found) {
    if (mark === 'D' && before !== null) renames.gone(before)
    if (mark === 'A' && after !== null) renames.came(after)
  }
  const pairs = renames.match(lookBelow)
  const to = new Map(pairs.map((pair) => [pair.to, pair]))
  // Under its own name: what lies below has the path that it has there.
  const from = new Set(pairs.map((pair) => pair.from))
  return found.flatMap((one): Different[] => {
    if (one.mark === 'D' && one.before !== null && from.has(one.before)) return []
    const pair = one.mark === 'A' && one.after !== null ? to.get(one.after) : undefined
    if (pair === undefined) return [one]
    const { also } = pair
    if (pair.inside) return also === null ? [] : [{ ...one, mark: also, before: pair.from }]
    const renamed = { ...one, before: pair.from, from: pair.from.entry.path }
    return [also === null ? renamed : { ...renamed, also }]
  })
}

async function shownOf(
  one: Different,
  contents: SideBytes | null,
  databases: SideDatabases | null,
): Promise<Difference> {
  const { path, from, also } = one
  const side = async (of: Side | null, which: 'before' | 'after') => {
    if (of === null) return null
    const { kind, size = 0 }: Entry = of.entry
    const read = (await contents?.read(of, which)) ?? null
    return { kind, size, ...(read === null ? {} : { bytes: read }) }
  }
  const sides = { before: await side(one.before, 'before'), after: await side(one.after, 'after') }
  const isChanged = also === 'M' || (one.mark !== 'attr' && from === undefined)
  const isLarge = isChanged && one.before !== null && one.after !== null && !isWhole(sides)
  const different = isLarge ? await contents?.difference(one.before!, one.after!) : null
  const database = isChanged && isFile(one) ? await databases?.of(one) : null
  return {
    path,
    mark: from === undefined ? one.mark : 'R',
    ...(from === undefined ? {} : { from }),
    ...(also === undefined ? {} : { also }),
    ...sides,
    ...(different == null ? {} : { different }),
    ...(database == null ? {} : 'told' in database ? { partOf: database.told } : { database }),
  }
}

const isFile = ({ before, after }: Different): boolean =>
  (after ?? before)?.entry.kind === 'file' && (before ?? after)?.entry.kind === 'file'

const isWhole = (sides: Pick<Difference, 'before' | 'after'>): boolean =>
  sides.before?.bytes !== undefined && sides.after?.bytes !== undefined
