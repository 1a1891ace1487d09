// The difference between two states, or between a state and now, as a list of paths.
//
// Rule: it says what a user of the layer would see, not what lies in the sublayer: a directory
// that was only brought up for its entries is no difference (changes.ts decides).

import type { RelPath } from '../base/path.ts'
import { type Mark, markOf } from './changes.ts'
import type { DepotReader } from './depot.ts'
import type { Report } from './jobs.ts'
import { LowerTrail, LowerTrees } from './lower.ts'
import type { PlanJob } from './plan.ts'
import { presentEntries } from './present.ts'
import type { Piece } from './records.ts'
import { readTree, TreeCursor } from './tree.ts'

export interface Difference {
  /** Bytes as latin1 text. */
  readonly path: RelPath
  readonly mark: Mark
}

export interface DiffStatesJob {
  /** Null for the layer as it was installed: the read-only sublayer alone. */
  readonly before: readonly Piece[] | null
  readonly after: readonly Piece[]
  /** Read-only trees, top first. */
  readonly ro: readonly string[]
}

/** What `after` shows otherwise than `before`, in the order of a walk. */
export async function diffStates(
  job: DiffStatesJob,
  depot: DepotReader,
  report: Report,
): Promise<Difference[]> {
  return compare(job.before, readTree(depot, job.after), job.ro, depot, report)
}

export interface DiffNowJob extends PlanJob {
  readonly ro: readonly string[]
}

/** What the layer shows now otherwise than the state `target` (as in a plan). */
export async function diffNow(
  job: DiffNowJob,
  depot: DepotReader,
  report: Report,
): Promise<Difference[]> {
  return compare(job.target, presentEntries(job, depot), job.ro, depot, report)
}

async function compare(
  before: readonly Piece[] | null,
  after: ReturnType<typeof readTree>,
  ro: readonly string[],
  depot: DepotReader,
  report: Report,
): Promise<Difference[]> {
  const trees = new LowerTrees(ro)
  const trail = new LowerTrail()
  const cursor = new TreeCursor(readTree(depot, before ?? []))
  const found: Difference[] = []
  const add = (path: RelPath, mark: Mark | null) => {
    if (mark !== null) found.push({ path, mark })
  }
  const gone = ({ entry }: { entry: Parameters<typeof trail.at>[0] }) =>
    add(
      entry.path,
      markOf(entry, null, () => trees.look(entry.path)),
    )
  try {
    let entries = 0
    for await (const { entry } of after) {
      const was = await cursor.at(entry.path, gone)
      const over = trail.at(entry)
      add(
        entry.path,
        markOf(was?.entry ?? null, entry, () => trees.look(over)),
      )
      report({ entries: (entries += 1), bytes: 0 })
    }
    await cursor.end(gone)
    return found
  } finally {
    trees.close()
  }
}
