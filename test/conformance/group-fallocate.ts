// fallocate(2) and posix_fallocate(3), with every mode.

import { O } from '../../lib/host/sys.ts'
import { put } from '../behaviour/act.ts'
import { call } from './calls.ts'
import { type Case, KINDS, make, needsOf } from './case.ts'
import type { Trial } from './trial.ts'

const MODE = { KEEP: 1, PUNCH: 2, ZERO: 16 } as const
const GIB = 2 ** 30
/** Four blocks that differ, of 16 KiB in all. */
const BLOCKS = [...'abcd'].map((letter) => letter.repeat(4096)).join('')

function show(t: Trial): void {
  t.sees('f')
  const file = t.calls.open('f')
  for (let at = 0; at < 24; at += 4) file?.pread(4096, at * 1024)
}

const everyMode: Case[] = Array.from({ length: 128 }, (_, mode) => mode)
  // NO_HIDE_STALE is for filesystems that nobody uses.
  .filter((mode) => (mode & 4) === 0)
  .map((mode) => ({
    title: `fallocate of mode ${mode}`,
    given: (place) => put(place, 'f', BLOCKS),
    trial(t) {
      const file = t.calls.open('f', O.RDWR)
      for (const [offset, length] of [
        [4096, 4096],
        [1000, 500],
        [12288, 8192],
        [0, 0],
        [-1, 5],
      ]) {
        file?.allocate(mode, offset!, length!)
      }
      show(t)
    },
  }))

const grows: Case = {
  title: 'fallocate grows the file unless its size is to be kept',
  given: (place) => put(place, 'f', 'short'),
  trial(t) {
    const file = t.calls.open('f', O.RDWR)
    file?.allocate(MODE.KEEP, 0, 100_000)
    t.sees('f')
    t.says('blocks are there', () => t.place.lstat('f').blocks * 512 >= 100_000)
    file?.allocate(0, 0, 3)
    t.sees('f')
    file?.allocate(0, 8192, 8192)
    show(t)
    file?.allocate(MODE.ZERO, 2, 20_000)
    show(t)
    file?.allocate(MODE.PUNCH | MODE.KEEP, 0, 30_000)
    show(t)
    t.says('posix_fallocate', () => call.posixAllocate(t.place.open('f', O.RDWR).fd, 0, 40_000))
    t.sees('f')
  },
}

const times: Case = {
  title: 'fallocate moves mtime and ctime',
  given: (place) => put(place, 'f', BLOCKS),
  trial(t) {
    const file = t.calls.open('f', O.RDWR)
    for (const mode of [0, MODE.KEEP, MODE.PUNCH | MODE.KEEP, MODE.ZERO]) {
      t.moves(['f'], () => file?.allocate(mode, 4096, 4096))
    }
    t.moves(['f'], () => file?.allocate(0, 0, 1 << 20))
    t.moves(['f'], () => file?.allocate(MODE.KEEP, 0, 2 << 20))
    t.sees('f')
  },
}

const refusals: Case = {
  title: 'fallocate of what it cannot be done to',
  given: (place) => put(place, 'f', BLOCKS),
  trial(t) {
    t.says('read only', () => t.place.open('f').allocate(0, 0, 9), 'EBADF')
    t.says('O_PATH', () => t.place.open('f', O.PATH).allocate(0, 0, 9), 'EBADF')
    const file = t.calls.open('f', O.RDWR)
    for (const mode of [0, MODE.KEEP, MODE.PUNCH | MODE.KEEP]) {
      for (const [offset, length] of [
        [-1, 1],
        [0, 0],
        [0, -1],
        [5, -5],
        [2 ** 62, 2 ** 62],
        [2 ** 44, 1],
      ])
        file?.allocate(mode, offset!, length!)
    }
    t.says('posix, EINVAL', () => call.posixAllocate(t.place.open('f', O.RDWR).fd, -1, 5), 'EINVAL')
    t.says('posix, EINVAL', () => call.posixAllocate(t.place.open('f', O.RDWR).fd, 0, 0), 'EINVAL')
    t.says('posix, EBADF', () => call.posixAllocate(t.place.open('f').fd, 0, 5), 'EBADF')
    // 1 << 7 means nothing yet.
    file?.allocate(1 << 9, 0, 4096)
    t.sees('f')
    const [, end] = call.pipe()
    file?.truncate(16_384)
    t.says('pipe', () => call.posixAllocate(end, 0, 5), 'ESPIPE')
  },
}

const eachKind: Case[] = KINDS.filter(
  (kind) => !['symlink', 'fifo', 'socket', 'block'].includes(kind),
).map((kind) => ({
  title: `fallocate of a ${kind}`,
  needs: needsOf(kind),
  given: (place) => make(place, kind, 'n'),
  trial(t) {
    const flags = kind === 'directory' ? O.RDONLY : O.RDWR
    t.says('fallocate', () => t.place.open('n', flags).allocate(0, 0, 4096))
  },
}))

const beyond: Case = {
  title: 'holes are punched and blocks allocated beyond 4 GiB',
  given: (place) => put(place, 'f', 'x'),
  trial(t) {
    const file = t.calls.open('f', O.RDWR)
    file?.allocate(0, 5 * GIB, 10_000)
    t.sees('f')
    file?.pwrite('y'.repeat(12_288), 5 * GIB)
    file?.allocate(MODE.PUNCH | MODE.KEEP, 5 * GIB + 4096, 4096)
    file?.pread(8, 5 * GIB + 4092)
    file?.pread(8, 5 * GIB + 8188)
    t.sees('f')
    file?.truncate(0)
  },
}

const append: Case = {
  title: 'an O_APPEND descriptor allocates where it is told',
  given: (place) => put(place, 'f', BLOCKS),
  trial(t) {
    const file = t.calls.open('f', O.RDWR | O.APPEND)
    file?.allocate(MODE.PUNCH | MODE.KEEP, 4096, 4096)
    file?.allocate(0, 0, 20_000)
    file?.write('end')
    show(t)
  },
}

export const fallocate: readonly Case[] = [
  ...everyMode,
  grows,
  times,
  refusals,
  ...eachKind,
  beyond,
  append,
]
