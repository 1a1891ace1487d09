// Staging a large file of which little is to change: what differs is known from records, and what is
// equal is not made again.
//
//   records ─▶ runs that may differ ─▶ their bytes ─▶ a copy that shares its blocks, runs laid over it
//                                                  ─▶ the runs alone, written in place (rewrite.ts)
//                                                  ─▶ a plain copy, where somebody has the file open
//
// Rule: null where any of that is in doubt; the file is made anew then. Who has the file open keeps what
// it had: only what nobody has open is written in place.

import { type RelPath, shown } from '../base/path.ts'
import { copyData } from '../host/copy.ts'
import { Stat } from '../host/stat.ts'
import { AT_FDCWD, must, O, S, sys } from '../host/sys.ts'
import { readBlocks } from '../layer/marks.ts'
import { type FileBytes, makeEntry } from './builder.ts'
import { changedRuns } from './changed-runs.ts'
import { ContentRanges } from './content-ranges.ts'
import { holesOfParts } from './content-shape.ts'
import { fillsOf } from './fills.ts'
import { lengthOf } from './over.ts'
import type { Fix, PlanJob, Replaced } from './plan.ts'
import { openBelow } from './readable.ts'
import type { Entry, RedoStep } from './records.ts'
import { isAsFrozen, stageRuns, writeRuns } from './rewrite.ts'
import type { Sources } from './sources.ts'

/** Smaller files are made anew. */
const SMALLEST = 8 * 1024 * 1024
/** With more than this part of it changed, a file is made anew. */
const MOST_CHANGED = 4
/** Bytes that one restore writes in place: programs wait for it. */
const MOST_BYTES = 32 * 1024 * 1024

/** Inodes of files that programs have open; `all` where that cannot be known. */
export type Busy = readonly number[] | 'all'

export interface LargeFilesJob {
  readonly dirs: PlanJob['dirs']
  readonly prefix: PlanJob['prefix']
  readonly state: string
  /** Number of the read-only part that the state was made on. */
  readonly version: number
  readonly busy: Busy
}

/** One file, as it is to become in a stage. */
interface Wanted {
  readonly entry: Entry
  readonly staged: string
  readonly runs: readonly number[]
  readonly bytes: Buffer
}

export interface LargeStep {
  readonly step: RedoStep
  /** What is set besides, where the file stays. */
  readonly fix: Fix | null
}

class NotShared extends Error {}

const stat = new Stat()

export class LargeFiles {
  readonly #job: LargeFilesJob
  readonly #sources: Sources
  readonly #dir: number
  #left = MOST_BYTES

  /** `dir` is the stage. */
  constructor(job: LargeFilesJob, sources: Sources, dir: number) {
    this.#job = job
    this.#sources = sources
    this.#dir = dir
  }

  /** Throws Damage, SVS_RO_CHANGED, Errno. */
  async stage(entry: Entry, replaced: Replaced, staged: string): Promise<LargeStep | null> {
    const runs = await this.#runs(entry, replaced.now)
    if (runs === null) return null
    const from = this.#open(entry.path, replaced)
    if (from === null) return null
    try {
      const bytes = Buffer.allocUnsafeSlow(lengthOf(runs))
      await this.#read(entry.content!, runs, bytes)
      const wanted = { entry, staged, runs, bytes }
      const { ino } = replaced
      const copy = await this.#copied(wanted, from, ino)
      if (copy === 'changed') return null
      if (copy !== 'no') {
        const place = { op: 'place', path: entry.path, staged, ino: copy } as const
        return { step: { ...place, number: entry.number }, fix: null }
      }
      stageRuns(this.#dir, staged, runs, bytes)
      this.#left -= bytes.length
      const { state, version } = this.#job
      const { path, number, size = 0, content = '' } = entry
      const from_ = { state, version, scope: this.#sources.scope, content }
      return {
        step: { op: 'rewrite', path, staged, ino, number, size, ...from_ },
        fix: replaced.fix,
      }
    } finally {
      sys.close(from)
    }
  }

  // Null where too much would be written, or the records do not tell.
  async #runs({ size = 0, content }: Entry, now: Entry): Promise<readonly number[] | null> {
    if (size < SMALLEST || content === undefined || now.content === undefined) return null
    const { depot, scope } = this.#sources
    const runs = await changedRuns(depot, scope, now.content, content)
    if (runs === null) return null
    const length = lengthOf(runs)
    if (length > size / MOST_CHANGED || length > this.#left) return null
    const [before, after] = [
      await depot.content(scope, now.content),
      await depot.content(scope, content),
    ]
    if (before === null || after === null) return null
    const same = String(holesOfParts(before)) === String(holesOfParts(after))
    return same ? runs : null
  }

  // The file as it is there now. Null where it is another, or not wholly its own.
  #open(path: RelPath, { now, ino }: Replaced): number | null {
    const fd = openBelow(this.#job.dirs.rw, path)
    if (fd === null) return null
    must(sys.stat(fd, '', stat), shown(path))
    const same = (stat.mode & S.IFMT) === S.IFREG && stat.ino === ino && stat.size === now.size
    if (same && stat.nlink === 1 && readBlocks(fd, '', this.#job.prefix) === null) return fd
    sys.close(fd)
    return null
  }

  async #read(content: string, runs: readonly number[], bytes: Buffer): Promise<void> {
    const ranges = new ContentRanges(this.#sources, content)
    try {
      await ranges.readAll(fillsOf(runs, bytes))
    } finally {
      ranges.close()
    }
  }

  // The inode of a whole new file; `no` where it is to be rewritten instead.
  async #copied(wanted: Wanted, from: number, ino: number): Promise<number | 'no' | 'changed'> {
    const { entry, staged, runs, bytes } = wanted
    const { busy, prefix, state } = this.#job
    const isBusy = busy === 'all' || busy.includes(ino)
    const fill: FileBytes = (fd) => {
      if (sys.clone(fd, from) < 0) {
        if (!isBusy) throw new NotShared()
        must(sys.ftruncate(fd, 0), staged)
        must(sys.stat(from, '', stat), staged)
        copyData(from, fd, Math.min(stat.size, entry.size ?? 0))
      }
      must(sys.ftruncate(fd, entry.size ?? 0), staged)
      writeRuns(fd, runs, bytes)
    }
    try {
      const made = await makeEntry(this.#sources, prefix, state, this.#dir, staged, entry, fill)
      if (this.#isAsFrozen(ino)) return made
      sys.unlinkat(this.#dir, staged)
      return 'changed'
    } catch (err) {
      if (!(err instanceof NotShared)) throw err
      sys.unlinkat(this.#dir, staged)
      return 'no'
    }
  }

  // What was copied may have been changed by a program meanwhile.
  #isAsFrozen(ino: number): boolean {
    const { area } = this.#job.dirs
    if (area === null) return true
    const fd = must(sys.openat(AT_FDCWD, area, O.PATH | O.DIRECTORY), shown(area))
    try {
      return isAsFrozen(fd, ino)
    } finally {
      sys.close(fd)
    }
  }
}
