// An io thread: does the work that a request was parked for, one job after the other.
//
//   fuse thread ── {ticket, work} ─▶ io thread ── {ticket, error} ─▶ and wakes the fuse thread
//
// Rule: it works on descriptors that the fuse thread keeps open until the answer is there; it
// never opens, closes or names a file. What it cannot do is an errno, never the end of it.

import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { ERRNO, errnoOf } from '../base/errno.ts'
import { copyData } from '../host/copy.ts'
import { must, sys } from '../host/sys.ts'
import { dropResourcePrivilege, wake } from '../host/thread.ts'
import type { JobWork } from './filesystem.ts'

export interface IoThreadData {
  /** From and to the thread that submits. */
  readonly port: MessagePort
  /** Eventfd of that thread's loop; -1 where its port is enough to wake it. */
  readonly wakeFd: number
}

export interface IoRequest {
  readonly ticket: number
  readonly work: JobWork
}

export interface IoAnswer {
  readonly ticket: number
  /** Positive errno, 0 for success. */
  readonly error: number
}

function perform(work: JobWork): void {
  switch (work.kind) {
    case 'copy':
      copyData(work.from, work.to, work.size)
      if (work.flush) must(sys.fdatasync(work.to), 'fdatasync')
      break
    case 'fsync':
      must(work.dataOnly ? sys.fdatasync(work.fd) : sys.fsync(work.fd), 'fsync')
      break
  }
}

function errorOf(work: JobWork): number {
  try {
    perform(work)
    return 0
  } catch (err) {
    return errnoOf(err) ?? ERRNO.EIO
  }
}

if (parentPort !== null) {
  const { port, wakeFd } = workerData as IoThreadData
  dropResourcePrivilege()
  port.on('message', ({ ticket, work }: IoRequest) => {
    port.postMessage({ ticket, error: errorOf(work) } satisfies IoAnswer)
    if (wakeFd !== -1) wake(wakeFd)
  })
}
