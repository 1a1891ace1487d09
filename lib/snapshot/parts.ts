// What a restore of single paths has to do: as plan.ts for a whole layer, for what lies at and
// below the paths alone. Nothing else of the state is read, nothing else of the layer is touched.
//
//   path ─▶ same surroundings now as then?  yes ─▶ the state's own entries
//                                           no  ─▶ what the state showed, as whole files
//
// The state's entries mean something only where they lie over the same directory of the read-only
// sublayer. Where it was renamed since, or where what would show again shows under another name by
// now, the path becomes a full copy, in a directory that hides what lies below.
//
// Rule: a number that another file may have by now is not given again; hard links hold between
// the names that are restored together, and no others.

import { Failure } from '../base/failure.ts'
import { isWithin, parentPath, type RelPath, ROOT, shown } from '../base/path.ts'
import { Below, type BelowIndex } from './below.ts'
import { sameRecord } from './changes.ts'
import type { DepotReader } from './depot.ts'
import { openImage } from './image.ts'
import type { Report } from './jobs.ts'
import { besides, planBeside } from './keep-both.ts'
import { readNumbers } from './numbers.ts'
import { Comparison, type Fix, type PlanJob, type Planned } from './plan.ts'
import { PresentContents } from './present.ts'
import type { Entry } from './records.ts'
import { type Shown, ShownTree } from './shown-tree.ts'
import { KnownList, StateList } from './state-list.ts'
import { comparePaths, type Listed } from './tree.ts'

/** Which paths of a state are meant. */
export interface Parts {
  readonly paths: readonly RelPath[]
  /** The state's id. */
  readonly state: string
  /** The read-only trees that the state was made on, and that the layer has now: often the same. */
  readonly then: BelowTree
  readonly now: BelowTree
  /** What is there stays; the state's is put beside it. */
  readonly keepBoth: boolean
  /** What the state does not show is removed; otherwise it is refused. */
  readonly absent?: boolean
}

/** A read-only tree, and its index; null where it has none. */
export interface BelowTree {
  readonly path: string
  readonly index: BelowIndex | null
}

/** One name of the writable sublayer as it is now. */
export interface PresentName {
  readonly entry: Entry
  readonly ino: number
  /** What it hides or merges with. */
  readonly over: RelPath | null
}

/** What a plan of parts is made from. */
export interface Ground {
  readonly job: PlanJob
  readonly parts: Parts
  readonly list: StateList
  readonly head: StateList | null
  /** The read-only trees then and now. */
  readonly belowThen: Below
  readonly belowNow: Below
  readonly present: readonly PresentName[]
  /** What the state showed, and what shows now. */
  readonly then: ShownTree
  readonly now: ShownTree
}

export async function planParts(
  job: PlanJob,
  parts: Parts,
  depot: DepotReader,
  report: Report,
): Promise<Planned> {
  const belowThen = new Below(parts.then.path, parts.then.index)
  const belowNow = new Below(parts.now.path, parts.now.index)
  try {
    const list = new StateList(depot, job.target)
    const head = job.head === null ? null : new StateList(depot, job.head)
    const then = new ShownTree(list, belowThen)
    const paths = topmost(parts.paths)
    if (parts.absent !== true) await mustShow(then, paths, parts.state)
    const beside = new Map<RelPath, RelPath>()
    for (const path of parts.keepBoth ? paths : [])
      for (const name of besides(path, parts.state)) beside.set(name, path)
    const present = await presentOf(job, paths, beside, list, head, report)
    const known = new KnownList()
    for (const { entry } of present) known.add(entry)
    const now = new ShownTree(known, belowNow)
    const wanted = { ...parts, paths }
    const ground = { job, parts: wanted, list, head, belowThen, belowNow, present, then, now }
    const ways = await planWays(ground)
    const planned = await (parts.keepBoth ? planBeside(ground) : planReplacing(ground))
    return joined(ways, planned, closedTo(ground))
  } finally {
    belowThen.close()
    belowNow.close()
  }
}

// Without those that lie below another, in the order of a walk.
function topmost(paths: readonly RelPath[]): RelPath[] {
  const sorted = [...new Set(paths)].sort(comparePaths)
  return sorted.filter((path) => !sorted.some((other) => other !== path && isWithin(path, other)))
}

/** Throws SVS_PATH_NOT_IN_STATE for one that the state does not show. */
export async function mustShow(
  then: ShownTree,
  paths: readonly RelPath[],
  state: string,
): Promise<void> {
  for (const path of paths)
    if ((await then.look(path)) === null)
      throw new Failure('SVS_PATH_NOT_IN_STATE', state, shown(path))
}

