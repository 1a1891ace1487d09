// Owner, mode, extended attributes and times of a file or directory, for its copy.
//
// Rule: the marks of a sublayer are its own, and never carried.

import { Errno } from '../base/errno.ts'
import type { Stat } from '../host/stat.ts'
import { must, S, sys } from '../host/sys.ts'
import { getXattr, listOpenXattr, listXattr, setXattr } from '../host/xattr.ts'
import { isMarkName } from '../layer/marks.ts'
import type { View } from './view.ts'

/** What is open of both, by which calls are cheaper than by names; -1 for none. */
interface Opened {
  readonly from: number
  readonly fd: number
}

const NONE: Opened = { from: -1, fd: -1 }

/**
 * Puts what a file or directory is, its bytes aside, on (to, toName), whose attributes of before are
 * in `made` then. `mode`: where it is recorded elsewhere. Answers the names of the extended attributes.
 * Throws Errno.
 */
export function carryOver(
  view: View,
  dir: number,
  name: string,
  stat: Stat,
  mode: number | undefined,
  to: number,
  toName: string,
  made: Stat,
  { from, fd }: Opened = NONE,
): string[] {
  const [at, as] = fd === -1 ? [to, toName] : [fd, '']
  must(sys.stat(at, as, made), 'copy up')
  const owned = made.uid === stat.uid && made.gid === stat.gid
  if (view.options.privileged && !owned) must(sys.chownat(at, as, stat.uid, stat.gid), 'copy up')
  const names = from === -1 ? listXattr(dir, name) : listOpenXattr(from)
  for (const attribute of names) {
    if (isMarkName(attribute)) continue
    const value = getXattr(dir, name, attribute)
    if (typeof value === 'number') continue
    const done = setXattr(to, toName, attribute, value)
    if (done < 0 && !isOthersAttribute(attribute)) throw new Errno(-done, 'copy up')
  }
  // After the owner, which clears setuid; after the ACL, which holds the group's bits too.
  const wanted = (mode ?? stat.mode) & ~S.IFMT
  const has = names.length === 0 && (made.mode & ~S.IFMT) === wanted
  if (!has && (stat.mode & S.IFMT) !== S.IFLNK) must(sys.chmodat(at, as, wanted), 'copy up')
  const { atime, atimeNsec, mtime, mtimeNsec } = stat
  must(sys.utimensat(at, as, atime, atimeNsec, mtime, mtimeNsec), 'copy up')
  return names
}

/** With what mode a copy is made: where that is what it is to have, a call less. The owner fills it. */
export const firstMode = ({ mode }: Stat): number => {
  const own = mode & ~S.IFMT
  return own <= 0o777 && (own & 0o600) === 0o600 ? own : 0o600
}

/** Attributes that only root, or the security module, may set. */
const isOthersAttribute = (attribute: string): boolean =>
  attribute.startsWith('security.') || attribute.startsWith('trusted.')
