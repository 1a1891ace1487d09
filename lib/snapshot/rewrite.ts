// What a restore writes into a large file in place: the runs that differ, and no others.
//
//   work/restore-<id>/s3   count u64 │ offset u64, length u64 │ … │ the bytes of the runs
//   rw/database            ▒▒▒▓▒▒▒▒▓▓▒▒ ─▶ cut or grown to its size, then each run written
//
// Rule: done any number of times, with the same end. Whoever begins has made sure that nobody has the
// file open and that it is the one the runs were found for (`isRewritable`).

import { Cursor, Writer } from '../base/cursor.ts'
import { ERRNO, Errno } from '../base/errno.ts'
import { baseName, shown } from '../base/path.ts'
import { Stat } from '../host/stat.ts'
import { must, O, S, sys } from '../host/sys.ts'
import { readFull } from './file-data.ts'
import { lengthOf } from './over.ts'
import { writeFull } from './readable.ts'
import type { RedoStep } from './records.ts'

export type RewriteStep = RedoStep & { op: 'rewrite' }

const WORD = 8
const PIECE = 1024 * 1024
/** More runs than a restore makes. */
const MOST_RUNS = 1024 * 1024

/** Writes what is to be written, as the file `name` of a stage. Throws Errno. */
export function stageRuns(dir: number, name: string, runs: readonly number[], bytes: Buffer): void {
  const head = Buffer.alloc(WORD * (runs.length + 1))
  const out = new Writer(head)
  out.u64(runs.length / 2)
  for (const value of runs) out.u64(value)
  const flags = O.CREAT | O.EXCL | O.WRONLY | O.NOFOLLOW
  const fd = must(sys.openat(dir, name, flags, 0o600), name)
  try {
    writeFull(fd, head, 0)
    writeFull(fd, bytes, head.length)
  } finally {
    sys.close(fd)
  }
}

interface StagedRuns {
  readonly runs: readonly number[]
  /** Where their bytes begin. */
  readonly at: number
}

function readRuns(fd: number): StagedRuns {
  const word = Buffer.alloc(WORD)
  readFull(fd, word, 0)
  const count = new Cursor(word).u64()
  if (count > MOST_RUNS) throw new Errno(ERRNO.EIO, 'runs')
  const list = Buffer.alloc(count * 2 * WORD)
  readFull(fd, list, WORD)
  const cursor = new Cursor(list)
  return {
    runs: Array.from({ length: count * 2 }, () => cursor.u64()),
    at: WORD + list.length,
  }
}

/** Where a step writes: offset and length of each run. */
export function stagedRuns(stage: number, { staged }: RewriteStep): readonly number[] {
  const fd = must(sys.openat(stage, staged, O.RDONLY | O.NOFOLLOW), staged)
  try {
    return readRuns(fd).runs
  } finally {
    sys.close(fd)
  }
}

/** Makes an open file what the step says. Throws Errno. */
export function rewriteFile(fd: number, stage: number, { staged, size }: RewriteStep): void {
  const from = must(sys.openat(stage, staged, O.RDONLY | O.NOFOLLOW), staged)
  try {
    const { runs, at } = readRuns(from)
    must(sys.ftruncate(fd, size), staged)
    const piece = Buffer.allocUnsafeSlow(Math.min(PIECE, lengthOf(runs)))
    let source = at
    for (let index = 0; index < runs.length; index += 2)
      for (let done = 0; done < runs[index + 1]!; ) {
        const part = piece.subarray(0, Math.min(piece.length, runs[index + 1]! - done))
        readFull(from, part, source)
        writeFull(fd, part, runs[index]! + done)
        done += part.length
        source += part.length
      }
  } finally {
    sys.close(from)
  }
}

/** Lays runs over a file that is being made. */
export function writeRuns(fd: number, runs: readonly number[], bytes: Buffer): void {
  for (let index = 0, at = 0; index < runs.length; index += 2) {
    const length = runs[index + 1]!
    writeFull(fd, bytes.subarray(at, at + length), runs[index]!)
    at += length
  }
}

const stat = new Stat()

/**
 * True where a step's file, in its directory, is the one that the runs were found for, and nobody can tell
 * that it changes. `area`: of the freeze that it was read through, or null.
 */
export function isRewritable(
  dir: number,
  step: RewriteStep,
  area: number | null,
  isOpen: (ino: number) => boolean,
): boolean {
  if (sys.stat(dir, baseName(step.path), stat) < 0) return false
  const { mode, ino, nlink } = stat
  if ((mode & S.IFMT) !== S.IFREG || ino !== step.ino || nlink !== 1) return false
  return !isOpen(ino) && (area === null || isAsFrozen(area, ino))
}

/** True where an area has preserved nothing of a file, and could have. Throws Errno. */
export function isAsFrozen(area: number, ino: number): boolean {
  must(sys.stat(area, '', stat), 'area')
  // Without room even for the name `failed` this is how it says so.
  if ((stat.mode & 0o777) === 0 || sys.stat(area, 'failed', stat) >= 0) return false
  const found = sys.stat(area, `attr-${ino}`, stat)
  if (found >= 0) return false
  return found === -ERRNO.ENOENT || must(found, shown(`attr-${ino}`)) < 0
}