async function presentOf(
  job: PlanJob,
  paths: readonly RelPath[],
  beside: ReadonlyMap<RelPath, RelPath>,
  list: StateList,
  head: StateList | null,
  report: Report,
): Promise<PresentName[]> {
  const image = openImage(job.dirs, job.prefix)
  const contents = new PresentContents(job.restamped)
  const found: PresentName[] = []
  try {
    for (const item of image.entries([...paths, ...beside.keys()])) {
      // What was brought beside a file before is known by that file.
      const path = beside.get(item.entry.path) ?? item.entry.path
      const states = [(await head?.listed(path)) ?? null, await list.listed(path)]
      found.push({ entry: contents.complete(item, states), ino: item.ino, over: item.shownOver })
      report({ entries: found.length, bytes: 0 })
    }
    image.check()
    return found
  } finally {
    image.close()
  }
}

/** Steps that make the directories on the way to the paths, where they are not there. */
interface Ways {
  readonly removes: RelPath[]
  readonly places: Entry[]
}

async function planWays({ parts, then, now, present }: Ground): Promise<Ways> {
  const made = new Set<RelPath>()
  const ways: Ways = { removes: [], places: [] }
  for (const path of parts.paths) {
    for (const dir of waysTo(path)) {
      if (made.has(dir)) continue
      made.add(dir)
      const here = await now.look(dir)
      if (here !== null && here.entry.kind !== 'dir')
        throw new Failure('SVS_PATH_BLOCKED', shown(path), shown(dir))
      if (here?.listed === true) continue
      const entry = here?.entry ?? (await then.look(dir))?.entry
      // What is to be removed there is not there.
      if (entry === undefined) break
      const hidden = present.some((one) => one.entry.path === dir)
      if (hidden) ways.removes.push(dir)
      ways.places.push({ ...entry, number: 0, ...(hidden ? { marks: { opaque: true } } : {}) })
    }
  }
  return ways
}

function waysTo(path: RelPath): RelPath[] {
  if (path === '') return []
  const dir = parentPath(path)
  return [...waysTo(dir), dir]
}

// What an ordinary user opens up to put something into it gets its own mode again.
function closedTo({ parts, present }: Ground): Fix[] {
  if (process.geteuid?.() === 0) return []
  const ways = new Set(parts.paths.flatMap(waysTo))
  return present
    .filter(({ entry }) => ways.has(entry.path) && entry.kind === 'dir')
    .filter(({ entry }) => (entry.mode & 0o700) !== 0o700)
    .map(({ entry }) => ({ entry, removeXattrs: [], renumber: 0 }))
    .reverse()
}

function joined(ways: Ways, { plan, steps }: Planned, closed: readonly Fix[]): Planned {
  const places = [...ways.places, ...steps.places]
  const write = [...ways.places.map(({ path, size = 0 }) => ({ path, size })), ...plan.write]
  return {
    plan: { ...plan, write },
    steps: {
      ...steps,
      removes: [...ways.removes, ...steps.removes],
      places,
      fixes: [...steps.fixes, ...closed],
    },
  }
}

async function planReplacing(ground: Ground): Promise<Planned> {
  const { job, parts, head, present } = ground
  const copied = new Map<RelPath, RelPath>()
  const heads = head === null ? null : (path: RelPath) => head.within(path)
  const comparison = new Comparison(
    job.prefix,
    eachOf(parts.paths, await targetsOf(ground, copied)),
    eachOf(parts.paths, heads ?? none),
    true,
  )
  for (const { entry, ino } of present)
    if (parts.paths.some((path) => isWithin(entry.path, path)))
      await comparison.take(entry.path, ino, () => entry)
  const { plan, steps } = await comparison.end()
  return { plan, steps: { ...steps, copied } }
}

type Stream = (path: RelPath) => AsyncGenerator<Listed>

async function* none(): AsyncGenerator<Listed> {}

async function* eachOf(paths: readonly RelPath[], stream: Stream): AsyncGenerator<Listed> {
  for (const path of paths) yield* stream(path)
}

// What is to be at and below each path.
async function targetsOf(ground: Ground, copied: Map<RelPath, RelPath>): Promise<Stream> {
  const asItWas = new Set<RelPath>()
  for (const path of ground.parts.paths) if (await meansTheSame(ground, path)) asItWas.add(path)
  const firsts = new Map<string, RelPath>()
  return async function* (path) {
    if (asItWas.has(path)) yield* listedWithin(ground.list, path, firsts)
    else yield* shownWithin(ground.then, path, firsts, copied)
  }
}

