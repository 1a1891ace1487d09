// What a restore has to do, where the list of a state says what is there now: the difference of two
// lists, found without looking at the sublayer.
//
//   head   [ a ][ b ][ c ]      pieces that both have are passed over unread;
//   target [ a ][ x ][ c ]      of the rest, the names that differ, and the directories above them
//
// Rule: the same steps as a walk gives (plan.ts), or null: where a file has several names, or
// an inode is not known, only a walk can tell.

import { parentPath, type RelPath } from '../base/path.ts'
import type { Changed } from '../layer/changed.ts'
import type { DepotReader } from './depot.ts'
import { openImage } from './image.ts'
import { inOrder } from './named.ts'
import { ParentList } from './parent-list.ts'
import { Comparison, type PlanJob, type Planned } from './plan.ts'
import { PresentContents } from './present.ts'
import type { Piece } from './records.ts'
import { comparePaths, hasSeveralNames, type Listed, type RawLine, readRawLines } from './tree.ts'

type Pieces = readonly Piece[]

/** `head` of the job is what is there now, but for `changed`. Null where that is not enough. Throws Damage. */
export async function planByLists(job: PlanJob, depot: DepotReader): Promise<Planned | null> {
  const { head, target, prefix } = job
  if (head === null || [...head, ...target].some(mayHaveLinks)) return null
  const now = new Side(depot, head, target)
  const then = new Side(depot, target, head)
  await Promise.all([now.read(), then.read()])
  const changed = job.changed === undefined ? [] : await lookAgain(job, job.changed, now, then)
  if (changed === null) return null
  const here = [...now.differing(then), ...changed]
  const paths = withParents([...here, ...then.differing(now)])
  const entries = (side: Side) => side.entriesOf(paths)
  const comparison = new Comparison(prefix, entries(then), entries(now))
  for await (const { entry, stamp, ino = stamp?.ino ?? 0 } of entries(now)) {
    if (ino === 0) return null
    await comparison.take(entry.path, ino, () => entry)
  }
  return { ...(await comparison.end()), differing: here }
}

// What changed since the list was made is looked at. Answers the names that this is about; null where
// there are files of several names.
async function lookAgain(
  job: PlanJob,
  changed: Changed,
  now: Side,
  then: Side,
): Promise<RelPath[] | null> {
  if (changed.files.length > 0) return null
  const names: RelPath[] = []
  const image = openImage(job.dirs, job.prefix)
  const contents = new PresentContents(job.restamped)
  try {
    for (const { path, whole } of inOrder(
      changed.names.map(([path, whole]) => ({ path, whole })),
    )) {
      for (const { entry } of await then.within(path, whole)) names.push(entry.path)
      const known = new Map((await now.renew(path, whole)).map((line) => [line.entry.path, line]))
      for (const item of image.visit(path, whole)) {
        const { entry, ino, stamp } = item
        if (hasSeveralNames(entry)) return null
        const states = [known.get(entry.path) ?? null, await then.at(entry.path)]
        now.put({ entry: contents.complete(item, states), ino, stamp })
      }
    }
    image.check()
    return [...names, ...now.renewed()]
  } finally {
    image.close()
  }
}

const mayHaveLinks = ({ totals }: Piece): boolean => totals?.links !== false

/** Sorted, with all directories above each. */
function withParents(paths: readonly RelPath[]): RelPath[] {
  const all = new Set<RelPath>(paths)
  for (const path of paths)
    for (let at = path; at !== ''; ) {
      at = parentPath(at)
      if (all.has(at)) break
      all.add(at)
    }
  return [...all].sort(comparePaths)
}

/** One of the two lists: the names in pieces that the other has not. */
class Side {
  readonly #depot: DepotReader
  readonly #list: ParentList
  readonly #own: Pieces
  readonly #lines = new Map<string, RawLine>()
  /** Names that are looked at in any case; null for one that is not there. */
  readonly #renewed = new Map<RelPath, Listed | null>()

  constructor(depot: DepotReader, pieces: Pieces, others: Pieces) {
    const shared = new Set(others.map(nameOf))
    this.#depot = depot
    this.#list = new ParentList(depot, pieces)
    this.#own = pieces.filter((piece) => !shared.has(nameOf(piece)))
  }

  async read(): Promise<void> {
    for (const piece of this.#own)
      for (const line of await readRawLines(this.#depot, piece)) this.#lines.set(line.path, line)
  }

  /** What the list has at a path, and below it where `whole`, counts no more until it is put. */
  async renew(path: RelPath, whole: boolean): Promise<Listed[]> {
    const lines = await this.#list.within(path, whole)
    this.#renewed.set(path, null)
    for (const { entry } of lines) this.#renewed.set(entry.path, null)
    return lines
  }

  renewed(): Iterable<RelPath> {
    return this.#renewed.keys()
  }

  within(path: RelPath, whole: boolean): Promise<Listed[]> {
    return this.#list.within(path, whole)
  }

  put(listed: Listed): void {
    this.#renewed.set(listed.entry.path, listed)
  }

  /** What the list has at a path. */
  async at(path: RelPath): Promise<Listed | null> {
    return this.#lines.get(path)?.listed() ?? (await this.#list.within(path, false))[0] ?? null
  }

  /** Names that the other has not, or has otherwise; also of files that were made anew. Throws Damage. */
  *differing(other: Side): Generator<RelPath> {
    for (const [path, own] of this.#lines) {
      const its = other.#lines.get(path)
      if (its?.line !== own.line || its.ino !== own.ino) yield own.listed().entry.path
    }
  }

  /** What the list has at these paths. */
  async *entriesOf(paths: readonly RelPath[]): AsyncGenerator<Listed> {
    for (const path of paths) {
      const renewed = this.#renewed.get(path)
      // In a piece that both have lie the directories above alone.
      const line = renewed === undefined ? await this.at(path) : renewed
      if (line !== null) yield line
    }
  }
}

const nameOf = ({ list, codec = 'zstd', stamps }: Piece): string =>
  `${codec} ${list.join(' ')} ${stamps.join(' ')}`
