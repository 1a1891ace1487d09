// Copying a file's bytes from one descriptor to another, as cheaply as the disk allows:
// shared blocks (FICLONE), else copied inside the kernel, else read and written.
//
//   data ████░░░░░░██  ──▶  ████░░░░░░██   holes stay holes
//
// Rule: `to` is an empty regular file, open for writing, that nobody else sees yet. A failure leaves
// it half written: the caller throws it away. Synchronous; large files go through an io thread,
// which takes one piece at a time and sees to it that the disk gets them as they come: gigabytes
// that are written at once at the end make everybody's fsync wait for them.

import { ERRNO, Errno } from '../base/errno.ts'
import { must, sys } from './sys.ts'

const SEEK_DATA = 3
const SEEK_HOLE = 4

/** Most that one copy_file_range is asked for: a thread does something else between two. */
const PIECE = 8 * 1024 * 1024

/** Up to this size a file is one block, or a hole. */
const BLOCK = 4096

/** Up to this size bytes are read and written, in one piece. */
const SMALL = 64 * 1024

/**
 * Copies bytes [0, size) of `from`; what lies beyond its end stays a hole. `goOn` is called between
 * two pieces, and may throw. Throws Errno.
 */
export function copyData(from: number, to: number, size: number, goOn = () => {}): void {
  if (size <= BLOCK && copyBlock(from, to, size)) return
  for (const _piece of copyPieces(from, to, size)) goOn()
}

// Many files that are copied up are no larger than that; of zeros, it is a hole.
function copyBlock(from: number, to: number, size: number): boolean {
  buffer ??= Buffer.allocUnsafeSlow(1024 * 1024)
  if (must(sys.pread(from, buffer, size, 0), 'pread') < size) return false
  for (let at = 0; at < size; at++) {
    if (buffer[at] === 0) continue
    writeAll(to, buffer, size, 0)
    return true
  }
  return false
}

/** The same, piece by piece: yields up to where the file has been copied. */
export function* copyPieces(from: number, to: number, size: number): Generator<number> {
  if (size === 0) return
  // Three calls instead of six: most files that are copied up are small, and have no holes.
  if (size <= SMALL && nextHole(from, 0, size) === size) {
    yield* pump(from, to, 0, size)
    return
  }
  if (sys.clone(to, from) === 0) {
    must(sys.ftruncate(to, size), 'ftruncate')
    return
  }
  must(sys.ftruncate(to, size), 'ftruncate')
  let at = 0
  while (at < size) {
    const data = nextData(from, at, size)
    if (data >= size) return
    const end = nextHole(from, data, size)
    yield* copyRange(from, to, data, end)
    at = end
  }
}

/** Where data begins, at or after `at`; `size` where none does. A disk that cannot say has no holes. */
export function nextData(fd: number, at: number, size: number): number {
  const found = sys.lseek(fd, at, SEEK_DATA)
  if (found === -ERRNO.ENXIO) return size
  return found < 0 ? at : found
}

/** Where the data at `at` ends. */
export function nextHole(fd: number, at: number, size: number): number {
  const found = sys.lseek(fd, at, SEEK_HOLE)
  return found < 0 ? size : Math.min(found, size)
}

function* copyRange(from: number, to: number, start: number, end: number): Generator<number> {
  let at = start
  while (at < end) {
    const copied = sys.copyFileRange(from, at, to, at, Math.min(PIECE, end - at))
    // 0 also from files whose size says nothing (procfs): reading tells whether they end.
    if (copied === 0 || cannotCopyInKernel(copied)) {
      yield* pump(from, to, at, end)
      return
    }
    at += must(copied, 'copy_file_range')
    yield at
  }
}

/**
 * Brings the data of `from` into the same places of `to`, stretch by stretch (`runs`: from and to of
 * each); holes are left alone. Yields after each piece how many bytes came. Throws Errno.
 */
export function* fillPieces(from: number, to: number, runs: readonly number[]): Generator<number> {
  for (let i = 0; i < runs.length; i += 2) {
    const end = runs[i + 1]!
    for (let at = runs[i]!; at < end; ) {
      const data = nextData(from, at, end)
      if (data >= end) break
      at = nextHole(from, data, end)
      // By whole pages, which nobody ever sees a part of.
      let last = data
      for (const reached of pump(from, to, data - (data % PAGE), at)) {
        yield reached - last
        last = reached
      }
    }
  }
}

const PAGE = 4096

const cannotCopyInKernel = (result: number): boolean =>
  result === -ERRNO.EXDEV ||
  result === -ERRNO.EINVAL ||
  result === -ERRNO.ENOSYS ||
  result === -ERRNO.EOPNOTSUPP ||
  result === -ERRNO.EPERM ||
  result === -ERRNO.ETXTBSY

let buffer: Buffer | null = null

function* pump(from: number, to: number, start: number, end: number): Generator<number> {
  buffer ??= Buffer.allocUnsafeSlow(1024 * 1024)
  let at = start
  while (at < end) {
    const count = must(sys.pread(from, buffer, Math.min(buffer.length, end - at), at), 'pread')
    if (count === 0) return
    writeAll(to, buffer, count, at)
    at += count
    yield at
  }
}

function writeAll(fd: number, bytes: Buffer, count: number, offset: number): void {
  let done = 0
  while (done < count) {
    const part = done === 0 ? bytes : bytes.subarray(done)
    const written = must(sys.pwrite(fd, part, count - done, offset + done), 'pwrite')
    if (written === 0) throw new Errno(ERRNO.EIO, 'pwrite')
    done += written
  }
}

const WAIT_BEFORE = 1
const WRITE = 2
const WAIT_AFTER = 4

/** Has the disk take a file while it is being written, so that at most `window` bytes wait. */
export class SteadyFlush {
  readonly #fd: number
  readonly #window: number
  #begun = 0
  #done = 0

  constructor(fd: number, window: number) {
    this.#fd = fd
    this.#window = window
  }

  /** The file has been written up to here. Throws Errno where the disk did not take it. */
  reached(at: number): void {
    if (at - this.#begun < PIECE) return
    this.#flush(this.#begun, at, WRITE)
    this.#begun = at
    const until = at - this.#window
    if (until - this.#done < PIECE) return
    this.#flush(this.#done, until, WAIT_BEFORE | WRITE | WAIT_AFTER)
    this.#done = until
  }

  #flush(from: number, to: number, flags: number): void {
    const done = sys.syncFileRange(this.#fd, from, to - from, flags)
    // A file that cannot do this alone is flushed as a whole, in the end.
    if (done !== -ERRNO.ENOSYS && done !== -ERRNO.EINVAL && done !== -ERRNO.ESPIPE)
      must(done, 'flush')
  }
}
