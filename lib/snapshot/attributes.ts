// Putting owner, mode, extended attributes and times of a state's entry on a file.
//
// Rule: in this order, because a change of owner clears setuid and capabilities, and a
// default ACL's mask is part of the mode; times last, because all else changes them.

import { ERRNO, Errno } from '../base/errno.ts'
import { must, S, sys } from '../host/sys.ts'
import { removeXattr, setXattr } from '../host/xattr.ts'
import { type MarkPrefix, markAttributes } from '../layer/marks.ts'
import type { Entry } from './records.ts'

export interface AttributesToSet {
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly atime: number
  readonly atimeNsec: number
  readonly mtime: number
  readonly mtimeNsec: number
  /** Base64 values, marks among them. */
  readonly setXattrs: Readonly<Record<string, string>>
  readonly removeXattrs: readonly string[]
}

const privileged = process.geteuid?.() === 0

/** Sets all of it on the file behind an O_PATH descriptor; `type` is its S_IFMT bits. Throws Errno. */
export function setAttributes(fd: number, type: number, wanted: AttributesToSet): void {
  setOwner(fd, wanted)
  for (const name of wanted.removeXattrs) allow(removeXattr(fd, '', name), name, [ERRNO.ENODATA])
  if (type !== S.IFLNK) must(sys.chmodFd(fd, wanted.mode), 'chmod')
  for (const [name, value] of Object.entries(wanted.setXattrs))
    allow(setXattr(fd, '', name, Buffer.from(value, 'base64')), name, [])
  const { atime, atimeNsec, mtime, mtimeNsec } = wanted
  must(sys.utimensat(fd, '', atime, atimeNsec, mtime, mtimeNsec), 'utimens')
}

// An ordinary user cannot give files away; the owner stays recorded in the state.
function setOwner(fd: number, { uid, gid }: AttributesToSet): void {
  const done = sys.chownat(fd, '', uid, gid)
  if (done === -ERRNO.EPERM && !privileged) return
  must(done, 'chown')
}

// What an ordinary user may not set (security.*, trusted.*) stays recorded too.
function allow(done: number, name: string, tolerated: readonly number[]): void {
  if (done >= 0 || tolerated.includes(-done)) return
  if (done === -ERRNO.EPERM && !privileged && !name.startsWith('user.')) return
  throw new Errno(-done, `xattr ${name}`)
}

/** The extended attributes that hold an entry's own and its marks, as base64. */
export function xattrsOf(entry: Entry, prefix: MarkPrefix): Record<string, string> {
  const marks = entry.marks === undefined ? [] : [...markAttributes(entry.marks, prefix)]
  return {
    ...entry.xattrs,
    ...Object.fromEntries(marks.map(([name, value]) => [name, value.toString('base64')])),
  }
}
