// The longest names and paths that there are, of every kind of file.

import type { RealPlace } from '../behaviour/real-place.ts'
import { type Case, KINDS, make, needsOf, USER_KINDS, unmake } from './case.ts'
import type { Trial } from './trial.ts'

const LONGEST = 255
const PATH_MAX = 4096
/** `é` is two bytes. */
const E_ACUTE = '\xc3\xa9'

const LONG_NAMES: readonly string[] = [
  'n'.repeat(LONGEST),
  `${E_ACUTE.repeat(127)}a`,
  '\xff'.repeat(LONGEST),
]

const longest: readonly Case[] = KINDS.flatMap((kind) =>
  LONG_NAMES.map((name, i) => ({
    title: `a ${kind} with the longest name, ${i}`,
    needs: needsOf(kind),
    given: (place: RealPlace) => make(place, kind, name),
    trial(t: Trial) {
      t.sees(name)
      t.calls.list('')
      const other = `${name.slice(0, -1)}z`
      t.wants('ok').rename(name, other)
      if (kind !== 'directory') t.wants('ok').link(other, name)
      else t.wants('ok').mkdir(name)
      t.calls.list('')
      t.wants('ENAMETOOLONG').rename(name, `${name}n`)
      t.wants('ENAMETOOLONG').link(other, `${name}n`)
      for (const each of [name, other])
        if (kind === 'directory') t.wants('ok').rmdir(each)
        else t.wants('ok').unlink(each)
      t.calls.list('')
    },
  })),
)

/** The longest paths that there are: each object at the end of 4095 bytes. */
const deep: readonly Case[] = USER_KINDS.map((kind) => ({
  title: `a ${kind} at the end of a path of 4095 bytes`,
  trial(t) {
    const parts = Array.from({ length: 15 }, () => 'd'.repeat(LONGEST))
    for (let i = 1; i <= parts.length; i++) t.place.mkdir(parts.slice(0, i).join('/'))
    const parent = `${parts.join('/')}/`
    const path = parent.padEnd(PATH_MAX - 1, 'x')
    t.says('make', () => make(t.place, kind, path), 'ok')
    t.calls.lstat(path)
    t.wants('ENAMETOOLONG').lstat(`${path}x`)
    t.says('make longer', () => make(t.place, kind, `${path}x`), 'ENAMETOOLONG')
    t.wants('ok').rename(path, `${path.slice(0, -1)}y`)
    t.wants('ENAMETOOLONG').rename(`${path.slice(0, -1)}y`, `${path}y`)
    t.calls.list(parent)
    const moved = `${path.slice(0, -1)}y`
    t.says('remove', () => unmake(t.place, kind, moved), 'ok')
    for (let i = parts.length; i > 0; i--) t.place.rmdir(parts.slice(0, i).join('/'))
  },
}))

export const names: readonly Case[] = [...longest, ...deep]
