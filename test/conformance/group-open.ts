// open(2): flags, kinds, modes, and what each descriptor may then do.

import { O } from '../../lib/host/sys.ts'
import { put, whole } from '../behaviour/act.ts'
import { at, RESOLVE } from './at-calls.ts'
import { type Case, KINDS, type KindMade, make, needsOf } from './case.ts'
import type { Trial } from './trial.ts'

const ACCESS = { RDONLY: O.RDONLY, WRONLY: O.WRONLY, RDWR: O.RDWR, 'ACCMODE 3': 3 } as const
const WITH = { CREAT: O.CREAT, EXCL: O.EXCL, TRUNC: O.TRUNC, APPEND: O.APPEND } as const

/** Every set of the flags, by its name. */
const SETS = Array.from({ length: 16 }, (_, bits) => {
  const names = Object.keys(WITH).filter((_, i) => bits & (1 << i)) as (keyof typeof WITH)[]
  return { name: names.join('|') || '0', flags: names.reduce((all, name) => all | WITH[name], 0) }
})

/** The file that is opened: there, or not, or behind a link. */
const STARTS = ['nothing', 'file', 'link to file', 'link to nothing'] as const

const combinations: readonly Case[] = STARTS.flatMap((start) =>
  Object.entries(ACCESS).map(([access, mode]) => ({
    title: `open of ${start} with O_${access} and every set of flags`,
    given(place) {
      for (const i of SETS.keys()) {
        if (start.startsWith('link')) place.symlink(`f${i}`, `n${i}`)
        if (start === 'file') put(place, `n${i}`, 'some content')
        if (start === 'link to file') put(place, `f${i}`, 'some content')
      }
    },
    trial(t) {
      for (const [i, { name, flags }] of SETS.entries()) {
        const path = `n${i}`
        t.says(name, () => uses(t, path, mode | flags))
        t.sees(path, `f${i}`)
      }
    },
  })),
)

/** What an open file then answers to each call. */
function uses(t: Trial, path: string, flags: number): string {
  const file = t.place.open(path, flags, 0o640)
  const answers = [
    () => file.read(4).latin1Slice(),
    () => file.write('WRITE'),
    () => file.pread(4, 0).latin1Slice(),
    () => file.pwrite('at', 1),
    () => file.seek(0, 1),
    () => file.truncate(9),
    () => file.stat().size,
    () => whole(file),
  ].map((call) => {
    try {
      return String(call())
    } catch (err) {
      return (err as { code?: string }).code ?? 'failed'
    }
  })
  file.close()
  return answers.join(' ')
}

const FLAGS: readonly number[] = [
  O.RDONLY,
  O.WRONLY,
  O.RDWR,
  O.RDONLY | O.TRUNC,
  O.WRONLY | O.TRUNC,
  O.RDONLY | O.CREAT,
  O.WRONLY | O.CREAT,
  O.RDWR | O.CREAT | O.EXCL,
  O.DIRECTORY,
  O.DIRECTORY | O.RDWR,
  O.DIRECTORY | O.CREAT,
  O.NOFOLLOW,
  O.NOFOLLOW | O.WRONLY,
  O.NOFOLLOW | O.CREAT,
  O.NOFOLLOW | O.DIRECTORY,
  O.PATH,
  O.PATH | O.NOFOLLOW,
  O.PATH | O.DIRECTORY,
  O.APPEND,
  O.NOATIME,
  O.TMPFILE | O.RDWR,
  O.TMPFILE | O.WRONLY,
  O.TMPFILE,
  O.SYNC | O.WRONLY,
  O.DSYNC | O.RDWR,
  O.NOCTTY,
]

