// What a read-only sublayer has at a path: asked to tell "added" from "changed".
//
// Rule: nothing is followed; absent and "lies under a file" are the same answer.

import { baseName, isWithin, joinPath, parentPath, type RelPath } from '../base/path.ts'
import { Stat } from '../host/stat.ts'
import { S, sys } from '../host/sys.ts'
import type { Lower } from './changes.ts'
import { LastDir } from './last-dir.ts'
import type { Entry } from './records.ts'

/** The read-only trees of one layer, open until `close`. */
export class LowerTrees {
  readonly #dirs: readonly LastDir[]
  readonly #stat = new Stat()

  constructor(paths: readonly string[]) {
    this.#dirs = paths.map((path) => new LastDir(path))
  }

  look(path: RelPath | null): Lower | null {
    if (path === null) return null
    for (const dir of this.#dirs) {
      if (!this.#find(dir, path)) continue
      const { mode, uid, gid, rdevMajor, rdevMinor } = this.#stat
      const type = mode & S.IFMT
      // A whiteout of an upper tree hides what lower ones have.
      if (type === S.IFCHR && rdevMajor === 0 && rdevMinor === 0) return null
      return { isDir: type === S.IFDIR, mode: mode & 0o7777, uid, gid }
    }
    return null
  }

  /** Size of a regular file; null where there is none. */
  sizeOf(path: RelPath): number | null {
    for (const dir of this.#dirs)
      if (this.#find(dir, path))
        return (this.#stat.mode & S.IFMT) === S.IFREG ? this.#stat.size : null
    return null
  }

  close(): void {
    for (const dir of this.#dirs) dir.close()
  }

  #find(dir: LastDir, path: RelPath): boolean {
    const parent = dir.at(parentPath(path))
    return parent !== null && sys.stat(parent, baseName(path), this.#stat) === 0
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
