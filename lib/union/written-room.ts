// How much room what is written to an image may still take, where its area has a limit.
//
//   write, make, copy-up ─▶ take ─▶ counted in the room that the area's freezes share
//                            └ none is left ─▶ what is there is counted anew ─▶ ENOSPC
//
// What is deleted is not counted off as it goes: that is found when room is short.
//
// Rule: bytes are counted before they are written, and never fewer than the disk has. It belongs to
// the union's thread.

// Not the global one: V8 asks Node for that each time.
import { performance } from 'node:perf_hooks'
import { ERRNO, Errno } from '../base/errno.ts'
import { nextData, nextHole } from '../host/copy.ts'
import { Stat } from '../host/stat.ts'
import { AT_FDCWD, O, S, sys } from '../host/sys.ts'
import { walk } from '../layer/walk.ts'
import { type AreaRoom, Budget } from './freeze-budget.ts'
import type { UnionNode } from './node.ts'

const PAGE = 4096
/** Milliseconds between two counts of all that is there. */
const COUNT_AGAIN = 100

const stat = new Stat()

export class WrittenRoom {
  readonly #room: AreaRoom
  readonly #budget: Budget
  readonly #path: string
  #counted = Number.NEGATIVE_INFINITY
  #ended = false

  /** `path`: the directory that holds all that is written; it need not be there yet. */
  constructor(room: AreaRoom, path: string) {
    this.#room = room
    this.#budget = new Budget(room)
    this.#path = path
    this.#budget.own(bytesBelow(path))
  }

  get bytes(): number {
    return this.#budget.bytes
  }

  get limit(): number {
    return this.#room.limit
  }

  /** Bytes that the area has left. */
  get free(): number {
    return this.#ended ? 0 : Math.max(this.#room.limit - this.#room.used, 0)
  }

  /** Before so many bytes come. `opened`: what programs have open. Throws ENOSPC. */
  take(bytes: number, opened: Iterable<UnionNode>): void {
    if (this.#ended) throw new Errno(ERRNO.ENOSPC, 'write')
    try {
      this.#budget.take(bytes)
    } catch (err) {
      if (!this.#count(opened)) throw err
      this.#budget.take(bytes)
    }
  }

  /** Before bytes [from, to) of a file are written. Throws ENOSPC. */
  takeRange(fd: number, from: number, to: number, opened: Iterable<UnionNode>): void {
    const bytes = bytesToCome(fd, from, to)
    if (bytes > 0) this.take(bytes, opened)
  }

  /** The area is given up: nothing more is taken. */
  end(): void {
    this.#ended = true
    this.#budget.release()
  }

  // False where that was done just before.
  #count(opened: Iterable<UnionNode>): boolean {
    const now = performance.now()
    if (now - this.#counted < COUNT_AGAIN) return false
    this.#counted = now
    let bytes = bytesBelow(this.#path)
    // What has no name any more is there all the same.
    for (const { open } of opened)
      if (open?.writable && sys.stat(open.fd, '', stat) >= 0 && stat.nlink === 0)
        bytes += bytesOf(stat)
    this.#budget.release()
    this.#budget.own(bytes)
    return true
  }
}

/** Bytes that a directory and all that it holds take, as `take` counts them; 0 where it is not there. */
export function bytesBelow(path: string): number {
  const root = sys.openat(AT_FDCWD, path, O.PATH | O.DIRECTORY | O.NOFOLLOW)
  if (root < 0) return 0
  const linked = new Set<number>()
  let bytes = 0
  try {
    for (const { stat } of walk(root)) {
      const isAgain = (stat.mode & S.IFMT) !== S.IFDIR && stat.nlink > 1 && linked.has(stat.ino)
      if (stat.nlink > 1) linked.add(stat.ino)
      if (!isAgain) bytes += bytesOf(stat)
    }
    return bytes
  } finally {
    sys.close(root)
  }
}

// An empty file takes memory, too. A whiteout does not count: deleting must not need room.
function bytesOf({ mode, blocks }: Stat): number {
  return (mode & S.IFMT) === S.IFCHR ? 0 : Math.max(Math.ceil((blocks * 512) / PAGE), 1) * PAGE
}

/** The pages of [from, to) that the file does not have yet, in bytes. */
function bytesToCome(fd: number, from: number, to: number): number {
  const end = Math.ceil(to / PAGE) * PAGE
  let bytes = 0
  for (let at = Math.floor(from / PAGE) * PAGE; at < end; ) {
    const data = Math.min(nextData(fd, at, end), end)
    bytes += Math.ceil((data - at) / PAGE) * PAGE
    at = data < end ? Math.ceil(nextHole(fd, data, end) / PAGE) * PAGE : end
  }
  return bytes
}
