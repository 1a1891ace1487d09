// The one point that every change of a writable branch passes before it happens.
//
//   make, write, chmod, rename … ─▶ beforeChange ─┬▶ journal names what changes (journal.ts)
//                                                 └▶ freezes preserve what was (freeze.ts)
//
// Rule: it is called before every change of a writable branch, whatever the request; what hangs
// on it never fails the change.

import { Parked } from '../fuse/filesystem.ts'
import type { Branch } from './branch.ts'
import type { Noted } from './journal.ts'

/** What of a thing is about to change. */
export type Change =
  /** The name (dir, name), which was not there, comes; the list of `dir` changes with it. */
  | 'names'
  /** The name (dir, name) goes away or elsewhere; the list of `dir` changes with it. */
  | 'gone'
  /** Attributes of (dir, name), or of the descriptor where name is ''. */
  | 'attributes'
  /** Bytes of (dir, name), or of the descriptor where name is ''. */
  | 'content'

/**
 * Tells whoever must know that this is about to change; of bytes, those in [from, to). `noted`: who
 * asks again and again for one file.
 */
export function beforeChange(
  branch: Branch,
  change: Change,
  dir: number,
  name: string,
  noted: Noted | null = null,
  from = 0,
  to = Number.POSITIVE_INFINITY,
): void {
  branch.changes += 1
  branch.journal?.note(change, dir, name, noted)
  if (change === 'names' || change === 'gone') branch.nameChanges += 1
  if (branch.freezes.length === 0) return
  for (const freeze of [...branch.freezes]) freeze.preserve(change, dir, name, from, to)
}

/**
 * Before `beforeChange` of bytes [from, to), where they may be very many: throws Parked while an io
 * thread copies what is to be preserved of them. `fd` is the file's.
 */
export function preserveAhead(branch: Branch, fd: number, from: number, to: number): void {
  for (const freeze of branch.freezes) {
    const job = freeze.ahead(fd, from, to)
    if (job !== null) throw new Parked(job)
  }
}

/** A file or directory was made: no image taken before holds it. */
export function born(branch: Branch, backing: number): void {
  for (const freeze of branch.freezes) freeze.born.add(backing)
}

/** Hard links that areas hold to this file: programs must not see them in its link count. */
export function linksKept(branch: Branch, backing: number): number {
  let count = 0
  for (const freeze of branch.freezes) if (freeze.linked.has(backing)) count += 1
  return count
}
