// truncate(2), ftruncate(2), and O_TRUNC.

import { execFileSync, spawn } from 'node:child_process'
import { O } from '../../lib/host/sys.ts'
import { put } from '../behaviour/act.ts'
import { call } from './calls.ts'
import { type Case, KINDS, make, needsOf } from './case.ts'

const WORDS = 'twelve bytes'
const GIB = 2 ** 30
const SIZES = [0, 1, 5, 12, 13, 4095, 4096, 4097, 65536, 1234567]
const RLIMIT_FSIZE = 1
/** Where ext4 of 4 KiB blocks ends; more than any file can be. */
const TOO_LARGE = [2 ** 44, 2 ** 52, 2 ** 62]

const sizes: Case = {
  title: 'a file is cut and grown, and what was cut stays zero',
  given: (place) => put(place, 'f', WORDS),
  trial(t) {
    for (const size of SIZES) {
      t.wants('ok').truncate('f', size)
      t.sees('f')
      t.calls.open('f')?.pread(64, 0)
      t.calls.open('f')?.pread(64, Math.max(0, size - 32))
    }
    t.wants('ok').truncate('f', 3)
    t.wants('ok').truncate('f', 9000)
    t.calls.open('f')?.pread(9000, 0)
  },
}

const times: Case = {
  title: 'cutting and growing move mtime and ctime; what fails moves nothing',
  given: (place) => put(place, 'f', WORDS),
  trial(t) {
    t.moves(['f'], () => t.calls.truncate('f', 5), 'f: mtime ctime')
    t.moves(['f'], () => t.calls.truncate('f', 50), 'f: mtime ctime')
    t.moves(['f'], () => t.calls.truncate('f', 0))
    const file = t.place.open('f', O.RDWR)
    t.moves(['f'], () => t.says('ftruncate', () => file.truncate(7), 'ok'), 'f: mtime ctime')
    t.moves(['f'], () => t.says('ftruncate, same', () => file.truncate(7), 'ok'))
    t.moves(['f'], () => t.wants('EINVAL').truncate('f', -1), 'f: none')
    t.moves(['f'], () => t.calls.open('f', O.WRONLY | O.TRUNC))
    t.moves(['f'], () => t.calls.open('f', O.WRONLY | O.TRUNC))
    t.sees('f')
  },
}

const sameSize: Case = {
  title: 'truncate to the size that a file has moves its times',
  given: (place) => put(place, 'f', WORDS),
  trial: (t) => t.moves(['f'], () => t.calls.truncate('f', WORDS.length)),
}

const eachKind: Case[] = KINDS.map((kind) => ({
  title: `truncate of a ${kind}`,
  needs: needsOf(kind),
  given: (place) => make(place, kind, 'n'),
  trial(t) {
    const wanted: Partial<Record<typeof kind, string>> = {
      file: 'ok',
      directory: 'EISDIR',
      symlink: 'ENOENT',
    }
    t.wants(wanted[kind] ?? 'EINVAL').truncate('n', 0)
    t.calls.truncate('n', -1)
    t.sees('n')
    if (kind !== 'directory') return
    const directory = t.place.open('n')
    t.says('ftruncate', () => directory.truncate(0), 'EINVAL')
    t.wants('EISDIR').open('n', O.WRONLY | O.TRUNC)
    t.wants('EISDIR').open('n', O.RDONLY | O.TRUNC)
  },
}))

const badPaths: Case = {
  title: 'truncate of what is not there',
  given(place) {
    put(place, 'f', WORDS)
    place.symlink('loop', 'loop')
    place.symlink('f', 'l')
  },
  trial(t) {
    t.wants('ENOENT').truncate('n', 0)
    t.wants('ENOTDIR').truncate('f/n', 0)
    t.wants('ELOOP').truncate('loop', 0)
    t.wants('ENAMETOOLONG').truncate('x'.repeat(256), 0)
    t.wants('ok').truncate('l', 3)
    t.sees('f', 'l')
  },
}

const descriptors: Case = {
  title: 'ftruncate of descriptors that may not write',
  given: (place) => put(place, 'f', WORDS),
  trial(t) {
    t.says('read only', () => t.place.open('f').truncate(1), 'EINVAL')
    t.says('O_PATH', () => t.place.open('f', O.PATH).truncate(1), 'EBADF')
    t.says('negative', () => t.place.open('f', O.RDWR).truncate(-1), 'EINVAL')
    t.says('append', () => t.place.open('f', O.WRONLY | O.APPEND).truncate(4), 'ok')
    t.sees('f')
    const file = t.calls.open('f', O.RDWR)
    file?.seek(0, 2)
    file?.truncate(2)
    // The offset stays, so a hole follows.
    file?.write('end')
    file?.pread(20, 0)
    t.calls.unlink('f')
    file?.truncate(1)
    file?.stat()
    file?.truncate(100)
    file?.stat()
  },
}

