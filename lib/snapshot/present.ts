// What lies in a writable sublayer now, with the names of its contents, reading as little as
// can be: files that a known state vouches for are not read.
//
// Rule: a content without a name here is one that no known state has at that path.

import type { DepotReader } from './depot.ts'
import { contentId, FileCut } from './file-data.ts'
import { hasContent, isAsRestored, isUnchanged } from './file-store.ts'
import { type ImageEntry, openImage } from './image.ts'
import type { PlanJob } from './plan.ts'
import type { Entry } from './records.ts'
import type { Restamped } from './restamped.ts'
import { type Listed, readTree, TreeCursor } from './tree.ts'

export class PresentContents {
  /** Contents of files that have several names, by inode. */
  readonly #known = new Map<number, string | undefined>()
  readonly #restamped: Restamped['stamps'] | null

  /** `restamped`: of files that are as the first of the known states has them. */
  constructor(restamped: Restamped['stamps'] | null = null) {
    this.#restamped = restamped
  }

  /** The present entry with the name of its content; `states`: what known states have there, the head first. */
  complete(item: ImageEntry, states: readonly (Listed | null)[]): Entry {
    const { entry, ino } = item
    if (!hasContent(entry)) return entry
    const several = entry.linked === true || entry.link !== undefined
    const content =
      this.#known.get(ino) ?? this.#restored(item, states[0]) ?? contentAmong(item, states)
    if (several) this.#known.set(ino, content)
    return content === undefined ? entry : { ...entry, content }
  }

  #restored(item: ImageEntry, head: Listed | null | undefined): string | undefined {
    return head != null && isAsRestored(item, head, this.#restamped)
      ? head.entry.content
      : undefined
  }
}

function contentAmong(item: ImageEntry, states: readonly (Listed | null)[]): string | undefined {
  const here = states.filter((listed) => listed !== null)
  const same = here.find((listed) => isUnchanged(item, listed))
  if (same !== undefined) return same.entry.content
  // Of another size than all of them: it is none, whatever its name.
  if (!here.some(({ entry }) => entry.size === item.entry.size)) return undefined
  const file = item.open()
  try {
    return contentId(file)
  } catch (err) {
    // Cut by a running program meanwhile: then it is none of theirs.
    if (err instanceof FileCut) return undefined
    throw err
  } finally {
    file.close()
  }
}

/** All that lies there now, as a state's list would have it. */
export async function* presentEntries(job: PlanJob, depot: DepotReader): AsyncGenerator<Listed> {
  const image = openImage(job.dirs, job.prefix)
  const contents = new PresentContents(job.restamped)
  const target = new TreeCursor(readTree(depot, job.target))
  const head = new TreeCursor(readTree(depot, job.head ?? []))
  try {
    for (const item of image.entries()) {
      const states = [
        await head.at(item.entry.path, () => {}),
        await target.at(item.entry.path, () => {}),
      ]
      yield { entry: contents.complete(item, states), stamp: item.stamp, ino: item.ino }
    }
    image.check()
  } finally {
    image.close()
  }
}
