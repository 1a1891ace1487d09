// How a program learns that the disk of a writable branch is full.
//
// Under writeback the kernel takes pages without asking, and writes them later: where they find
// no room, the writer would hear of it at fsync or close alone, and lose them. So
//
//   room is short           a file that is opened is written through: write(2) gets the errno
//   pages were refused      write(2) on that file is refused, too, as long as there is no room
//
// After the last close the file's name gets a new node in both cases: what the kernel has cached
// of it, pages and size here, the time of its change there, is not what the disk holds.
//
// The kernel asks for the attributes of a file that it is about to write, once it was told that
// it does not know them any more; then, and only then, it names the handle.
//
// Rule: nothing is asked of the disk more often than once in LOOK_AGAIN.

// Not the global one: V8 asks Node for that each time.
import { performance } from 'node:perf_hooks'
import { ERRNO } from '../base/errno.ts'
import * as bytes from './bytes.ts'
import type { WrittenRoom } from './written-room.ts'

/** Free bytes below which files are written through. */
const SHORT = 16 * 1024 * 1024
/** Free bytes below which pages that were refused once are refused still. */
const NONE = 1024 * 1024
/** Milliseconds for which an answer of the disk is good. */
const LOOK_AGAIN = 100
/** Milliseconds after which a refused file may try again, whatever the disk says. */
const TRY_AGAIN = 1000
/** Milliseconds for which room counts as short after a refusal: a quota does not show in the disk's figures. */
const REMEMBERED = 10_000

/** Pages of an open file that its disk did not take. */
export interface RefusedPages {
  readonly error: number
  readonly at: number
}

export class Room {
  /** A limit besides the disk's. */
  written: WrittenRoom | null = null
  readonly #root: number
  readonly #buffer = Buffer.alloc(256)
  #looked = Number.NEGATIVE_INFINITY
  #free = Number.POSITIVE_INFINITY
  #refused = Number.NEGATIVE_INFINITY

  /** `root` is a descriptor of the branch's root. */
  constructor(root: number) {
    this.#root = root
  }

  get isShort(): boolean {
    const now = performance.now()
    return now - this.#refused < REMEMBERED || this.#freeAt(now) < SHORT
  }

  refuse(error: number): RefusedPages {
    const at = performance.now()
    if (isAboutRoom(error)) this.#refused = at
    return { error, at }
  }

  /** True where it makes no sense yet to take more pages for the file. */
  stillRefuses({ error, at }: RefusedPages): boolean {
    const now = performance.now()
    if (!isAboutRoom(error) || now - at > TRY_AGAIN) return false
    return error === ERRNO.EDQUOT || this.#freeAt(now) < NONE
  }

  #freeAt(now: number): number {
    return Math.min(this.#freeOnDisk(now), this.written?.free ?? Number.POSITIVE_INFINITY)
  }

  #freeOnDisk(now: number): number {
    if (now - this.#looked < LOOK_AGAIN) return this.#free
    this.#looked = now
    const { blocks, bavail, bsize } = bytes.statfs(this.#root, this.#buffer)
    // A disk in memory without a limit has no figures.
    this.#free = blocks === 0 ? Number.POSITIVE_INFINITY : bavail * bsize
    return this.#free
  }
}

const isAboutRoom = (error: number): boolean => error === ERRNO.ENOSPC || error === ERRNO.EDQUOT
