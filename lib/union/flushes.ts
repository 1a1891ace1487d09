// fsync, which an io thread does while its request is parked: a disk takes its time. What lies in
// memory alone needs none (Branch.needsNoFlush).
//
// Rule: each flush has a descriptor of its own. A caller that is interrupted closes its file, and
// the thread must not meet another one under that number.

import { type Caller, type Job, type JobWork, Parked } from '../fuse/filesystem.ts'
import { must, sys } from '../host/sys.ts'
import { checkJob } from './bytes.ts'

export class Flushes {
  readonly #newJob: (work: JobWork) => Job
  /** Descriptors, by job. */
  readonly #open = new Map<number, number>()

  constructor(newJob: (work: JobWork) => Job) {
    this.#newJob = newJob
  }

  /** Parks the request until the file is flushed. `fd` is this flush's own, or a negative errno. */
  begin(fd: number, dataOnly: boolean): never {
    const job = this.#newJob({ kind: 'fsync', fd: must(fd, 'open'), dataOnly })
    this.#open.set(job.id, fd)
    throw new Parked(job)
  }

  /**
   * True where the request was parked for it. Asked first of all: meanwhile the node may have been
   * removed, or forgotten. Throws what it ended with.
   */
  isDone({ finished }: Caller): boolean {
    if (finished === null) return false
    this.end(finished)
    checkJob(finished)
    return true
  }

  /** Nobody waits for it any more. */
  end(job: Job): void {
    const fd = this.#open.get(job.id)
    if (fd !== undefined) sys.close(fd)
    this.#open.delete(job.id)
  }
}
