// A directory of a tree that does not change, found by its path: the one that was asked for last
// stays open, or is known to be absent, as the next path mostly lies in it.
//
// Rule: name by name, each relative to the directory before; no link is followed.

import { isWithin, type RelPath, shown } from '../base/path.ts'
import { AT_FDCWD, must, O, sys } from '../host/sys.ts'

const FLAGS = O.PATH | O.DIRECTORY

export class LastDir {
  readonly #root: number
  /** What was asked for last, or the part of it that is absent. */
  #path = '' as RelPath
  /** Its descriptor; negative where it is absent. */
  #fd: number

  /** `root`: absolute, bytes as latin1 text. */
  constructor(root: string) {
    this.#root = must(sys.openat(AT_FDCWD, root, FLAGS), shown(root))
    this.#fd = this.#root
  }

  /** A descriptor that stays this object's, good until the next call; null where there is no such directory. */
  at(path: RelPath): number | null {
    if (path !== this.#path) {
      const inside = isWithin(path, this.#path)
      if (this.#fd < 0 && inside) return null
      this.#walk(path, inside)
    }
    return this.#fd < 0 ? null : this.#fd
  }

  close(): void {
    this.#leave()
    sys.close(this.#root)
  }

  #leave(): void {
    if (this.#fd >= 0 && this.#fd !== this.#root) sys.close(this.#fd)
    this.#fd = this.#root
    this.#path = '' as RelPath
  }

  #walk(path: RelPath, fromHere: boolean): void {
    if (!fromHere) this.#leave()
    while (this.#path !== path) {
      const from = this.#path === '' ? 0 : this.#path.length + 1
      const slash = path.indexOf('/', from)
      const end = slash < 0 ? path.length : slash
      const next = sys.openat(this.#fd, path.slice(from, end), FLAGS | O.NOFOLLOW)
      if (this.#fd !== this.#root) sys.close(this.#fd)
      this.#path = path.slice(0, end) as RelPath
      this.#fd = next
      if (next < 0) return
    }
  }
}
