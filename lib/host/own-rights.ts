// What the owner of a file or directory may do to it whatever its mode says, once it has
// given itself the right: an ordinary user's mount is the owner of all that it keeps.
//
// Rule: the mode is as it was when the call is over; root is never refused, and pays nothing.

import { ERRNO } from '../base/errno.ts'
import { Stat } from './stat.ts'
import { RENAME_EXCHANGE, S, sys } from './sys.ts'

const OWN_RIGHTS = 0o700
const stat = new Stat()

/** The mode of a thing that now gives its owner all rights; null where it did before, or is no one's to change. */
function giveRights(dir: number, name: string): number | null {
  if (sys.stat(dir, name, stat) < 0 || (stat.mode & S.IFMT) === S.IFLNK) return null
  const mode = stat.mode & ~S.IFMT
  if ((mode & OWN_RIGHTS) === OWN_RIGHTS) return null
  return sys.chmodat(dir, name, mode | OWN_RIGHTS) < 0 ? null : mode
}

/** Makes a call on (dir, name) again with the owner's rights where it answered EACCES. */
export function asOwner<T extends Buffer | number>(dir: number, name: string, call: () => T): T {
  const done = call()
  if (done !== -ERRNO.EACCES) return done
  const mode = giveRights(dir, name)
  if (mode === null) return done
  try {
    return call()
  } finally {
    sys.chmodat(dir, name, mode)
  }
}

/** Does something in a directory with its owner's rights. */
export function inOwnDirectory<T>(dir: number, act: () => T): T {
  const mode = giveRights(dir, '')
  try {
    return act()
  } finally {
    if (mode !== null) sys.chmodat(dir, '', mode)
  }
}

/**
 * renameat2 of what the union itself moves: a directory goes to another parent also where its
 * owner may not write it, and anything into a directory that its owner may not write.
 */
export function moveAsOwner(
  from: number,
  name: string,
  to: number,
  newName: string,
  flags = 0,
): number {
  const done = sys.renameat(from, name, to, newName, flags)
  if (done !== -ERRNO.EACCES) return done
  const exchange = flags & RENAME_EXCHANGE
  const parents = [from, to].map((dir) => [dir, giveRights(dir, '')] as const)
  const moved = isDirectory(from, name) ? giveRights(from, name) : null
  const other = exchange && isDirectory(to, newName) ? giveRights(to, newName) : null
  const again = sys.renameat(from, name, to, newName, flags)
  const swapped = again >= 0
  if (moved !== null) sys.chmodat(swapped ? to : from, swapped ? newName : name, moved)
  if (other !== null) sys.chmodat(swapped ? from : to, swapped ? name : newName, other)
  for (const [dir, mode] of parents) if (mode !== null) sys.chmodat(dir, '', mode)
  return again
}

const isDirectory = (dir: number, name: string): boolean =>
  sys.stat(dir, name, stat) >= 0 && (stat.mode & S.IFMT) === S.IFDIR
