// Times that programs must not see change, though the view changes something for itself.
//
// Rule: the disk is set back at once, and what it does not let set is kept beside it (ctimes.ts).

import { Stat } from '../host/stat.ts'
import { must, sys } from '../host/sys.ts'
import { ctimeOf } from './attributes.ts'
import type { Branch } from './branch.ts'
import type { Moment } from './node.ts'

const stat = new Stat()

/** Does something in a directory whose times programs must not see change. */
export function keepTimes(rw: Branch, dir: number, act: () => void): void {
  must(sys.stat(dir, '', stat), 'stat')
  const { atime, atimeNsec, mtime, mtimeNsec } = stat
  const shown = ctimeOf(rw, stat)
  act()
  sys.utimensat(dir, '', atime, atimeNsec, mtime, mtimeNsec)
  if (rw.ctimes !== null && sys.stat(dir, '', stat) >= 0) rw.ctimes.keep(stat, shown)
}

/** A copy shows when what it is a copy of was changed, until it is changed itself. */
export function keepCtime(rw: Branch, dir: number, name: string, shown: Moment): void {
  if (rw.ctimes !== null && sys.stat(dir, name, stat) >= 0) rw.ctimes.keep(stat, shown)
}
