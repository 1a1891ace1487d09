// What two trees show otherwise that lie over different versions of the read-only part: their lists
// say nothing about each other, so what they show is held against each other, name by name.
//
//   before ─▶ ShownTree over its version ─┐
//                                         ├─ one walk ─▶ marks
//   after  ─▶ ShownTree over its version ─┘
//
// Rule: bytes decide, not times: packages that were built anew keep them. They are read only where both
// sides have as many, and at the paths that are asked for.

import { isWithin, type RelPath } from '../base/path.ts'
import { type Mark, sameAttributes } from './changes.ts'
import type { Report } from './jobs.ts'
import type { Side } from './renames.ts'
import type { Shown, ShownTree } from './shown-tree.ts'
import { type SideReader, sameBytes } from './side-reader.ts'

/** A name that differs, with all that is known of both sides. */
export interface Found {
  readonly path: RelPath
  readonly mark: Mark
  readonly before: Side | null
  readonly after: Side | null
}

interface Pair {
  readonly was: Shown | null
  readonly is: Shown | null
}

/** What differs, in the order of a walk. `within`: only there bytes are read; everywhere where absent. */
export async function foundInTrees(
  before: ShownTree,
  after: ShownTree,
  reader: SideReader,
  report: Report,
  within: readonly RelPath[] | undefined,
): Promise<Found[]> {
  const found: Found[] = []
  const trees = { before, after }
  let entries = 0
  for await (const { was, is } of pairs(trees, await before.root(), await after.root())) {
    report({ entries: (entries += 1), bytes: 0 })
    const { path } = (is ?? was)!.entry
    const sides = { before: sideOf(was), after: sideOf(is) }
    const reads = within === undefined || within.some((one) => isWithin(path, one))
    const mark = await markOf(sides.before, sides.after, reads ? reader : null)
    if (mark !== null) found.push({ path, mark, ...sides })
  }
  return found
}

type Trees = Readonly<Record<'before' | 'after', ShownTree>>

async function* pairs(trees: Trees, was: Shown | null, is: Shown | null): AsyncGenerator<Pair> {
  yield { was, is }
  const older = was?.entry.kind === 'dir' ? await trees.before.children(was) : []
  const newer = is?.entry.kind === 'dir' ? await trees.after.children(is) : []
  let at = 0
  for (const child of newer) {
    while (at < older.length && older[at]!.entry.path < child.entry.path)
      yield* pairs(trees, older[at++]!, null)
    const same = older[at]?.entry.path === child.entry.path
    yield* pairs(trees, same ? older[at++]! : null, child)
  }
  for (; at < older.length; at++) yield* pairs(trees, older[at]!, null)
}

function sideOf(shown: Shown | null): Side | null {
  if (shown === null) return null
  const { entry, bytes } = shown
  return bytes.at === 'below'
    ? { entry, ino: 0, below: true, lower: bytes.path }
    : { entry, ino: 0 }
}

async function markOf(
  before: Side | null,
  after: Side | null,
  reader: SideReader | null,
): Promise<Mark | null> {
  if (before === null) return 'A'
  if (after === null) return 'D'
  const [was, is] = [before.entry, after.entry]
  const differs =
    was.kind !== is.kind ||
    was.size !== is.size ||
    was.target !== is.target ||
    was.rdev !== is.rdev ||
    (is.kind === 'file' && (await bytesDiffer(before, after, reader)))
  if (differs) return 'M'
  return sameAttributes(was, is) ? null : 'attr'
}

async function bytesDiffer(before: Side, after: Side, reader: SideReader | null): Promise<boolean> {
  const [was, is] = [before.entry.content, after.entry.content]
  if (was !== undefined && is !== undefined) return was !== is
  const [older, newer] = [reader?.open(before, 'before'), reader?.open(after, 'after')]
  try {
    return older != null && newer != null && !(await sameBytes(older, newer))
  } finally {
    older?.close()
    newer?.close()
  }
}
