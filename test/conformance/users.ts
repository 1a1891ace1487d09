// Who tries a call, and what the permission bits then say.
//
//   OWNER 1000:1000    MEMBER 1001:1000    SUPPLEMENT 1001:1001+1000    OTHER 1002:1002
//
// Rule: things to be tried belong to OWNER, its own user and group.

import type { Trial } from './trial.ts'

export interface User {
  readonly name: string
  readonly uid: number
  readonly gid: number
  readonly groups: readonly number[]
  /** How far left the bits that bind this user lie. */
  readonly shift: 0 | 3 | 6
}

export const OWNER: User = { name: 'owner', uid: 1000, gid: 1000, groups: [], shift: 6 }
export const MEMBER: User = { name: 'member', uid: 1001, gid: 1000, groups: [], shift: 3 }
export const SUPPLEMENT: User = {
  name: 'supplement',
  uid: 1001,
  gid: 1001,
  groups: [1003, 1000],
  shift: 3,
}
export const OTHER: User = { name: 'other', uid: 1002, gid: 1002, groups: [1003], shift: 0 }

export const USERS: readonly User[] = [OWNER, MEMBER, SUPPLEMENT, OTHER]

/** The bits 0–7 for this user, and all that is missing in them for everybody else. */
export const modeFor = (user: User, bits: number): number => {
  const others = ~bits & 7
  const all = (others << 6) | (others << 3) | others
  return (all & ~(7 << user.shift)) | (bits << user.shift)
}

export const as = <T>(t: Trial, user: User, work: () => T): T =>
  t.as(user.uid, user.gid, work, user.groups)