const rights: Case = {
  title: 'who may cut a file',
  needs: ['root'],
  given(place) {
    put(place, 'f', WORDS)
    place.chown('f', 1000, 1000)
    for (const [name, mode] of [
      ['r', 0o444],
      ['w', 0o222],
      ['n', 0],
    ] as const) {
      put(place, name, WORDS)
      place.chown(name, 1000, 2000)
      place.chmod(name, mode)
    }
  },
  trial(t) {
    t.as(1001, 1000, () => t.wants('EACCES').truncate('f', 1))
    t.as(1000, 1000, () => t.wants('ok').truncate('f', 1))
    for (const name of ['r', 'w', 'n']) {
      t.as(1000, 1000, () => t.calls.truncate(name, 2))
      t.as(1001, 2000, () => t.calls.truncate(name, 3))
      t.as(1001, 1001, () => t.calls.truncate(name, 4))
      t.as(1001, 1001, () => t.calls.open(name, O.RDONLY | O.TRUNC), [2000])
      t.sees(name)
    }
  },
}

const limits: Case = {
  title: 'sizes beyond what a file may have',
  given: (place) => put(place, 'f', WORDS),
  trial(t) {
    const file = t.place.open('f', O.RDWR)
    for (const size of TOO_LARGE) {
      t.calls.truncate('f', size)
      t.says(`ftruncate ${size}`, () => file.truncate(size))
    }
    t.sees('f')
    // For good: the signals are told when all is over, and nobody else may die of them.
    if (!process.listeners('SIGXFSZ').includes(ignore)) process.on('SIGXFSZ', ignore)
    call.limited(RLIMIT_FSIZE, 4096, () => {
      t.wants('ok').truncate('f', 4096)
      t.wants('EFBIG').truncate('f', 4097)
      t.says('ftruncate', () => file.truncate(8192), 'EFBIG')
      t.says('write over', () => file.pwrite('x'.repeat(200), 4000))
      t.says('write behind', () => file.pwrite('x', 4096), 'EFBIG')
      t.says('allocate', () => file.allocate(0, 0, 5000), 'EFBIG')
      t.wants('ok').truncate('f', 10)
    })
    t.sees('f')
  },
}

const beyond4GiB: Case = {
  title: 'a sparse file beyond 4 GiB',
  given: (place) => put(place, 'f', WORDS),
  trial(t) {
    for (const size of [2 * GIB - 1, 2 * GIB, 4 * GIB - 1, 4 * GIB, 4 * GIB + 7, 9 * GIB]) {
      t.wants('ok').truncate('f', size)
      t.sees('f')
    }
    const file = t.calls.open('f', O.RDWR)
    file?.pwrite('far away', 6 * GIB + 3)
    file?.pread(20, 6 * GIB)
    file?.seek(-4, 2)
    file?.write('the end')
    file?.stat()
    file?.pread(10, 9 * GIB - 4)
    file?.truncate(6 * GIB + 5)
    file?.pread(10, 6 * GIB)
    t.calls.open('f')?.pread(12, 0)
    t.wants('ok').truncate('f', 0)
    t.sees('f')
  },
}

const running: Case = {
  title: 'a program that runs is ETXTBSY',
  given(place) {
    execFileSync('cp', ['/bin/sleep', place.path('sleeper')])
  },
  trial(t) {
    const child = spawn(t.place.path('sleeper'), ['20'], { stdio: 'ignore' })
    try {
      t.wants('ETXTBSY').truncate('sleeper', 0)
      t.wants('ETXTBSY').open('sleeper', O.WRONLY | O.TRUNC)
    } finally {
      child.kill('SIGKILL')
    }
  },
}

const cutWhileOpen: Case = {
  title: 'other descriptors see a cut at once',
  given: (place) => put(place, 'f', 'x'.repeat(10_000)),
  trial(t) {
    const [reader, writer] = [t.calls.open('f'), t.calls.open('f', O.RDWR)]
    reader?.read(6000)
    writer?.truncate(100)
    reader?.read(10)
    reader?.stat()
    writer?.truncate(7000)
    reader?.read(10)
    reader?.pread(10, 95)
    t.calls.open('f', O.WRONLY | O.TRUNC)
    reader?.stat()
    writer?.pwrite('again', 3)
    reader?.pread(10, 0)
  },
}

const ignore = (): void => {}

export const truncate: readonly Case[] = [
  sizes,
  times,
  sameSize,
  ...eachKind,
  badPaths,
  descriptors,
  rights,
  limits,
  beyond4GiB,
  running,
  cutWhileOpen,
]
