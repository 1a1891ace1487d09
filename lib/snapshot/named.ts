// What is to be looked at of an image, from what the journal names: each path once, in the order of
// a walk, and with a file's name all its other names.
//
//   journal: paths, inodes ─▶ sorted, without what lies below a whole one
//   files met there that have several names ─▶ their names in the state before
//
// Rule: which name of a file is its first depends on all of them, so they are looked at together.

import type { RelPath } from '../base/path.ts'
import type { Changed } from '../layer/changed.ts'
import type { Image } from './image.ts'
import type { ParentList } from './parent-list.ts'
import { comparePaths, hasSeveralNames } from './tree.ts'

export interface Named {
  readonly path: RelPath
  /** With all below it. */
  readonly whole: boolean
}

/** In the order of a walk; none lies below a whole one. */
export async function namedPaths(
  changed: Changed,
  image: Image,
  parent: ParentList,
): Promise<Named[]> {
  const named = inOrder(changed.names.map(([path, whole]) => ({ path, whole })))
  parent.foresee(named.map(({ path }) => path))
  const unseen = new Set(changed.files)
  const files = await linkedFiles(named, unseen, image, parent)
  if (files.size === 0) return named
  const more: Named[] = []
  for (const { entry, ino = 0 } of await parent.linked()) {
    // Which file it is was not noted where the state came from elsewhere.
    if (ino === 0 || files.has(ino)) more.push({ path: entry.path, whole: false })
    unseen.delete(ino)
  }
  // They had one name, which was not the one that they were changed by.
  if (unseen.size > 0)
    for (const { entry } of await parent.ofInodes(unseen))
      more.push({ path: entry.path, whole: false })
  return inOrder([...named, ...more])
}

// Files with several names among all that is named, now and in the state before. Those that are met are
// no longer unseen.
async function linkedFiles(
  named: readonly Named[],
  unseen: Set<number>,
  image: Image,
  parent: ParentList,
): Promise<Set<number>> {
  const files = new Set(unseen)
  for (const { path, whole } of named) {
    for (const { entry, ino } of image.visit(path, whole)) {
      if (hasSeveralNames(entry)) files.add(ino)
      unseen.delete(ino)
    }
    for (const { entry, ino = 0 } of await parent.within(path, whole)) {
      if (hasSeveralNames(entry)) files.add(ino)
    }
  }
  image.rewind()
  return files
}

/** In the order of a walk, without what lies below a whole one. */
export function inOrder(named: readonly Named[]): Named[] {
  const sorted = [...named].sort(
    (a, b) => comparePaths(a.path, b.path) || Number(b.whole) - Number(a.whole),
  )
  const kept: Named[] = []
  let over: Named | null = null
  for (const one of sorted) {
    if (kept.at(-1)?.path === one.path) continue
    if (over !== null && (over.path === '' || one.path.startsWith(`${over.path}/`))) continue
    kept.push(one)
    if (one.whole) over = one
  }
  return kept
}
