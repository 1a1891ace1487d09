// What a call answered, as one line of text that can be compared and read.
//
// Rule: what two disks may rightly answer otherwise is not in it: inode numbers, the size and
// the link count of a directory, the present moment. Times that were drawn or set are exact.

import { createHash } from 'node:crypto'
import { Errno } from '../../lib/base/errno.ts'
import type { Facts } from '../behaviour/place.ts'

/** `ok`, a value, or the name of an errno. */
export function answerOf(work: () => unknown): string {
  try {
    return say(work())
  } catch (err) {
    if (err instanceof Errno) return err.code
    throw err
  }
}

function say(value: unknown): string {
  if (value === undefined) return 'ok'
  if (Buffer.isBuffer(value)) return sayBytes(value)
  if (Array.isArray(value)) return `[${value.map(say).join(', ')}]`
  if (typeof value === 'string') return JSON.stringify(value)
  return String(value)
}

const SHORT = 24

function sayBytes(bytes: Buffer): string {
  const digest = createHash('sha1').update(bytes).digest('hex').slice(0, 12)
  const start = JSON.stringify(bytes.subarray(0, SHORT).toString('latin1'))
  return bytes.length <= SHORT ? start : `${bytes.length} bytes ${digest} ${start}…`
}

/** Younger moments than this are "now": nothing is drawn or set with one. */
const RECENT = 1_750_000_000_000_000_000n
const FUTURE = 2_500_000_000_000_000_000n

export const sayMoment = (moment: bigint): string =>
  moment > RECENT && moment < FUTURE ? 'now' : String(moment)

export function sayFacts(facts: Facts): string {
  const { kind, mode, uid, gid, nlink, size, rdev } = facts
  const words = [kind, mode.toString(8), `${uid}:${gid}`]
  // What flows through a fifo moves the times of a disk's, and not of a mount's.
  if (kind !== 'fifo') words.push(`mtime ${sayMoment(facts.mtime)}`)
  if (kind !== 'directory') words.push(`nlink ${nlink}`, `size ${size}`)
  if (kind === 'character' || kind === 'block') words.push(`rdev ${rdev}`)
  return words.join(' ')
}

/** A name or path as people read it: odd bytes escaped, long runs counted. */
export function showPath(path: string): string {
  const short = path.replace(/([^/])\1{19,}/g, (run, one: string) => `${one}×${run.length}`)
  return /^[\w./×-]+$/.test(short) ? short : JSON.stringify(short)
}
