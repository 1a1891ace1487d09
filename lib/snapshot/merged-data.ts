// The bytes of an unsettled file, of which the writable sublayer has the changed blocks alone
// (lib/union/blocks.ts): its holes up to a byte are the read-only file's.
//
//   own     ░░▓▓░░░▓░░        merged   ██▓▓███▓██
//   lower   ██████████
//
// Rule: what is a hole in both is one: the same holes that it has when it is settled.

import { fail } from '../base/errno.ts'
import type { RelPath } from '../base/path.ts'
import { Stat } from '../host/stat.ts'
import { S, sys } from '../host/sys.ts'
import type { BlocksMark } from '../layer/marks.ts'
import { dataWithin, type FileData, holesOf, readFull } from './file-data.ts'
import { openBelow } from './readable.ts'

const stat = new Stat()

/** Merges what a file has itself with what lies at `path` of the read-only trees. Throws Errno. */
export function mergedData(
  own: FileData,
  mark: BlocksMark,
  ro: readonly string[],
  path: RelPath | null,
): FileData {
  const valid = Math.min(mark.valid, own.size)
  let lower = -1
  try {
    lower = openLowerOf(mark, ro, path)
    const holes = holesOfBoth(own.holes, holesOf(lower, valid), valid)
    return {
      size: own.size,
      holes,
      read: (into, offset) => readMerged(own, lower, valid, into, offset),
      close() {
        own.close()
        sys.close(lower)
      },
    }
  } catch (err) {
    own.close()
    if (lower !== -1) sys.close(lower)
    throw err
  }
}

function openLowerOf(mark: BlocksMark, ro: readonly string[], path: RelPath | null): number {
  for (const root of path === null ? [] : ro) {
    const fd = openBelow(root, path!)
    if (fd === null) continue
    const { size, mtime, mtimeNsec } = mark
    const found = sys.stat(fd, '', stat) >= 0 && (stat.mode & S.IFMT) === S.IFREG
    if (found && stat.size === size && stat.mtime === mtime && stat.mtimeNsec === mtimeNsec)
      return fd
    sys.close(fd)
    break
  }
  return fail('EIO', 'the lower file of blocks is missing')
}

function readMerged(
  own: FileData,
  lower: number,
  valid: number,
  into: Buffer,
  offset: number,
): void {
  const end = offset + into.length
  const below = (from: number, to: number) => {
    const until = Math.min(to, Math.max(from, valid))
    if (until > from) readFull(lower, into.subarray(from - offset, until - offset), from)
    if (to > until) into.fill(0, until - offset, to - offset)
  }
  let at = offset
  for (const { start, end: until } of dataWithin(own.holes, offset, end)) {
    below(at, start)
    own.read(into.subarray(start - offset, until - offset), start)
    at = until
  }
  below(at, end)
}

/** Holes of one list that are holes of the other, too, or lie above `valid`. */
function holesOfBoth(own: readonly number[], lower: readonly number[], valid: number): number[] {
  const both: number[] = []
  const add = (from: number, to: number) => {
    if (to <= from) return
    const last = both.length - 2
    if (last >= 0 && both[last]! + both[last + 1]! === from) both[last + 1]! += to - from
    else both.push(from, to - from)
  }
  let next = 0
  for (let i = 0; i < own.length; i += 2) {
    const [from, to] = [own[i]!, own[i]! + own[i + 1]!]
    while (next < lower.length && lower[next]! + lower[next + 1]! <= from) next += 2
    for (let at = next; at < lower.length && lower[at]! < to; at += 2) {
      add(Math.max(from, lower[at]!), Math.min(to, lower[at]! + lower[at + 1]!))
    }
    add(Math.max(from, valid), to)
  }
  return both
}
