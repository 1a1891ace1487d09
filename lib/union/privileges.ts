// What a file loses when it changes hands or content: setuid, setgid, capabilities.
//
// The kernel leaves this to us (HANDLE_KILLPRIV_V2), and a request does not tell all that its
// rule asks: setgid without execution by the group goes as well, unless the caller is in the
// group or may keep it (fs/attr.c: setattr_should_drop_sgid).
//
// Rule: only a set bit costs a look at the caller.

import { ERRNO, Errno, fail } from '../base/errno.ts'
import { type Caller, FATTR, type SetattrRequest } from '../fuse/filesystem.ts'
import { mayKeepSetgid } from '../host/caller.ts'
import { Stat } from '../host/stat.ts'
import { must, S, sys } from '../host/sys.ts'
import { removeXattr } from '../host/xattr.ts'
import { statNode } from './attributes.ts'
import type { UnionNode } from './node.ts'
import type { View } from './view.ts'

export const CAPABILITY = 'security.capability'

const KEEP = 0xffffffff
const GROUP_RUNS = S.ISGID | 0o010
const stat = new Stat()

/** Mode without what a change by this caller takes from it. */
function lessened(caller: Caller, mode: number, gid: number): number {
  let kept = mode & ~S.ISUID
  if ((mode & S.ISGID) === 0) return kept
  if ((mode & GROUP_RUNS) === GROUP_RUNS || !mayKeepSetgid(caller.pid, gid)) kept &= ~S.ISGID
  return kept
}

/** After a change of content by a caller who may not keep them. */
export function dropPrivileges(caller: Caller, fd: number): void {
  must(sys.stat(fd, '', stat), 'stat')
  const { mode } = stat
  const kept = lessened(caller, mode, stat.gid)
  if (kept !== mode) must(sys.fchmod(fd, kept & ~S.IFMT), 'chmod')
  const done = removeXattr(fd, '', CAPABILITY)
  if (done < 0 && done !== -ERRNO.ENODATA && done !== -ERRNO.EOPNOTSUPP) {
    if (done !== -ERRNO.EPERM) throw new Errno(-done, 'removexattr')
  }
}

/**
 * True where a SETATTR changes the owner, or is one of two that say nothing: a chown(2) of
 * nothing, which moves ctime and drops privileges; or the kernel, about to change content
 * for somebody who may not keep them.
 */
export function changesOwner(view: View, caller: Caller, node: UnionNode, valid: number): boolean {
  if (valid & (FATTR.UID | FATTR.GID)) return true
  if (valid & ~(FATTR.CTIME | FATTR.FH | FATTR.LOCKOWNER)) return false
  // A kernel that does not keep the times says the same for both; and both clear what is set.
  if (!view.kernelHasTimes) return true
  const { mode, uid, gid } = statNode(view, node)
  if (node.isDirectory || (mode & (S.ISUID | S.ISGID)) === 0)
    return (valid & FATTR.CTIME) !== 0 || node.type !== S.IFREG
  const kept = lessened(caller, mode, gid)
  const writes = node.type === S.IFREG && (valid & FATTR.CTIME) === 0
  if (writes) return kept !== mode && !mayKeepSetgid(caller.pid, -1)
  if (kept !== mode && caller.uid !== 0 && caller.uid !== uid) fail('EPERM', 'chown')
  return true
}

/** Gives (dir, name) to others, as `request` says. Throws Errno. */
export function changeOwner(
  caller: Caller,
  dir: number,
  name: string,
  { valid, uid, gid }: SetattrRequest,
): void {
  must(sys.stat(dir, name, stat), 'stat')
  const { mode } = stat
  const kept = (mode & S.IFMT) === S.IFDIR ? mode : lessened(caller, mode, stat.gid)
  must(
    sys.chownat(dir, name, valid & FATTR.UID ? uid : KEEP, valid & FATTR.GID ? gid : KEEP),
    'chown',
  )
  // The disk asked about us, who may keep setgid.
  if ((kept ^ mode) & S.ISGID) must(sys.chmodat(dir, name, kept & ~S.IFMT), 'chmod')
}
