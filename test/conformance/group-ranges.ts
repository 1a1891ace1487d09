// copy_file_range(2), lseek(2) for data and holes, and AIO.

import { O } from '../../lib/host/sys.ts'
import { put } from '../behaviour/act.ts'
import { AIO, submit } from './aio.ts'
import { call } from './calls.ts'
import type { Case } from './case.ts'
import type { Trial } from './trial.ts'

const [DATA, HOLE] = [3, 4]
const CONTENT = [...'abcdef'].map((letter) => letter.repeat(4096)).join('')
const MIB = 1 << 20

const copies: Case = {
  title: 'copy_file_range copies what is there, and no more',
  given(place) {
    put(place, 'from', CONTENT)
    put(place, 'to', 'what was there before')
  },
  trial(t) {
    const [from, to] = [t.place.open('from'), t.place.open('to', O.RDWR)]
    for (const [offset, toOffset, count] of [
      [0, 0, 10],
      [5, 4090, 5000],
      [24_570, 3, 100],
      [24_576, 0, 5],
      [99_999, 0, 5],
      [0, 100_000, 24_576],
      [0, 0, 0],
      [8192, 8192, 4096],
    ] as const) {
      const words = `copy ${offset} to ${toOffset}, ${count}`
      t.says(words, () => call.copyRange(from.fd, offset, to.fd, toOffset, count))
      t.sees('to')
    }
    t.calls.open('to')?.pread(9000, 0)
    t.calls.open('to')?.pread(30_000, 95_000)
    t.says('at the offsets', () => call.copyRange(from.fd, null, to.fd, null, 4100))
    t.says('and on', () => call.copyRange(from.fd, null, to.fd, null, MIB))
    t.says('offset', () => from.seek(0, 1))
    t.says('offset', () => to.seek(0, 1))
    t.calls.open('to')?.read(30_000)
  },
}

const oneFile: Case = {
  title: 'copy_file_range within one file',
  given: (place) => put(place, 'f', CONTENT),
  trial(t) {
    const file = t.place.open('f', O.RDWR)
    const copy = (from: number, to: number, count: number) => () =>
      call.copyRange(file.fd, from, file.fd, to, count)
    t.says('apart', copy(0, 8192, 4096))
    t.says('onto itself', copy(0, 0, 4096), 'EINVAL')
    t.says('overlapping', copy(0, 100, 4096), 'EINVAL')
    t.says('side by side', copy(0, 4096, 4096))
    t.says('to the end', copy(20_000, 24_576, 9000))
    t.says('to the end', copy(12_000, 24_576, 5000))
    t.calls.open('f')?.read(40_000)
  },
}

const refusedCopies: Case = {
  title: 'copy_file_range where it cannot be',
  given(place) {
    put(place, 'from', CONTENT)
    put(place, 'to', 'x')
    place.mkdir('d')
  },
  trial(t) {
    const from = t.place.open('from', O.RDWR).fd
    const to = (flags: number) => t.place.open('to', flags).fd
    const copy = (a: number, b: number, flags = 0) => call.copyRange(a, 0, b, 0, 10, flags)
    t.says('to one read only', () => copy(from, to(O.RDONLY)), 'EBADF')
    t.says('from one write only', () => copy(to(O.WRONLY), from), 'EBADF')
    t.says('to O_APPEND', () => copy(from, to(O.RDWR | O.APPEND)), 'EBADF')
    t.says('from a directory', () => copy(t.place.open('d').fd, to(O.RDWR)), 'EISDIR')
    t.says('flags', () => copy(from, to(O.RDWR), 1), 'EINVAL')
    t.says('O_PATH', () => copy(t.place.open('from', O.PATH).fd, to(O.RDWR)), 'EBADF')
    const [out, into] = call.pipe()
    t.says('a pipe', () => copy(out, to(O.RDWR)), 'EINVAL')
    t.says('a pipe', () => call.copyRange(from, 0, into, null, 10), 'EINVAL')
    t.says('before the start', () => call.copyRange(from, -1, to(O.RDWR), 0, 10))
    t.says('behind what can be', () => call.copyRange(from, 0, to(O.RDWR), 2 ** 44, 10))
    t.calls.truncate('to', 20)
    t.sees('to')
  },
}

/** Data at 0 and at 1 MiB, and a hole behind. */
function holes(t: Trial, path: string): void {
  const file = t.calls.open(path)
  for (const at of [
    0,
    100,
    4096,
    65_536,
    MIB - 1,
    MIB,
    MIB + 5,
    MIB + 4096,
    2 * MIB,
    3 * MIB,
    -1,
  ]) {
    file?.seek(at, DATA)
    file?.seek(at, HOLE)
  }
  file?.stat()
}

const sparse: Case = {
  title: 'lseek finds data and holes',
  given(place) {
    const file = place.open('f', O.CREAT | O.RDWR, 0o644)
    file.pwrite('x'.repeat(4096), 0)
    file.pwrite('y'.repeat(4096), MIB)
    file.truncate(2 * MIB)
    file.close()
    put(place, 'full', CONTENT)
    put(place, 'empty', '')
  },
  trial(t) {
    for (const path of ['f', 'full', 'empty']) holes(t, path)
    // A copy-up keeps the holes.
    t.calls.chmod('f', 0o600)
    t.calls.open('f', O.WRONLY)?.pwrite('z', 8)
    holes(t, 'f')
    t.calls.open('f', O.RDWR)?.allocate(3, MIB, 4096)
    holes(t, 'f')
    t.calls.open('f', O.RDWR)?.pwrite('new', MIB + 65_536)
    holes(t, 'f')
    t.says('few blocks', () => t.place.lstat('f').blocks * 512 < MIB)
  },
}

const asynchronous: Case = {
  title: 'requests of io_submit read, write and flush',
  given: (place) => put(place, 'f', CONTENT),
  trial(t) {
    const file = t.place.open('f', O.RDWR)
    const bytes = Buffer.alloc(64)
    t.says('read', () => submit(AIO.PREAD, file.fd, bytes, 4080))
    t.says('bytes', () => bytes.latin1Slice())
    t.says('write', () => submit(AIO.PWRITE, file.fd, Buffer.from('asynchronous'), 24_570))
    t.says('flush', () => submit(AIO.FSYNC, file.fd, bytes, 0))
    t.says('flush', () => submit(AIO.FDSYNC, file.fd, bytes, 0))
    t.says('at the end', () => submit(AIO.PREAD, file.fd, bytes, 30_000), '0')
    const reader = t.place.open('f')
    t.says('write, read only', () => submit(AIO.PWRITE, reader.fd, bytes, 0), 'EBADF')
    t.sees('f')
    t.calls.open('f')?.pread(20, 24_560)
  },
}

export const ranges: readonly Case[] = [copies, oneFile, refusedCopies, sparse, asynchronous]
