// HOME of a program in a view.

import { ERRNO, errnoOf } from '../base/errno.ts'
import { bytesOf, relPath } from '../base/path.ts'
import { must, O, sys } from '../host/sys.ts'
import { follow } from '../layer/follow.ts'
import { openBelow } from '../layer/open-below.ts'
import { isInMemory } from './sandbox.ts'

/** Where a program finds itself when no home can be made: in memory, and gone with it. */
const NO_HOME = '/tmp'

/**
 * Makes the directory `home` in the view behind `root`, through the view, so that it lies in the layer and
 * belongs to the caller. Returns where it is; /tmp where the caller may not make it, or the
 * program would not see it.
 */
export function makeHome(root: number, home: string): string {
  if (isInMemory(home)) return NO_HOME
  try {
    const led = follow([root], bytesOf(home))
    if (led.kind === 'directory') return home
    if (led.kind === 'other') return NO_HOME
    let at = openBelow(root, '')
    try {
      for (const name of relPath(led.path).split('/')) {
        const made = sys.mkdirat(at, name, 0o755)
        if (made !== -ERRNO.EEXIST) must(made, home)
        const next = must(sys.openat(at, name, O.PATH | O.DIRECTORY | O.NOFOLLOW), home)
        sys.close(at)
        at = next
      }
    } finally {
      sys.close(at)
    }
    return home
  } catch (err) {
    if (!CANNOT.has(errnoOf(err) ?? 0)) throw err
    return NO_HOME
  }
}

const CANNOT: ReadonlySet<number> = new Set([
  ERRNO.EACCES,
  ERRNO.EPERM,
  ERRNO.EROFS,
  ERRNO.ENOTDIR,
  ERRNO.ELOOP,
])
