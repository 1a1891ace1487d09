// Room for a full disk: run/spare, a file of some MiB that holds nothing but its blocks.
//
//   tight ─▶ spare away ─▶ the catalogue opens, a layer is deleted or reset ─▶ spare again
//
// Rule: it is the store's own way out: without it neither the catalogue could be opened nor a
// layer deleted where nothing is left, and deleting is what frees space.

import { closeSync, existsSync, openSync, rmSync, statfsSync } from 'node:fs'
import { sys } from '../host/sys.ts'
import type { StorePlaces } from './store-path.ts'

const MIB = 1 << 20
const SPARE = 8 * MIB
/** A disk that has this much left is given a spare file that was not there. */
const ROOMY = 2 * SPARE
/** What a spare leaves to others, where all that there is was given up a moment ago. */
const RIM = MIB / 4

/** Bytes that this user may still write on the disk of the store. */
export function roomLeft(places: StorePlaces): number {
  const { bsize, bavail, bfree } = statfsSync(places.root)
  return bsize * (process.geteuid?.() === 0 ? bfree : bavail)
}

/** Gives the spare room away where the disk is nearly full. True where it did. */
export function giveSpare(places: StorePlaces): boolean {
  if (roomLeft(places) >= SPARE || !existsSync(places.spare)) return false
  rmSync(places.spare, { force: true })
  return true
}

/** Keeps spare room again: a whole one where there is enough, what is left of one `given` before. */
export function keepSpare(places: StorePlaces, given: boolean): void {
  if (existsSync(places.spare)) return
  const left = roomLeft(places)
  const size = left >= ROOMY ? SPARE : given ? Math.min(SPARE, left - RIM) : 0
  if (size < MIB) return
  const fd = openSync(places.spare, 'w', 0o600)
  const made = sys.fallocate(fd, 0, 0, size)
  closeSync(fd)
  // A disk that cannot promise room (or just lost it) goes without.
  if (made < 0) rmSync(places.spare, { force: true })
}

/** Runs `task`, which frees space, with the spare room where it needs it. */
export async function withRoom<T>(places: StorePlaces, task: () => Promise<T>): Promise<T> {
  const given = giveSpare(places)
  try {
    return await task()
  } finally {
    keepSpare(places, given)
  }
}
