// What a restore has to do, where the list of a state says what is there now: the difference of two
// lists, found without looking at the sublayer.
//
//   head   [ a ][ b ][ c ]      pieces that both have are passed over unread;
//   target [ a ][ x ][ c ]      of the rest, the names that differ, and the directories above them
//
// Rule: the same steps as a walk gives (plan.ts), or null: where a file has several names, or
// an inode is not known, only a walk can tell.

import { parentPath, type RelPath } from '../base/path.ts'
import type { DepotReader } from './depot.ts'
import { ParentList } from './parent-list.ts'
import { Comparison, type PlanJob, type Planned } from './plan.ts'
import type { Piece } from './records.ts'
import { comparePaths, type Line, type Listed, readLines } from './tree.ts'

type Pieces = readonly Piece[]

/** `head` of the job is what is there now. Null where that is not enough. Throws Damage. */
export async function planByLists(job: PlanJob, depot: DepotReader): Promise<Planned | null> {
  const { head, target, prefix } = job
  if (head === null || [...head, ...target].some(mayHaveLinks)) return null
  const now = new Side(depot, head, target)
  const then = new Side(depot, target, head)
  await Promise.all([now.read(), then.read()])
  const paths = withParents([...now.differing(then), ...then.differing(now)])
  const entries = (side: Side) => side.entriesOf(paths)
  const comparison = new Comparison(prefix, entries(then), entries(now))
  for await (const { entry, stamp, ino = stamp?.ino ?? 0 } of entries(now)) {
    if (ino === 0) return null
    await comparison.take(entry.path, ino, () => entry)
  }
  return comparison.end()
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
  readonly #lines = new Map<RelPath, Line>()

  constructor(depot: DepotReader, pieces: Pieces, others: Pieces) {
    const shared = new Set(others.map(nameOf))
    this.#depot = depot
    this.#list = new ParentList(depot, pieces)
    this.#own = pieces.filter((piece) => !shared.has(nameOf(piece)))
  }

  async read(): Promise<void> {
    for (const piece of this.#own)
      for (const line of await readLines(this.#depot, piece)) this.#lines.set(line.entry.path, line)
  }

  /** Names that the other has not, or has otherwise. */
  *differing(other: Side): Generator<RelPath> {
    for (const [path, { line }] of this.#lines)
      if (other.#lines.get(path)?.line !== line) yield path
  }

  /** What the list has at these paths. */
  async *entriesOf(paths: readonly RelPath[]): AsyncGenerator<Listed> {
    for (const path of paths) {
      // In a piece that both have lie the directories above alone.
      const line = this.#lines.get(path) ?? (await this.#list.within(path, false))[0]
      if (line !== undefined) yield line
    }
  }
}

const nameOf = ({ list, codec = 'zstd' }: Piece): string => `${codec} ${list.join(' ')}`
