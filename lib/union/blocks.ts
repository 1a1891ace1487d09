// A large file of which a writable sublayer has the changed blocks alone: an unsettled file.
//
//   rw/file      ░░▓▓░░░░▓░░░|      sparse, of the whole size; what has data counts
//   ro/file      ████████████|      the holes up to `valid` mean these bytes
//   programs     ██▓▓████▓███|
//
// The holes are the block map: there is no second file that could say otherwise. On the disk it
// is a metacopy (the same marks, found by the same lookup) with the blocks mark besides. A write
// first fills the blocks that it covers in part, each with one call; disks write a page wholly or
// leave its hole, so whatever dies when, a block is the lower one or the new one. `valid` only
// shrinks, with the file: what comes when it grows again is zeros.
//
// Settling: an io thread copies the lower bytes of a piece, which changes nothing that shows;
// meanwhile whatever changes the file waits, and what reads it does not look there. When no hole
// is left that means anything, the marks go, and it is a file like any other.
//
// Rule: `valid` on the disk is never less than what counts, and never more when the file grows. An
// unsettled file is larger than SMALLEST: the mark of a large file is always asked for.

import { ERRNO, Errno, fail } from '../base/errno.ts'
import type { RelPath } from '../base/path.ts'
import { type Job, Parked } from '../fuse/filesystem.ts'
import { nextData, nextHole } from '../host/copy.ts'
import { Stat } from '../host/stat.ts'
import { must, S, sys, UTIME_OMIT } from '../host/sys.ts'
import {
  type BlocksMark,
  clearBlocks,
  clearMark,
  LARGEST_WHOLE,
  setBlocks,
} from '../layer/marks.ts'
import { BLOCK, BlockMap } from './block-map.ts'
import type { Branch } from './branch.ts'
import type { FilePlace, Moment } from './node.ts'

/** Up to this size a file is copied up whole: it costs less than to keep account of it. */
export const SMALLEST = LARGEST_WHOLE

/** Longest time that the end of a piece is waited for; a disk that hangs keeps nobody. */
const LONGEST_MS = 10_000

/** A part of the file that an io thread is filling. */
interface Piece {
  readonly job: Job
  /** From and to, in bytes, of what is filled. */
  readonly runs: readonly number[]
  readonly from: number
  readonly to: number
  /** Nothing is left when it is done. */
  readonly last: boolean
  /** What programs see meanwhile, and afterwards. */
  mtime: Moment
  ctime: Moment
}

const stat = new Stat()
const block = Buffer.allocUnsafeSlow(BLOCK)
const oneByte = Buffer.alloc(1)

export class Blocks {
  readonly branch: Branch
  readonly ino: number
  /** Where the lower file lies. */
  readonly place: FilePlace

  // Mutable below, by the union's thread alone.

  /** Where the file lies in the branch, as far as is known: to find it again after the mount. */
  path: RelPath
  /** True once it is a file like any other. */
  settled = false
  /** True where the rest is to follow in the background. */
  queued = false
  piece: Piece | null = null
  /** What the last piece ended with. */
  error = 0
  #valid: number
  /** As the disk has it. */
  #mark: BlocksMark
  #map: BlockMap | null = null
  static #jobs = 0

  constructor(
    branch: Branch,
    ino: number,
    place: FilePlace,
    path: RelPath,
    mark: BlocksMark,
    size: number,
  ) {
    this.branch = branch
    this.ino = ino
    this.place = place
    this.path = path
    this.#mark = mark
    this.#valid = Math.min(mark.valid, size)
  }

  get valid(): number {
    return this.#valid
  }

  /** Opens the lower file. EIO where it is another than the one whose bytes are meant. */
  openLower(open: (place: FilePlace) => number): number {
    const fd = open(this.place)
    const { size, mtime, mtimeNsec } = this.#mark
    if (sys.stat(fd, '', stat) >= 0 && isLower(stat, size, mtime, mtimeNsec)) return fd
    sys.close(fd)
    return fail('EIO', 'the lower file of blocks is another')
  }

