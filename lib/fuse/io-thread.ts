// An io thread: does the work that a request was parked for.
//
//   fuse thread ── {ticket, work} ─▶ io thread ── {ticket, error} ─▶ and wakes the fuse thread
//               ── {ticket, null} ─▶            nobody waits for it any more: it ends, ECANCELED
//
// Copies go on a piece at a time, all of them by turns, and a flush that comes meanwhile is done
// between two pieces: the copy of a large file holds up nobody's fsync.
//
// Rule: it works on descriptors that the fuse thread keeps open until the answer is there; it
// never opens, closes or names a file. What it cannot do is an errno, never the end of it.

import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { ERRNO, Errno, errnoOf } from '../base/errno.ts'
import { copyPieces, fillPieces, SteadyFlush } from '../host/copy.ts'
import { must, sys } from '../host/sys.ts'
import { dropResourcePrivilege } from '../host/thread.ts'
import type { JobWork, NodeId } from './filesystem.ts'
import { encodeNotification, NOTIFY_BUFFER } from './notify.ts'
import { type Waker, wake } from './waker.ts'

export interface IoThreadData {
  /** From and to the thread that submits. */
  readonly port: MessagePort
  /** Of that thread's loop; null where its port is enough to wake it. */
  readonly waker: Waker | null
}

type Copy = Extract<JobWork, { kind: 'copy' }>
type Fill = Extract<JobWork, { kind: 'fill' }>
type Flush = Extract<JobWork, { kind: 'fsync' }>

export interface IoRequest {
  readonly ticket: number
  /** null: the work of this ticket is wanted no more. */
  readonly work: JobWork | null
}

export interface IoAnswer {
  readonly ticket: number
  /** Positive errno, 0 for success. */
  readonly error: number
}

const MIB = 1024 * 1024
/** Bytes of a copy that may wait to be written: few where they must be on the disk in the end. */
const FLUSHED_WINDOW = 16 * MIB
const VOLATILE_WINDOW = 256 * MIB

function flush({ fd, dataOnly }: Flush): void {
  must(dataOnly ? sys.fdatasync(fd) : sys.fsync(fd), 'fsync')
}

function* copy({ from, to, size, flush }: Copy): Generator<void> {
  const steady = new SteadyFlush(to, flush ? FLUSHED_WINDOW : VOLATILE_WINDOW)
  for (const at of copyPieces(from, to, size)) {
    steady.reached(at)
    yield
  }
  if (flush) must(sys.fdatasync(to), 'fdatasync')
}

function* fill({ from, to, runs, flush, state }: Fill): Generator<void> {
  let waiting = 0
  for (const count of fillPieces(from, to, runs)) {
    if (Atomics.load(state, 1) !== 0) throw new Errno(ERRNO.ECANCELED, 'fill')
    waiting += count
    if (waiting >= FLUSHED_WINDOW) {
      must(sys.fdatasync(to), 'fdatasync')
      waiting = 0
    }
    yield
  }
  if (flush) must(sys.fdatasync(to), 'fdatasync')
}

/** A copy or fill under way. */
interface Pieces {
  readonly work: Copy | Fill
  readonly steps: Generator<void>
}

const begin = (work: Copy | Fill): Pieces => ({
  work,
  steps: work.kind === 'fill' ? fill(work) : copy(work),
})

// It touches its descriptors no more: somebody may wait for just that, also where it never began.
function ended({ work }: Pieces): void {
  if (work.kind !== 'fill') return
  Atomics.store(work.state, 0, 1)
  Atomics.notify(work.state, 0)
}

const message = Buffer.alloc(NOTIFY_BUFFER)

// To drop pages the kernel first writes the dirty ones back. It locks pages for this and never a
// file, so it waits for nothing but requests that are answered. What it does not know needs none.
function flushPages(device: number, node: NodeId): void {
  const told = { kind: 'inode', node, offset: 0, length: 0 } as const
  sys.write(device, message, encodeNotification(message, told, false))
}

/** The positive errno that an act ends with; 0 for success. */
function errorOf(act: () => void): number {
  try {
    act()
    return 0
  } catch (err) {
    return errnoOf(err) ?? ERRNO.EIO
  }
}

if (parentPort !== null) {
  const { port, waker } = workerData as IoThreadData
  const copies = new Map<number, Pieces>()
  dropResourcePrivilege()

  const answer = (ticket: number, error: number) => {
    port.postMessage({ ticket, error } satisfies IoAnswer)
    if (waker !== null) wake(waker)
  }
  const goOn = () => {
    for (const [ticket, pieces] of [...copies]) {
      let isDone = false
      const error = errorOf(() => {
        isDone = pieces.steps.next().done === true
      })
      if (error === 0 && !isDone) continue
      copies.delete(ticket)
      ended(pieces)
      answer(ticket, error)
    }
    if (copies.size > 0) setImmediate(goOn)
  }

  port.on('close', () => {
    for (const pieces of copies.values()) ended(pieces)
    copies.clear()
  })
  port.on('message', ({ ticket, work }: IoRequest) => {
    if (work === null) {
      const pieces = copies.get(ticket)
      if (pieces === undefined) return
      copies.delete(ticket)
      ended(pieces)
      answer(ticket, ERRNO.ECANCELED)
    } else if (work.kind === 'flush') {
      for (const { device, node } of work.pages) flushPages(device, node)
      answer(ticket, 0)
    } else if (work.kind === 'fsync')
      answer(
        ticket,
        errorOf(() => flush(work)),
      )
    else if (work.kind === 'pause') setTimeout(answer, work.milliseconds, ticket, 0)
    else if (work.kind === 'asked') answer(ticket, ERRNO.EIO)
    else {
      copies.set(ticket, begin(work))
      if (copies.size === 1) setImmediate(goOn)
    }
  })
}
