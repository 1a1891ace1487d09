// The one order in which a tree is walked: depth first, a directory before what it holds,
// names in byte order. The root is the first entry, with path ''.
//
// Inode numbers, digests and archives rest on this order: it must never change.
//
// Rule: nothing is followed, and every step is relative to a directory's descriptor, so a
// path may be longer than PATH_MAX and no directory can be exchanged for a link meanwhile.

import { ERRNO } from '../base/errno.ts'
import { joinPath, type RelPath, ROOT } from '../base/path.ts'
import { listDirectory } from '../host/directory.ts'
import { Stat } from '../host/stat.ts'
import { must, O, S, sys } from '../host/sys.ts'

/** One name of the tree. Valid until the next step: the descriptor closes, the attributes change. */
export interface WalkEntry {
  readonly path: RelPath
  /** Descriptor of the directory that holds it, and its name there; '' for the root itself. */
  readonly dir: number
  readonly name: string
  readonly stat: Stat
}

interface Level {
  readonly fd: number
  readonly path: RelPath
  readonly names: readonly string[]
  at: number
}

/**
 * Every name below the directory `root`, in the order above. `enter` says whether a directory's
 * content is wanted. A name that vanishes meanwhile is left out. Throws Errno.
 */
export function* walk(
  root: number,
  enter: (entry: WalkEntry) => boolean = () => true,
): Generator<WalkEntry, void, void> {
  const stat = new Stat()
  const levels: Level[] = []
  try {
    must(sys.stat(root, '', stat), 'stat')
    const top = { path: ROOT, dir: root, name: '', stat }
    yield top
    if (enter(top)) levels.push(level(root, '.', ROOT))
    while (levels.length > 0) {
      const here = levels.at(-1)!
      const name = here.names[here.at++]
      if (name === undefined) {
        sys.close(here.fd)
        levels.pop()
        continue
      }
      const found = sys.stat(here.fd, name, stat)
      if (found === -ERRNO.ENOENT) continue
      const entry = { path: joinPath(here.path, name), dir: here.fd, name, stat }
      must(found, entry.path)
      const inside = (stat.mode & S.IFMT) === S.IFDIR && enter(entry)
      yield entry
      if (inside) levels.push(level(here.fd, name, entry.path))
    }
  } finally {
    for (const { fd } of levels) sys.close(fd)
  }
}

function level(dir: number, name: string, path: RelPath): Level {
  const fd = must(sys.openat(dir, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW), path)
  try {
    const names = listDirectory(fd).map((entry) => entry.name)
    // Latin1 text compares by code unit, which is the byte.
    return { fd, path, names: names.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0)), at: 0 }
  } catch (err) {
    sys.close(fd)
    throw err
  }
}
