// Owner, mode, extended attributes and times of a file or directory, for its copy.
//
// Rule: the marks of a sublayer are its own, and never carried.

import { Errno } from '../base/errno.ts'
import type { Stat } from '../host/stat.ts'
import { must, S, sys } from '../host/sys.ts'
import { getXattr, listXattr, setXattr } from '../host/xattr.ts'
import { isMarkName } from '../layer/marks.ts'
import type { View } from './view.ts'

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
): string[] {
  must(sys.stat(to, toName, made), 'copy up')
  const owned = made.uid === stat.uid && made.gid === stat.gid
  if (view.options.privileged && !owned)
    must(sys.chownat(to, toName, stat.uid, stat.gid), 'copy up')
  const names = listXattr(dir, name)
  for (const attribute of names) {
    if (isMarkName(attribute)) continue
    const value = getXattr(dir, name, attribute)
    if (typeof value === 'number') continue
    const done = setXattr(to, toName, attribute, value)
    if (done < 0 && !isOthersAttribute(attribute)) throw new Errno(-done, 'copy up')
  }
  // After the owner, which clears setuid; after the ACL, which holds the group's bits too.
  if ((stat.mode & S.IFMT) !== S.IFLNK) {
    must(sys.chmodat(to, toName, (mode ?? stat.mode) & ~S.IFMT), 'copy up')
  }
  const { atime, atimeNsec, mtime, mtimeNsec } = stat
  must(sys.utimensat(to, toName, atime, atimeNsec, mtime, mtimeNsec), 'copy up')
  return names
}

/** Attributes that only root, or the security module, may set. */
const isOthersAttribute = (attribute: string): boolean =>
  attribute.startsWith('security.') || attribute.startsWith('trusted.')
