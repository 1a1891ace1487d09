// utimensat(2) and futimens(3).

import { O } from '../../lib/host/sys.ts'
import { put } from '../behaviour/act.ts'
import type { Time } from '../behaviour/place.ts'
import { call } from './calls.ts'
import { type Case, KINDS, make, needsOf, USER_KINDS } from './case.ts'
import type { Trial } from './trial.ts'

const NOW = 0x3fffffffn
const OMIT = 0x3ffffffen
const NOFOLLOW = 0x100
const SECOND = 1_000_000_000n
/** Before 1970, the bounds of 32 bits and beyond, and each digit of nanoseconds. */
const MOMENTS: readonly bigint[] = [
  0n,
  1n,
  999_999_999n,
  1_234_567_890_123_456_789n,
  -1n,
  -SECOND * 86_400n * 365n - 5n,
  (2n ** 31n - 1n) * SECOND + 7n,
  2n ** 31n * SECOND,
  -(2n ** 31n) * SECOND,
  (2n ** 31n + 5n) * SECOND + 123_456_789n,
  2n ** 33n * SECOND,
  (2n ** 34n - 2n ** 31n - 1n) * SECOND,
  // Beyond what ext4 holds: what it makes of it.
  2n ** 35n * SECOND,
  -(2n ** 33n) * SECOND,
]
const PAIRS: readonly (readonly [Time, Time])[] = [
  [SECOND, 2n * SECOND],
  [3n, 'keep'],
  ['keep', 4n],
  ['now', 5n],
  [6n, 'now'],
  ['now', 'keep'],
  ['keep', 'now'],
  ['now', 'now'],
  ['keep', 'keep'],
]

/** What a name's times are, where they are not the present. */
function times(t: Trial, path: string): void {
  const { atime, mtime } = t.place.lstat(path)
  const show = (time: bigint) =>
    time / SECOND > 1_700_000_000n && time / SECOND < 2n ** 31n - 9n ? 'now' : time
  t.says(`times of ${path}`, () => `${show(atime)} ${show(mtime)}`)
}

const everyMoment: Case[] = KINDS.map((kind) => ({
  title: `each moment on a ${kind}`,
  needs: needsOf(kind),
  given: (place) => make(place, kind, 'n'),
  trial(t) {
    for (const moment of MOMENTS) {
      t.wants('ok').lutimens('n', moment, moment + SECOND + 3n)
      times(t, 'n')
    }
    t.moves(['n', ''], () => t.calls.lutimens('n', 5n, 6n), 'n: mtime ctime, .: none')
    t.moves(['n'], () => t.calls.lutimens('n', 5n, 6n), 'n: ctime')
    for (const [atime, mtime] of PAIRS) {
      t.moves(['n'], () => t.wants('ok').lutimens('n', atime, mtime))
      times(t, 'n')
    }
  },
}))

const throughLink: Case = {
  title: 'a link is followed unless it is told not to be',
  given(place) {
    put(place, 'f', 'x')
    place.symlink('f', 'l')
    place.symlink('nowhere', 'dangling')
  },
  trial(t) {
    t.moves(['f', 'l'], () => t.wants('ok').utimens('l', 1n, 2n), 'f: mtime ctime, l: none')
    t.moves(['f', 'l'], () => t.wants('ok').lutimens('l', 3n, 4n), 'f: none, l: mtime ctime')
    times(t, 'f')
    t.wants('ENOENT').utimens('dangling', 1n, 2n)
    t.wants('ok').lutimens('dangling', 1n, 2n)
    times(t, 'dangling')
  },
}

const descriptors: Case = {
  title: 'futimens of descriptors',
  given(place) {
    put(place, 'f', 'x')
    place.mkdir('d')
  },
  trial(t) {
    for (const flags of [O.RDONLY, O.WRONLY, O.RDWR]) {
      t.calls.open('f', flags)?.utimens(BigInt(flags) * 10n, 77n)
      times(t, 'f')
    }
    t.calls.open('d')?.utimens(8n, 9n)
    times(t, 'd')
    const fd = t.place.open('f').fd
    const [path, dir] = [t.place.open('f', O.PATH).fd, t.place.fd]
    const set = (at: number, name: string, flags = 0, of: readonly bigint[] | null = null) =>
      void call.utimensat(at, name, of, flags)
    t.says('no name', () => call.futimens(fd, null), '0')
    t.says('no name, O_PATH', () => call.futimens(path, null), 'EBADF')
    t.says('no name, bad descriptor', () => call.futimens(-1, null), 'EBADF')
    t.says('O_PATH and empty', () => set(path, '', 0x1000, [0n, 1n, 0n, 2n]))
    times(t, 'f')
    t.says('bad flag', () => set(dir, 'f', 0x8000), 'EINVAL')
    t.says('empty', () => set(dir, ''), 'ENOENT')
    t.says('below a file', () => set(fd, 'f'), 'ENOTDIR')
    const file = t.calls.open('f', O.RDWR)
    t.calls.unlink('f')
    file?.utimens(5n, 6n)
  },
}

