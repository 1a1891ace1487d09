// What differs between two entries of one path, in the words that people see.
//
//   A  added    M  changed    D  deleted    attr  owner, mode, times or attributes only
//
// Rule: one function decides; lists, counts and summaries all ask it. Access times never count,
// and a directory's own times say nothing that its entries do not say.

import type { Entry } from './records.ts'

export type Mark = 'A' | 'M' | 'D' | 'attr'

/** What the read-only sublayer has at a path; null for nothing. */
export interface Lower {
  readonly isDir: boolean
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

/** Asks the read-only sublayer, only where the answer depends on it. */
export type LookLower = () => Lower | null

/**
 * How `now` differs from `before` in the view of the layer. Null where it shows the same.
 * An absent entry shows what lies below.
 */
export function markOf(before: Entry | null, now: Entry | null, lower: LookLower): Mark | null {
  if (before !== null && now !== null) return betweenEntries(before, now)
  if (now !== null) return againstLower(now, lower())
  if (before === null) return null
  return withoutEntry(before, lower())
}

function betweenEntries(before: Entry, now: Entry): Mark | null {
  if (now.kind === 'whiteout') return before.kind === 'whiteout' ? null : 'D'
  if (before.kind === 'whiteout') return 'A'
  if (!sameContent(before, now)) return 'M'
  return sameAttributes(before, now) ? null : 'attr'
}

function againstLower(now: Entry, lower: Lower | null): Mark | null {
  if (now.kind === 'whiteout') return lower === null ? null : 'D'
  if (lower === null) return 'A'
  if (now.marks?.metacopy === true) return 'attr'
  if (now.kind !== 'dir' || !lower.isDir || now.marks?.opaque === true) return 'M'
  // A directory that was only brought up for what lies in it.
  return now.mode === lower.mode && now.uid === lower.uid && now.gid === lower.gid ? null : 'attr'
}

function withoutEntry(before: Entry, lower: Lower | null): Mark | null {
  if (before.kind === 'whiteout') return lower === null ? null : 'A'
  if (lower === null) return 'D'
  return before.kind === 'dir' && lower.isDir ? null : 'M'
}

/** Above this size, files with other times are not held against each other byte by byte. */
const WORTH_READING = 16 * 1024 * 1024

/**
 * True where what `markOf` calls changed may show the same all the same: a file that a program opened for
 * writing and left as it was. Of files the bytes decide, where the names of their contents have not.
 */
export function mayBeSame(before: Entry, now: Entry): boolean {
  const sameTime = before.mtime === now.mtime && before.mtimeNsec === now.mtimeNsec
  return (
    before.kind === now.kind &&
    now.kind !== 'dir' &&
    (before.content === undefined || now.content === undefined) &&
    before.size === now.size &&
    before.target === now.target &&
    before.rdev === now.rdev &&
    (sameTime || (now.size ?? 0) <= WORTH_READING)
  )
}

/** True where both hold the same: bytes, target, device; for directories, the same marks. */
export function sameContent(a: Entry, b: Entry): boolean {
  return (
    a.kind === b.kind &&
    a.size === b.size &&
    a.content === b.content &&
    a.target === b.target &&
    a.rdev === b.rdev &&
    sameRecord(a.marks, b.marks)
  )
}

/** True where owner, mode, time of change and attributes are the same. Access times never count. */
export function sameAttributes(a: Entry, b: Entry): boolean {
  const timed = a.kind !== 'dir'
  return (
    a.mode === b.mode &&
    a.uid === b.uid &&
    a.gid === b.gid &&
    (!timed || (a.mtime === b.mtime && a.mtimeNsec === b.mtimeNsec)) &&
    sameRecord(a.xattrs, b.xattrs)
  )
}

type Fields = Record<string, unknown> | undefined

/** True where both have the same fields with the same values (text, true), in any order. */
export function sameRecord(a: Fields, b: Fields): boolean {
  if (a === b) return true
  const left = Object.entries(a ?? {})
  const right = b ?? {}
  return (
    left.length === Object.keys(right).length &&
    left.every(([name, value]) => Object.hasOwn(right, name) && right[name] === value)
  )
}
