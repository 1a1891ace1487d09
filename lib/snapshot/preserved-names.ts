// The names of a directory at the instant of a freeze: what was preserved of them covers what it
// lists now. The format stands in lib/layer/name-log.ts.
//
//   listed now   a  new  z           told   "b" was there   "new" was not
//   the image    a  b    z
//
// Rule: the directory is listed first, then this is read; a name of which nothing is told by then
// had not changed.

import type { DirEntry } from '../host/directory.ts'
import { readNameLines, wholeLines } from '../layer/name-log.ts'

export class PreservedNames {
  readonly #told = new Map<string, DirEntry | null>()
  /** True where it tells all names. */
  isAll = false
  /** Bytes of the file that were read. */
  read = 0

  /** Takes in what the file has behind what was read. False where that makes no sense. */
  add(bytes: Buffer): boolean {
    const length = wholeLines(bytes)
    const found = readNameLines(bytes.toString('utf8', 0, length))
    if (found === null) return false
    for (const [name, was] of found.lines) if (!this.#told.has(name)) this.#told.set(name, was)
    this.isAll = found.isAll
    this.read += length
    return true
  }

  /** How a name was; null where it was not there, undefined where it is as it is now. */
  find(name: string): DirEntry | null | undefined {
    const was = this.#told.get(name)
    return was === undefined && this.isAll ? null : was
  }

  /** All names at the instant, of a directory that lists these now. */
  over(live: readonly DirEntry[]): DirEntry[] {
    const were = [...this.#told.values()].filter((was) => was !== null)
    return this.isAll ? were : [...were, ...live.filter(({ name }) => !this.#told.has(name))]
  }
}
