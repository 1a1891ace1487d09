// Copying a file's bytes from one descriptor to another, as cheaply as the disk allows:
// shared blocks (FICLONE), else copied inside the kernel, else read and written.
//
//   data ████░░░░░░██  ──▶  ████░░░░░░██   holes stay holes
//
// Rule: `to` is an empty regular file, open for writing, that nobody else sees yet. A failure leaves
// it half written: the caller throws it away. Synchronous; large files go through an io thread.

import { ERRNO, Errno } from '../base/errno.ts'
import { must, sys } from './sys.ts'

const SEEK_DATA = 3
const SEEK_HOLE = 4

/** Most that one copy_file_range is asked for, so that a thread can be ended between two. */
const PIECE = 64 * 1024 * 1024

/** Up to this size bytes are read and written, in one piece. */
const SMALL = 64 * 1024

/**
 * Copies bytes [0, size) of `from`; what lies beyond its end stays a hole. `goOn` is called between
 * two pieces, and may throw. Throws Errno.
 */
export function copyData(from: number, to: number, size: number, goOn = () => {}): void {
  if (size === 0) return
  // Three calls instead of six: most files that are copied up are small, and have no holes.
  if (size <= SMALL && nextHole(from, 0, size) === size) {
    pump(from, to, 0, size, goOn)
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
    copyRange(from, to, data, end, goOn)
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

function copyRange(from: number, to: number, start: number, end: number, goOn: () => void): void {
  let at = start
  while (at < end) {
    goOn()
    const copied = sys.copyFileRange(from, at, to, at, Math.min(PIECE, end - at))
    // 0 also from files whose size says nothing (procfs): reading tells whether they end.
    if (copied === 0 || cannotCopyInKernel(copied)) {
      pump(from, to, at, end, goOn)
      return
    }
    at += must(copied, 'copy_file_range')
  }
}

const cannotCopyInKernel = (result: number): boolean =>
  result === -ERRNO.EXDEV ||
  result === -ERRNO.EINVAL ||
  result === -ERRNO.ENOSYS ||
  result === -ERRNO.EOPNOTSUPP ||
  result === -ERRNO.EPERM ||
  result === -ERRNO.ETXTBSY

let buffer: Buffer | null = null

function pump(from: number, to: number, start: number, end: number, goOn: () => void): void {
  buffer ??= Buffer.allocUnsafeSlow(1024 * 1024)
  let at = start
  while (at < end) {
    goOn()
    const count = must(sys.pread(from, buffer, Math.min(buffer.length, end - at), at), 'pread')
    if (count === 0) return
    writeAll(to, buffer, count, at)
    at += count
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
