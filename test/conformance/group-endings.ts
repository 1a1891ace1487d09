// Slashes and dots at the end of a path, and links that lead on: every call that takes a path,
// on every kind of thing, with every ending.
//
//   call × (file, directory, nothing, link to …) × ('', '/', '/.', '/..', '//')
//
// Rule: each try has a directory of its own, and what it did there is written down.

import { S } from '../../lib/host/sys.ts'
import { put } from '../behaviour/act.ts'
import type { RealPlace } from '../behaviour/real-place.ts'
import type { Case } from './case.ts'
import { BESIDE, PATH_CALLS, type PathCall } from './path-calls.ts'
import type { Trial } from './trial.ts'

/** What the path's name is; makes it in `dir`, with what it leads to. */
const THINGS: Readonly<Record<string, (place: RealPlace, dir: string) => void>> = {
  nothing: () => {},
  file: (p, dir) => put(p, `${dir}/n`, 'content'),
  directory: (p, dir) => p.mkdir(`${dir}/n`),
  full: (p, dir) => {
    p.mkdir(`${dir}/n`)
    put(p, `${dir}/n/inside`, 'inside')
  },
  fifo: (p, dir) => p.mknod(`${dir}/n`, S.IFIFO | 0o644),
  'link to file': (p, dir) => {
    put(p, `${dir}/f`, 'content')
    p.symlink('f', `${dir}/n`)
  },
  'link to directory': (p, dir) => {
    p.mkdir(`${dir}/d`)
    p.symlink('d', `${dir}/n`)
  },
  'link to directory/': (p, dir) => {
    p.mkdir(`${dir}/d`)
    p.symlink('d/', `${dir}/n`)
  },
  'link to file/': (p, dir) => {
    put(p, `${dir}/f`, 'content')
    p.symlink('f/', `${dir}/n`)
  },
  'link to link to file': (p, dir) => {
    put(p, `${dir}/f`, 'content')
    p.symlink('f', `${dir}/l`)
    p.symlink('l', `${dir}/n`)
  },
  'link to link to directory': (p, dir) => {
    p.mkdir(`${dir}/d`)
    p.symlink('./d', `${dir}/l`)
    p.symlink('l/.', `${dir}/n`)
  },
  'link to nothing': (p, dir) => p.symlink('nothing', `${dir}/n`),
  'link to nothing/': (p, dir) => p.symlink('nothing/', `${dir}/n`),
  'link to link to nothing': (p, dir) => {
    p.symlink('nothing', `${dir}/l`)
    p.symlink('l', `${dir}/n`)
  },
  'link to nothing in a file': (p, dir) => {
    put(p, `${dir}/f`, 'content')
    p.symlink('f/nothing', `${dir}/n`)
  },
  'link to itself': (p, dir) => p.symlink('n', `${dir}/n`),
}

const ENDINGS: readonly string[] = ['', '/', '//', '/.', '/..', '/./']
const names = Object.keys(THINGS)
const places = names.flatMap((_, thing) => ENDINGS.map((_, ending) => ({ thing, ending })))
const dirOf = (thing: number, ending: number): string => `${thing}-${ending}`

function prepare(place: RealPlace, call: PathCall, kind: Other): void {
  for (const { thing, ending } of places) {
    const dir = dirOf(thing, ending)
    place.mkdir(dir)
    THINGS[names[thing]!]!(place, dir)
    if (call.beside !== 'used') continue
    if (kind === 'directory') place.mkdir(`${dir}/${BESIDE}`)
    else put(place, `${dir}/${BESIDE}`, 'beside')
  }
}

function tries(t: Trial, call: PathCall): void {
  for (const { thing, ending } of places) {
    const dir = dirOf(thing, ending)
    const words = `${call.name}(${names[thing]}${ENDINGS[ending]})`
    const path = `${dir}/n${ENDINGS[ending]}`
    t.says(words, () => void call.run(t.place, path, `${dir}/${BESIDE}`))
    t.says(`after ${words}`, () => contentOf(t.place, dir))
  }
}

/** The tree as text: kinds, names, sizes. */
function contentOf(place: RealPlace, dir: string): string {
  return place
    .list(dir)
    .map(({ kind, name }) => {
      const path = `${dir}/${name}`
      if (kind === 'directory') return `${name}(${contentOf(place, path)})`
      if (kind === 'symlink') return `${name}>${place.readlink(path)}`
      return kind === 'file' ? `${name}:${place.lstat(path).size}` : `${name} ${kind}`
    })
    .join(' ')
}

/** What the other name of a rename is. */
type Other = 'file' | 'directory'

const othersOf = (call: PathCall): readonly Other[] =>
  call.name === 'rename to' ? ['file', 'directory'] : ['file']

/** Enough to see that endings mean what they should. */
const FEW: readonly string[] = [
  'open',
  'open O_CREAT',
  'mkdir',
  'symlink',
  'unlink',
  'rmdir',
  'rename from',
  'rename to',
  'link from',
]

export const endings: readonly Case[] = PATH_CALLS.flatMap((call) =>
  othersOf(call).map((other) => ({
    title: `${call.name} on each kind of thing with each ending${other === 'file' ? '' : ', of a directory'}`,
    needs: call.needs ?? [],
    long: !FEW.includes(call.name),
    given: (place: RealPlace) => prepare(place, call, other),
    trial: (t: Trial) => tries(t, call),
  })),
)
