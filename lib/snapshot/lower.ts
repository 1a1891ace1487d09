// What a read-only sublayer has at a path: asked to tell "added" from "changed".
//
// Rule: nothing is followed; absent and "lies under a file" are the same answer.

import { baseName, isWithin, joinPath, type RelPath, shown } from '../base/path.ts'
import { Stat } from '../host/stat.ts'
import { AT_FDCWD, must, O, S, sys } from '../host/sys.ts'
import type { Lower } from './changes.ts'
import type { Entry } from './records.ts'

/** The read-only trees of one layer, open until `close`. */
export class LowerTrees {
  readonly #roots: readonly number[]
  readonly #stat = new Stat()

  constructor(paths: readonly string[]) {
    this.#roots = paths.map((path) =>
      must(sys.openat(AT_FDCWD, path, O.PATH | O.DIRECTORY), shown(path)),
    )
  }

  look(path: RelPath | null): Lower | null {
    if (path === null) return null
    for (const root of this.#roots) {
      if (!this.#find(root, path)) continue
      const { mode, uid, gid, rdevMajor, rdevMinor } = this.#stat
      const type = mode & S.IFMT
      // A whiteout of an upper tree hides what lower ones have.
      if (type === S.IFCHR && rdevMajor === 0 && rdevMinor === 0) return null
      return { isDir: type === S.IFDIR, mode: mode & 0o7777, uid, gid }
    }
    return null
  }

  close(): void {
    for (const root of this.#roots) sys.close(root)
  }

  #find(root: number, path: RelPath): boolean {
    const names = path.split('/')
    const last = names.pop()!
    let dir = root
    try {
      for (const name of names) {
        const next = sys.openat(dir, name, O.PATH | O.DIRECTORY | O.NOFOLLOW)
        if (dir !== root) sys.close(dir)
        dir = next
        if (next < 0) return false
      }
      return sys.stat(dir, last, this.#stat) === 0
    } finally {
      if (dir !== root && dir >= 0) sys.close(dir)
    }
  }
}

/** Follows, along a state's entries in order, where each would show over the read-only sublayer. */
export class LowerTrail {
  readonly #dirs: { path: RelPath; lower: RelPath | null }[] = []

  /** What the entry hides or merges with; null where nothing can show through. */
  at({ path, kind, marks }: Entry): RelPath | null {
    while (this.#dirs.length > 0 && !isWithin(path, this.#dirs.at(-1)!.path)) this.#dirs.pop()
    const over = overOf(this.#dirs.at(-1), path)
    if (kind === 'dir')
      this.#dirs.push({ path, lower: marks?.redirect ?? (marks?.opaque === true ? null : over) })
    return over
  }
}

const overOf = (dir: { lower: RelPath | null } | undefined, path: RelPath): RelPath | null => {
  if (dir === undefined) return path
  return dir.lower === null ? null : joinPath(dir.lower, baseName(path))
}