/** Opening these would reach a device of this machine, or wait for another end. */
const kinds: readonly Case[] = KINDS.filter((kind) => kind !== 'character' && kind !== 'block').map(
  (kind: KindMade) => ({
    title: `open of a ${kind} with each flag`,
    needs: needsOf(kind),
    given(place) {
      make(place, kind, 'n')
      place.symlink('n', 'l')
    },
    trial(t) {
      for (const path of ['n', 'l', 'n/', 'l/', 'n/x'])
        for (const flags of FLAGS)
          t.says(`open(${path}, ${flags.toString(8)})`, () =>
            at.open(t.place, path, flags | O.NONBLOCK, 0o644),
          )
      t.calls.list('')
    },
  }),
)

const ENDS: readonly Case[] = [
  {
    title: 'a fifo without another end, and with one',
    given: (place) => make(place, 'fifo', 'n'),
    trial(t) {
      t.wants('ENXIO').open('n', O.WRONLY | O.NONBLOCK)
      const reader = t.calls.open('n', O.RDONLY | O.NONBLOCK)
      const writer = t.calls.open('n', O.WRONLY | O.NONBLOCK)
      writer?.write('through the fifo')
      reader?.read(40)
      writer?.close()
      reader?.read(1)
      reader?.close()
      const both = t.calls.open('n', O.RDWR | O.NONBLOCK)
      both?.write('x')
      t.wants('ok').unlink('n')
      both?.read(1)
      both?.close()
    },
  },
  {
    title: 'a directory is opened to be read alone',
    given: (place) => place.mkdir('d'),
    trial(t) {
      for (const flags of [O.WRONLY, O.RDWR, O.TRUNC, O.CREAT, O.WRONLY | O.TRUNC])
        t.wants('EISDIR').open('d', flags)
      t.wants('EEXIST').open('d', O.CREAT | O.EXCL)
      t.wants('EINVAL').open('d', O.CREAT | O.DIRECTORY)
      const held = t.calls.open('d', O.RDONLY)
      held?.read(1)
      held?.write('x')
      held?.truncate(0)
      held?.close()
    },
  },
  {
    title: 'which times an open moves',
    given(place) {
      place.mkdir('d')
      put(place, 'd/f', 'content')
      put(place, 'd/empty', '')
    },
    trial(t) {
      const both = ['d', 'd/f', 'd/empty']
      const opens = (path: string, flags: number) => () => at.open(t.place, path, flags, 0o644)
      t.moves(both, opens('d/f', O.RDWR), 'd: none, d/f: none, d/empty: none')
      t.moves(both, opens('d/f', O.RDWR | O.CREAT), 'd: none, d/f: none, d/empty: none')
      t.moves(both, opens('d/f', O.WRONLY | O.TRUNC), 'd: none, d/f: mtime ctime, d/empty: none')
      t.moves(
        both,
        opens('d/empty', O.WRONLY | O.TRUNC),
        'd: none, d/f: none, d/empty: mtime ctime',
      )
      t.moves(both, opens('d/new', O.CREAT), 'd: mtime ctime, d/f: none, d/empty: none')
    },
  },
  {
    title: 'openat2 stays where it is told to',
    given(place) {
      place.mkdir('d')
      put(place, 'd/f', 'content')
      place.symlink('d/f', 'l')
      place.symlink('..', 'up')
      place.symlink('/d/f', 'absolute')
    },
    trial(t) {
      const paths = ['d/f', 'l', 'd/../d/f', '../x', 'up/x', 'absolute', 'none']
      for (const path of paths)
        for (const [name, resolve] of Object.entries(RESOLVE)) {
          // CACHED answers EAGAIN or not by what was walked before.
          if (name === 'CACHED') continue
          t.says(`${path} ${name}`, () => at.open2(t.place, path, O.RDONLY, resolve))
        }
      t.says('unknown', () => at.open2(t.place, 'd/f', O.RDONLY, 1 << 20), 'EINVAL')
      t.says('mode alone', () => at.open2(t.place, 'd/f', O.RDONLY, 0, 0o644), 'EINVAL')
    },
  },
]

export const open: readonly Case[] = [...combinations, ...kinds, ...ENDS]
