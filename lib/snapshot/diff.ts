// The difference between two states, or between a state and now, as a list of paths.
//
//   before ─┐              deleted and added of one file ─▶ renamed
//           ├─ one walk ─▶ marks ─────────────────────────▶ differences ─▶ bytes of both sides
//   after  ─┘
//
// Rule: it says what a user of the layer would see, not what lies in the sublayer: a directory
// that was only brought up for its entries is no difference (changes.ts decides).

import { isWithin, type RelPath } from '../base/path.ts'
import { Below, type BelowIndex } from './below.ts'
import { type Mark, markOf } from './changes.ts'
import type { DepotReader } from './depot.ts'
import { openImage } from './image.ts'
import type { Report } from './jobs.ts'
import { LowerTrail, LowerTrees } from './lower.ts'
import type { PlanJob } from './plan.ts'
import { presentEntries } from './present.ts'
import type { Entry, Kind, Piece } from './records.ts'
import { Renames, type Side } from './renames.ts'
import { SideBytes, type SideSource } from './side-bytes.ts'
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
}

/** What both ways of asking have in common. */
export interface DiffWish {
  /** Read-only trees, top first, and the index of the first; null where it is not known. */
  readonly ro: readonly string[]
  readonly index?: BelowIndex | null
  /** Only what lies at or below these; all of it where absent. */
  readonly paths?: readonly RelPath[]
  /** False where a rename is to be told as a deleted name and an added one. */
  readonly renames?: boolean
  /** Bytes of files are wanted: so many of each at most, and of all together. */
  readonly contents?: { readonly each: number; readonly all: number; readonly scope: string }
  /** A directory for nameless files, where contents are wanted. */
  readonly temporary?: string
}

export interface DiffStatesJob extends DiffWish {
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
  return compare(job, job.before, readTree(depot, job.after), depot, report, null)
}

export interface DiffNowJob extends PlanJob, DiffWish {
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
    return await compare(job, job.target, presentEntries(job, depot), depot, report, image)
  } finally {
    image.close()
  }
}

/** A name that differs, with all that is known of both sides. */
interface Found {
  readonly path: RelPath
  readonly mark: Mark
  readonly before: Side | null
  readonly after: Side | null
}

async function compare(
  job: DiffWish,
  before: readonly Piece[] | null,
  after: AsyncGenerator<Listed>,
  depot: DepotReader,
  report: Report,
  now: SideSource['image'],
): Promise<Difference[]> {
  const below = new Below(job.ro[0]!, job.index ?? null)
  try {
    const found = await walk(job, before, after, depot, report, below)
    const all: readonly Different[] = job.renames === false ? found : differencesOf(found, below)
    const wanted = all.filter(({ path, from }) => isWanted(job, path, from))
    const bytes = job.contents === undefined ? null : new SideBytes(job, depot, below, now)
    const shown: Difference[] = []
    for (const one of wanted) shown.push(await shownOf(one, bytes))
    bytes?.close()
    return shown
  } finally {
    below.close()
  }
}

const isWanted = ({ paths }: DiffWish, ...names: (RelPath | undefined)[]): boolean =>
  paths === undefined ||
  names.some((name) => name !== undefined && paths.some((path) => isWithin(name, path)))

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

function differencesOf(found: readonly Found[], below: Below): Different[] {
  const renames = new Renames()
  for (const { mark, before, after } of found) {
    if (mark === 'D' && before !== null) renames.gone(before)
    if (mark === 'A' && after !== null) renames.came(after)
  }
  const pairs = renames.match((path) => below.look(path)?.entry ?? null)
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

async function shownOf(one: Different, bytes: SideBytes | null): Promise<Difference> {
  const { path, from, also } = one
  const side = async (of: Side | null, which: 'before' | 'after') => {
    if (of === null) return null
    const { kind, size = 0 }: Entry = of.entry
    const read = (await bytes?.read(of, which)) ?? null
    return { kind, size, ...(read === null ? {} : { bytes: read }) }
  }
  return {
    path,
    mark: from === undefined ? one.mark : 'R',
    ...(from === undefined ? {} : { from }),
    ...(also === undefined ? {} : { also }),
    before: await side(one.before, 'before'),
    after: await side(one.after, 'after'),
  }
}
