// What happened to one path from one state to the next.
//
//   lists equal on the way to it, at it and below it ─▶ nothing, and little was read
//   otherwise ─▶ the difference of both states, and what each of them shows there ─▶ PathChange
//
// Rule: whether it is there is what a state shows, not what its list has: a directory above may have
// come, gone, or been renamed.

import { isWithin, parentPath, type RelPath } from '../base/path.ts'
import { Below } from './below.ts'
import type { DepotReader } from './depot.ts'
import { type Difference, type DiffSide, type DiffStatesJob, diffStates } from './diff.ts'
import type { Report } from './jobs.ts'
import type { Entry, Piece } from './records.ts'
import { ShownTree } from './shown-tree.ts'
import { StateList } from './state-list.ts'
import { type Listed, listChunks, pieceAt } from './tree.ts'

export interface PathChange {
  /** `M` also of a directory in which something changed. */
  readonly mark: Difference['mark']
  /** Where it was before, if it was renamed. */
  readonly from?: RelPath
  /** Where it went, if it is gone by that. */
  readonly to?: RelPath
  readonly also?: 'M' | 'attr'
  readonly before: DiffSide | null
  readonly after: DiffSide | null
  /** What changed below it. */
  readonly below: readonly Difference[]
}

export interface PathChangeJob extends DiffStatesJob {
  readonly path: RelPath
}

/** Null where nothing of it changed. */
export async function pathChange(
  job: PathChangeJob,
  depot: DepotReader,
  report: Report,
): Promise<PathChange | null> {
  const { path, before, after } = job
  const { earlier } = job
  if (earlier === undefined && !(await mayDiffer(depot, before ?? [], after, path))) return null
  const all = await diffStates({ ...job, within: [path] }, depot, report)
  const below = new Below(job.ro[0]!, job.index ?? null)
  const older = earlier === undefined ? below : new Below(earlier.ro[0]!, earlier.index)
  try {
    const shown = (pieces: readonly Piece[], over: Below) =>
      new ShownTree(new StateList(depot, pieces), over)
    const [old, now] = [shown(before ?? [], older), shown(after, below)]
    const side = async (tree: ShownTree, name: RelPath) => sideOf((await tree.look(name))?.entry)
    const is = await side(now, path)
    const from = is === null ? null : movedFrom(all, path)
    const moved = from === null ? null : await side(old, from)
    const was = moved ?? (await side(old, path))
    return changeOf(all, path, moved === null ? null : from, was, is)
  } finally {
    below.close()
    if (older !== below) older.close()
  }
}

function changeOf(
  all: readonly Difference[],
  path: RelPath,
  from: RelPath | null,
  before: DiffSide | null,
  after: DiffSide | null,
): PathChange | null {
  const within = (name: RelPath | undefined, dir: RelPath) =>
    name !== undefined && name !== dir && isWithin(name, dir)
  const below = all.filter((one) => within(one.path, path) || within(one.from, from ?? path))
  const sides = { before, after, below }
  if (before === null) return after === null ? null : { ...sides, mark: 'A' }
  if (after === null) {
    const to = movedTo(all, path)
    return { ...sides, mark: 'D', ...(to === null ? {} : { to }) }
  }
  const own = all.find((one) => one.path === path)
  if (from !== null) {
    const also = own?.also ?? (own?.mark === 'M' || own?.mark === 'attr' ? own.mark : undefined)
    return { ...sides, mark: 'R', from, ...(also === undefined ? {} : { also }) }
  }
  if (own !== undefined && below.length === 0 && own.mark === 'attr')
    return { ...sides, mark: 'attr' }
  return own === undefined && below.length === 0 ? null : { ...sides, mark: 'M' }
}

/** The name that it, or a directory above it, had before; null where that is no other. */
function movedFrom(all: readonly Difference[], path: RelPath): RelPath | null {
  const own = all.find((one) => one.path === path)
  if (own?.mark === 'A') return null
  const moves = all.filter((one) => one.from !== undefined && isWithin(path, one.path))
  const last = longest(moves, (one) => one.path)
  return last === null ? null : (`${last.from}${path.slice(last.path.length)}` as RelPath)
}

function movedTo(all: readonly Difference[], path: RelPath): RelPath | null {
  const moves = all.filter((one) => one.from !== undefined && isWithin(path, one.from))
  const last = longest(moves, (one) => one.from!)
  return last === null ? null : (`${last.path}${path.slice(last.from!.length)}` as RelPath)
}

const longest = (some: readonly Difference[], nameOf: (one: Difference) => string) =>
  some.reduce<Difference | null>(
    (best, one) => (best === null || nameOf(one).length > nameOf(best).length ? one : best),
    null,
  )

const sideOf = (entry: Entry | undefined): DiffSide | null =>
  entry === undefined ? null : { kind: entry.kind, size: entry.size ?? 0 }

/** False where both lists say the same of a path, of what lies below it and of the way to it. */
async function mayDiffer(
  depot: DepotReader,
  before: readonly Piece[],
  after: readonly Piece[],
  path: RelPath,
): Promise<boolean> {
  const [was, is] = [new StateList(depot, before), new StateList(depot, after)]
  for (const name of wayTo(path)) {
    if (samePieces([before[pieceAt(before, name)]], [after[pieceAt(after, name)]])) continue
    if (!same(await was.listed(name), await is.listed(name))) return true
  }
  if (samePieces(holding(before, path), holding(after, path))) return false
  const older = was.within(path)
  for await (const listed of is.within(path)) {
    const { value } = await older.next()
    if (!same(value ?? null, listed)) return true
  }
  return (await older.next()).done !== true
}

const wayTo = (path: RelPath): RelPath[] =>
  path === '' ? [] : [...wayTo(parentPath(path)), parentPath(path)]

/** The pieces that may have a path, and what lies below it. */
function holding(pieces: readonly Piece[], path: RelPath): readonly Piece[] {
  const first = pieceAt(pieces, path)
  const end = pieces.findIndex((piece, at) => at > first && !isWithin(piece.first, path))
  return pieces.slice(first, end === -1 ? undefined : end)
}

type Pieces = readonly (Piece | undefined)[]

function samePieces(a: Pieces, b: Pieces): boolean {
  const nameOf = (piece: Piece | undefined) =>
    piece === undefined ? '' : [piece.first, piece.entries, ...listChunks(piece)].join(' ')
  return a.length === b.length && a.every((piece, at) => nameOf(piece) === nameOf(b[at]))
}

// Access times count for nothing, and a directory's own times only where they are of the path itself.
function same(a: Listed | null, b: Listed | null): boolean {
  if (a === null || b === null) return a === b
  return JSON.stringify(plain(a.entry)) === JSON.stringify(plain(b.entry))
}

function plain(entry: Entry): Partial<Entry> {
  const { atime: _, atimeNsec: __, mtime, mtimeNsec, ...rest } = entry
  return rest.kind === 'dir' ? rest : { ...rest, mtime, mtimeNsec }
}