const outOfRange: Case = {
  title: 'nanoseconds out of range',
  given: (place) => put(place, 'f', 'x'),
  trial(t) {
    for (const nsec of [-1n, SECOND, SECOND + 1n, NOW - 2n, NOW + 1n, 2n ** 40n]) {
      for (const pair of [
        [0n, nsec, 0n, 0n],
        [0n, 0n, 0n, nsec],
        [0n, nsec, 0n, OMIT],
      ]) {
        const words = `nanoseconds ${pair}`
        t.says(words, () => call.utimensat(t.place.fd, 'f', pair, NOFOLLOW), 'EINVAL')
      }
    }
    // With UTIME_NOW and UTIME_OMIT the seconds mean nothing.
    t.says('now', () => call.utimensat(t.place.fd, 'f', [-5n, NOW, 2n ** 40n, OMIT], 0), '0')
    t.says('gone', () => call.utimensat(t.place.fd, 'gone', [0n, OMIT, 0n, OMIT], 0))
    t.sees('f')
  },
}

const badPaths: Case = {
  title: 'utimensat of what is not there',
  given(place) {
    put(place, 'f', 'x')
    place.symlink('loop', 'loop')
  },
  trial(t) {
    t.wants('ENOENT').utimens('n', 1n, 1n)
    t.wants('ENOTDIR').utimens('f/n', 1n, 1n)
    t.wants('ELOOP').utimens('loop', 1n, 1n)
    t.wants('ok').lutimens('loop', 1n, 1n)
    t.wants('ENAMETOOLONG').utimens('x'.repeat(256), 1n, 1n)
  },
}

const rights: Case[] = USER_KINDS.map((kind) => ({
  title: `who may set the times of a ${kind}`,
  needs: ['root'],
  given(place) {
    for (const [name, mode] of [
      ['mine', 0o600],
      ['writable', 0o666],
      ['readable', 0o444],
      ['none', 0],
    ] as const) {
      make(place, kind, name)
      place.lchown(name, name === 'mine' ? 1001 : 1000, 2000)
      if (kind !== 'symlink') place.chmod(name, mode)
    }
  },
  trial(t) {
    for (const name of ['mine', 'writable', 'readable', 'none']) {
      for (const [atime, mtime] of PAIRS) {
        t.as(1001, 1001, () => t.calls.lutimens(name, atime, mtime))
        t.as(1000, 1000, () => t.calls.lutimens(name, atime, mtime))
      }
      times(t, name)
    }
    if (kind === 'symlink') return
    t.as(1001, 1001, () => t.wants('ok').utimens('writable', 'now', 'now'))
    t.as(1001, 1001, () => t.wants('EPERM').utimens('writable', 1n, 1n))
    t.as(1001, 1001, () => t.wants('EPERM').utimens('writable', 'now', 'keep'))
    t.as(1001, 1001, () => t.wants('EACCES').utimens('readable', 'now', 'now'))
    t.as(1001, 1001, () => t.wants('EPERM').utimens('readable', 1n, 1n))
    t.as(1001, 1001, () => t.wants('ok').utimens('none', 'keep', 'keep'))
  },
}))

const afterWrites: Case = {
  title: 'times that are set while a file is written stay',
  given: (place) => put(place, 'f', 'before'),
  trial(t) {
    const file = t.calls.open('f', O.RDWR)
    file?.write('some')
    file?.utimens(11n, 12n)
    times(t, 'f')
    file?.sync()
    times(t, 'f')
    file?.close()
    times(t, 'f')
    const again = t.calls.open('f', O.RDWR)
    again?.pwrite('more', 2)
    t.wants('ok').utimens('f', 21n, 22n)
    again?.close()
    times(t, 'f')
    t.calls.open('f')?.pread(20, 0)
  },
}

export const utimensat: readonly Case[] = [
  ...everyMoment,
  throughLink,
  descriptors,
  outOfRange,
  badPaths,
  ...rights,
  afterWrites,
]
