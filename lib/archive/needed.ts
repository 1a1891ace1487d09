// Which chunks of an archive are needed in a store: of one that is fetched, nothing else is.
//
//   lists (always) ─▶ contents that the store has not got ─▶ their chunks
//                  └▶ the read-only part, where the store has it not: its contents' chunks
//
// Rule: what is left out here is never asked for: a store makes a content by its own record where it has one.

import type { Archive } from './archive.ts'
import type { ArchiveList } from './format.ts'
import { readContents } from './import.ts'

/** Chunks of the lists: what says what else is needed. */
export function listChunks({ manifest }: Archive, withBase: boolean): Set<string> {
  const { states, base, contents } = manifest
  const lists: ArchiveList[] = [contents, ...states.map(({ entries }) => entries)]
  if (withBase && base.tree !== null) lists.push(base.tree)
  return new Set(lists.flatMap(({ pieces }) => pieces.flatMap(({ chunks }) => chunks)))
}

/**
 * All of them; `has` says of a state's content whether the store has it. Chunks of lists must be there.
 * Throws Damage.
 */
export async function neededChunks(
  archive: Archive,
  withBase: boolean,
  has: (id: string) => Promise<boolean>,
): Promise<Set<string>> {
  const needed = listChunks(archive, withBase)
  const states = await readContents(archive, 'state')
  const base = withBase ? await readContents(archive, 'base') : []
  const add = ({ content }: (typeof states)[number]) => {
    for (const { chunks = [] } of content.parts) for (const chunk of chunks) needed.add(chunk)
  }
  for (const each of states) if (!(await has(each.id))) add(each)
  for (const each of base) add(each)
  return needed
}