// The first name among those that are restored stands for the file.
async function* listedWithin(
  list: StateList,
  path: RelPath,
  firsts: Map<string, RelPath>,
): AsyncGenerator<Listed> {
  for await (const { entry, stamp } of list.within(path)) {
    const { link, linked, ...alone } = entry
    const file = link ?? (linked === true ? entry.path : null)
    yield { entry: file === null ? entry : asLinked(alone, `/${file}`, firsts), stamp }
  }
}

async function* shownWithin(
  then: ShownTree,
  path: RelPath,
  firsts: Map<string, RelPath>,
  copied: Map<RelPath, RelPath>,
): AsyncGenerator<Listed> {
  const top = await then.look(path)
  if (top === null) return
  for await (const one of then.within(top)) {
    if (one.bytes.at === 'below') copied.set(one.entry.path, one.bytes.path)
    const hides = one.entry.path === path && one.entry.kind === 'dir' && path !== ROOT
    const entry = hides ? { ...one.entry, marks: { opaque: true as const } } : one.entry
    yield { entry: one.links === null ? entry : asLinked(entry, one.links, firsts), stamp: null }
  }
}

function asLinked(entry: Entry, file: string, firsts: Map<string, RelPath>): Entry {
  const first = firsts.get(file)
  if (first !== undefined) return { ...entry, link: first }
  firsts.set(file, entry.path)
  return { ...entry, linked: true }
}

async function meansTheSame(ground: Ground, path: RelPath): Promise<boolean> {
  const { parts, then, now, list, present } = ground
  if (parts.then.path !== parts.now.path) return false
  const was = await then.look(parentPath(path))
  const is = await now.look(parentPath(path))
  if (was === null || is === null || was.lower !== is.lower) return false
  const names = new Map(present.map((one) => [one.entry.path, one]))
  for await (const { entry } of list.within(path)) {
    const { redirect, base, origin } = entry.marks ?? {}
    const leads = redirect ?? base ?? origin
    if (leads !== undefined && !sameRecord(entry.marks, names.get(entry.path)?.entry.marks))
      return false
  }
  return !(await showsElsewhere(ground, path))
}

// Whether something of the read-only sublayer that the restore would show again has another
// place by now: a renamed file that has its number, a renamed directory that shows it.
async function showsElsewhere(ground: Ground, path: RelPath): Promise<boolean> {
  const { job, belowNow: below, then, present } = ground
  const inside = present.filter(({ entry }) => isWithin(entry.path, path))
  const own = new Set(inside.map(({ ino }) => ino))
  const taken = new Set<number>()
  for (const [ino, number] of readNumbers(job.dirs.numbers)) if (!own.has(ino)) taken.add(number)
  const directories: RelPath[] = []
  for (const { entry, over } of inside) {
    if (over === null || below.look(over) === null) continue
    const was = await then.look(entry.path)
    const again = was === null ? null : shownAgain(was, entry, over)
    if (again === null) continue
    for (const number of numbersWithin(below, again)) if (taken.has(number)) return true
    if (was?.entry.kind === 'dir') directories.push(again)
  }
  return directories.length > 0 && leadsInto(job, path, directories)
}

function shownAgain(was: Shown, now: Entry, over: RelPath): RelPath | null {
  if (was.entry.kind !== 'dir') return was.listed ? null : over
  const merges =
    now.kind === 'dir' && now.marks?.opaque !== true && now.marks?.redirect === undefined
  return was.lower === null || merges ? null : was.lower
}

function* numbersWithin(below: Below, path: RelPath): Generator<number> {
  const entry = below.look(path)?.entry
  if (entry === undefined) return
  if (entry.kind !== 'dir') yield entry.number
  else
    for (const name of below.list(path)) yield* numbersWithin(below, `${path}/${name}` as RelPath)
}

function leadsInto(job: PlanJob, path: RelPath, directories: readonly RelPath[]): boolean {
  const image = openImage(job.dirs, job.prefix)
  try {
    for (const { entry } of image.entries()) {
      const to = entry.marks?.redirect
      if (to === undefined || isWithin(entry.path, path)) continue
      if (directories.some((dir) => isWithin(to, dir) || isWithin(dir, to))) return true
    }
    return false
  } finally {
    image.close()
  }
}