  /** Learns from the disk which blocks are there. `fd` is the file's. Throws Errno. */
  load(fd: number): BlockMap {
    if (this.#map !== null) return this.#map
    const map = new BlockMap()
    for (let at = 0; at < this.#valid; ) {
      const data = nextData(fd, at, this.#valid)
      if (data >= this.#valid) break
      at = nextHole(fd, data, this.#valid)
      map.add(Math.floor(data / BLOCK), Math.ceil(at / BLOCK))
    }
    this.#map = map
    return map
  }

  /** True where nothing of it was changed. */
  isBare(fd: number): boolean {
    const end = Math.ceil(this.#valid / BLOCK)
    return this.#valid === this.#mark.size && this.load(fd).next(0, end, true) === end
  }

  /** Blocks of 512 bytes that programs see it use, by those of the lower file. */
  shownBlocks(own: number, lower: number): number {
    const below = Math.min(lower, Math.ceil(this.#valid / BLOCK) * 8)
    if (this.#map === null) return Math.max(own, below)
    return below + this.#map.countFrom(Math.ceil(this.#valid / BLOCK)) * 8
  }

  /** Fills `into` with what programs see from `offset` on; answers how many bytes there were. */
  read(fd: number, lower: number, offset: number, into: Buffer): number {
    const map = this.load(fd)
    must(sys.stat(fd, '', stat), 'stat')
    const end = Math.min(offset + into.length, stat.size)
    let own = false
    for (let at = offset; at < end; ) {
      const there = at >= this.#valid || map.has(Math.floor(at / BLOCK))
      const until = this.#runEnd(map, at, end, there)
      const part = into.subarray(at - offset, until - offset)
      if (there) fillUp(fd, part, at, true)
      else fillUp(lower, part, at, false)
      own ||= there
      at = until
    }
    // The disk keeps the access time, and has not seen one.
    if (!own && end > offset) sys.pread(fd, oneByte, 1, offset)
    return Math.max(end - offset, 0)
  }

  // Where the run of own, or of lower, bytes at `at` ends.
  #runEnd(map: BlockMap, at: number, end: number, there: boolean): number {
    if (at >= this.#valid) return end
    const last = Math.ceil(Math.min(end, this.#valid) / BLOCK)
    const next = map.next(Math.floor(at / BLOCK), last, !there) * BLOCK
    if (next < this.#valid) return Math.min(next, end)
    return there ? end : Math.min(end, this.#valid)
  }

  /** Before bytes are written: what the blocks at both ends keep of the lower file comes first. */
  beforeWrite(fd: number, lower: number, offset: number, length: number): void {
    this.keepMark(fd)
    const map = this.load(fd)
    const end = offset + length
    if (offset % BLOCK !== 0) this.#fill(map, fd, lower, Math.floor(offset / BLOCK))
    if (end % BLOCK !== 0 && end < this.#valid) this.#fill(map, fd, lower, Math.floor(end / BLOCK))
  }

  /** After bytes were written, perhaps fewer than were meant to be. */
  wrote(fd: number, lower: number, offset: number, length: number): void {
    if (length === 0) return
    const map = this.load(fd)
    const end = offset + length
    const last = Math.floor(end / BLOCK)
    // Cut off within a block that is not there yet: the rest of it is still the lower file's.
    if (end % BLOCK !== 0 && end < this.#valid && !map.has(last)) {
      const rest = Math.min((last + 1) * BLOCK, this.#valid) - end
      fillUp(lower, block.subarray(0, rest), end, false)
      writeOut(fd, block, rest, end)
    }
    map.add(Math.floor(offset / BLOCK), Math.ceil(end / BLOCK))
  }

  #fill(map: BlockMap, fd: number, lower: number, number: number): void {
    const at = number * BLOCK
    if (at >= this.#valid || map.has(number)) return
    const length = Math.min(BLOCK, this.#valid - at)
    fillUp(lower, block.subarray(0, length), at, false)
    writeOut(fd, block, length, at)
    map.add(number, number + 1)
  }

  /** Before the file grows, or is written: the disk must not say that more counts than does. */
  keepMark(fd: number): void {
    if (this.#mark.valid <= this.#valid) return
    const mark = { ...this.#mark, valid: this.#valid }
    setBlocks(fd, mark, this.branch.prefix!)
    this.#mark = mark
  }

  /** After it was cut to a size, or grew to it. */
  resized(fd: number, size: number): void {
    if (size >= this.#valid) return
    this.load(fd).cut(Math.ceil(size / BLOCK))
    this.#valid = size
    try {
      this.keepMark(fd)
    } catch (err) {
      // The file is cut. Before it grows it is tried again, and fails that.
      if (!(err instanceof Errno)) throw err
    }
  }

  /** SEEK_DATA and SEEK_HOLE of what programs see; -ENXIO as lseek has it. */
  seek(fd: number, lower: number, offset: number, forData: boolean): number {
    const map = this.load(fd)
    must(sys.stat(fd, '', stat), 'stat')
    const { size } = stat
    if (offset < 0 || offset >= size) return -ERRNO.ENXIO
    for (let at = offset; at < size; ) {
      const there = at >= this.#valid || map.has(Math.floor(at / BLOCK))
      const until = this.#runEnd(map, at, size, there)
      const source = there ? fd : lower
      const found = forData ? nextData(source, at, until) : nextHole(source, at, until)
      if (found < until) return found
      at = until
    }
    return forData ? -ERRNO.ENXIO : size
  }

  /** The times that programs see were set, while a piece may be under way. */
  keepTimes(mtime: Moment, ctime: Moment): void {
    if (this.piece === null) return
    this.piece.mtime = mtime
    this.piece.ctime = ctime
  }

  // --- Settling

  /** Waits, by parking the request, while an io thread fills a part of the file. */
  waitForPiece(): void {
    this.collect()
    if (this.piece !== null) throw new Parked(this.piece.job)
  }

  /**
   * Begins to fill up to `most` bytes; the job is for an io thread, `collect` for afterwards. The
   * descriptors are closed then. Null where the file has no name any more.
   */
  begin(fd: number, lower: number, most: number): Job | null {
    must(sys.stat(fd, '', stat), 'stat')
    if (stat.nlink === 0 || this.settled) return null
    const mtime = { seconds: stat.mtime, nsec: stat.mtimeNsec }
    const ctime = this.branch.ctimes?.shown(stat) ?? { seconds: stat.ctime, nsec: stat.ctimeNsec }
    const { runs, last } = this.#runs(this.load(fd), most)
    const state = new Int32Array(new SharedArrayBuffer(8))
    const work = { kind: 'fill', from: lower, to: fd, runs, flush: last, state } as const
    // Below 0: numbers that no view's job has.
    const job: Job = { id: -++Blocks.#jobs, error: 0, done: false, ...work }
    this.piece = { job, runs, from: lower, to: fd, last, mtime, ctime }
    return job
  }

  #runs(map: BlockMap, most: number): { runs: number[]; last: boolean } {
    const end = Math.ceil(this.#valid / BLOCK)
    const runs: number[] = []
    let left = Math.ceil(most / BLOCK)
    let at = map.next(0, end, false)
    while (at < end && left > 0) {
      const until = Math.min(map.next(at, end, true), at + left)
      runs.push(at * BLOCK, Math.min(until * BLOCK, this.#valid))
      left -= until - at
      at = map.next(until, end, false)
    }
    return { runs, last: at >= end }
  }

  /** The branch is closed: from here on nobody fills the file. It waits for some milliseconds. */
  close(): void {
    const { piece } = this
    if (piece === null) return
    const { job } = piece
    if (!job.done && job.kind === 'fill') {
      Atomics.store(job.state, 1, 1)
      Atomics.wait(job.state, 0, 0, LONGEST_MS)
    }
    this.piece = null
    this.#keepTimes(piece)
    sys.close(piece.from)
    sys.close(piece.to)
  }

  /** Takes in a piece that is done; where it was the last, the file is one like any other. */
  collect(): void {
    const { piece } = this
    if (piece === null || !piece.job.done) return
    this.piece = null
    this.error = piece.job.error
    try {
      if (this.error === 0) this.#filled(piece)
    } catch (err) {
      if (!(err instanceof Errno)) throw err
      this.error = err.number
    } finally {
      this.#keepTimes(piece)
      sys.close(piece.from)
      sys.close(piece.to)
    }
  }

  #filled({ runs, last, to }: Piece): void {
    for (let i = 0; i < runs.length; i += 2) {
      this.#map!.add(Math.floor(runs[i]! / BLOCK), Math.ceil(runs[i + 1]! / BLOCK))
    }
    if (!last) return
    const { prefix } = this.branch
    this.branch.journal?.noteFile(to)
    // From here on it is an ordinary file; the other marks say nothing without this one.
    clearMark(to, '', 'metacopy', prefix!)
    this.settled = true
    this.#map = null
    this.branch.unsettled?.settled(this)
    clearMark(to, '', 'redirect', prefix!)
    clearBlocks(to, '', prefix!)
  }

  #keepTimes({ to, mtime, ctime }: Piece): void {
    sys.utimensat(to, '', 0, UTIME_OMIT, mtime.seconds, mtime.nsec)
    if (sys.stat(to, '', stat) >= 0) this.branch.ctimes?.keep(stat, ctime)
  }
}

const isLower = (found: Stat, size: number, mtime: number, mtimeNsec: number): boolean =>
  (found.mode & S.IFMT) === S.IFREG &&
  found.size === size &&
  found.mtime === mtime &&
  found.mtimeNsec === mtimeNsec

// A file's bytes from an offset on; where it ends before, EIO, or (`mayEnd`) zeros.
function fillUp(fd: number, into: Buffer, offset: number, mayEnd: boolean): void {
  for (let done = 0; done < into.length; ) {
    const rest = done === 0 ? into : into.subarray(done)
    const count = must(sys.pread(fd, rest, rest.length, offset + done), 'read')
    if (count === 0 && !mayEnd) fail('EIO', 'the lower file of blocks is too short')
    if (count === 0) {
      rest.fill(0)
      return
    }
    done += count
  }
}

// A page at most: it is written wholly, or not at all.
function writeOut(fd: number, bytes: Buffer, length: number, offset: number): void {
  const done = must(sys.pwrite(fd, bytes, length, offset), 'write')
  if (done !== length) throw new Errno(ERRNO.ENOSPC, 'write')
}
