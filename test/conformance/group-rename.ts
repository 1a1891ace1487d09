// rename(2): kinds over kinds, what moves along, which times move, what is refused.

import { O } from '../../lib/host/sys.ts'
import { put, text, whole } from '../behaviour/act.ts'
import type { RealPlace } from '../behaviour/real-place.ts'
import { at } from './at-calls.ts'
import { type Case, isRare, KINDS, type KindMade, make, needsOf } from './case.ts'
import type { Trial } from './trial.ts'

/** What may lie at the target. */
const TARGETS = ['nothing', ...KINDS, 'full directory', 'emptied directory'] as const
type Target = (typeof TARGETS)[number]

const isKind = (target: Target): target is KindMade => (KINDS as readonly string[]).includes(target)

function makeTarget(place: RealPlace, kind: Target, path: string): void {
  if (kind === 'nothing') return
  if (isKind(kind)) make(place, kind, path)
  else {
    place.mkdir(path)
    put(place, `${path}/inside`, 'inside')
  }
}

function answerOf(from: KindMade, to: Target): string {
  const directory = to.endsWith('directory')
  if (to === 'nothing') return 'ok'
  if (from !== 'directory') return directory ? 'EISDIR' : 'ok'
  return to === 'full directory' ? 'ENOTEMPTY' : directory ? 'ok' : 'ENOTDIR'
}

/** In one directory, or from one into another. */
const PLACES: readonly (readonly [string, string])[] = [
  ['a/n', 'a/m'],
  ['a/n', 'b/m'],
]

const kinds: readonly Case[] = KINDS.flatMap((from) =>
  TARGETS.flatMap((to) =>
    PLACES.map(([source, target]) => ({
      title: `rename of a ${from} over ${to}, ${source} to ${target}`,
      needs: [...needsOf(from), ...(isKind(to) ? needsOf(to) : [])],
      long: isRare(from) || isRare(to),
      given(place: RealPlace) {
        place.mkdir('a')
        place.mkdir('b')
        make(place, from, source, 0o640)
        makeTarget(place, to, target)
        if (to !== 'nothing' && !to.endsWith('directory')) place.link(target, 'b/linked')
      },
      trial: (t: Trial) => overKind(t, from, to, source, target),
    })),
  ),
)

function overKind(t: Trial, from: KindMade, to: Target, source: string, target: string): void {
  if (to === 'emptied directory') t.place.unlink(`${target}/inside`)
  const answer = answerOf(from, to)
  const before = t.place.lstat(source).ino
  const { ctime } = t.place.lstat(source)
  t.moves(['a', 'b', 'b/linked'], () => t.wants(answer).rename(source, target))
  t.sees(source, target, 'b/linked')
  const now = answer === 'ok' ? target : source
  t.says('the same file', () => t.place.lstat(now).ino === before, 'true')
  t.says('its ctime moved', () => t.place.lstat(now).ctime !== ctime)
  t.calls.list('a')
  t.calls.list('b')
  if (answer !== 'ok') return
  t.wants('ENOENT').rename(source, target)
  t.wants('ok').rename(target, source)
  t.wants('ENOENT').lstat(target)
  t.sees(source)
}

const refused: readonly Case[] = KINDS.map((kind) => ({
  title: `rename of a ${kind} that is refused moves no time`,
  needs: ['root'],
  given(place) {
    make(place, kind, 'n')
    place.mkdir('d')
    place.mkdir('open')
    place.chmod('open', 0o777)
  },
  trial(t) {
    const tries = () => {
      t.as(1000, 1000, () => t.wants('EACCES').rename('n', 'm'))
      t.as(1000, 1000, () => t.wants('EACCES').rename('n', 'open/m'))
      t.wants('ENOENT').rename('n', 'none/m')
      t.wants('ENOENT').rename('none', 'n')
    }
    t.moves(['', 'n', 'd', 'open'], tries, '.: none, n: none, d: none, open: none')
  },
}))

const names: readonly Case[] = KINDS.filter((kind) => kind !== 'directory').map((kind) => ({
  title: `rename of a ${kind} over another name of itself does nothing`,
  needs: needsOf(kind),
  given(place) {
    place.mkdir('d')
    make(place, kind, 'n')
    place.link('n', 'd/m')
  },
  trial(t) {
    const nothing = () => t.wants('ok').rename('n', 'd/m')
    t.moves(['', 'd', 'n'], nothing, '.: none, d: none, n: none')
    t.sees('n', 'd/m')
    t.moves(['', 'n'], () => t.wants('ok').rename('n', 'n'), '.: none, n: none')
    t.same('n', 'd/m')
  },
}))

/** A directory cannot go into itself, nor take the place of what it lies in. */
const LOOPS: readonly (readonly [string, string, string])[] = [
  ['a', 'a/n', 'EINVAL'],
  ['a', 'a/b/n', 'EINVAL'],
  ['a', 'a/b', 'EINVAL'],
  ['a', 'a/b/c/d', 'EINVAL'],
  ['a/b', 'a/b/c/n', 'EINVAL'],
  ['a/b', 'a', 'ENOTEMPTY'],
  ['a/b/c', 'a', 'ENOTEMPTY'],
  ['a/b/c/f', 'a', 'ENOTEMPTY'],
  ['a/b/c/f', 'a/b', 'ENOTEMPTY'],
  ['a', 'a', 'ok'],
  ['a/b', 'a/b', 'ok'],
  ['a', 'l/n', 'EINVAL'],
  ['a', 'l', 'ENOTDIR'],
  ['.', 'n', 'EBUSY'],
  ['a/.', 'n', 'EBUSY'],
  ['a/..', 'n', 'EBUSY'],
  ['a', 'a/b/.', 'EBUSY'],
  ['a', 'a/b/..', 'EBUSY'],
]

const loops: Case = {
  title: 'a directory does not go into itself',
  given(place) {
    for (const path of ['a', 'a/b', 'a/b/c', 'a/b/c/d']) place.mkdir(path)
    put(place, 'a/b/c/f', '')
    place.symlink('a/b', 'l')
  },
  trial(t) {
    for (const round of ['first', 'renamed']) {
      for (const [from, to, answer] of LOOPS) t.wants(answer).rename(from, to)
      t.says(round, () => t.place.list('a/b/c').map(({ name }) => name))
      t.wants('ok').rename('a/b/c', 'a/b/x')
      t.wants('ok').rename('a', 'z')
      t.wants('EINVAL').rename('z', 'z/b/x/n')
      t.wants('ok').rename('z', 'a')
      t.wants('ok').rename('a/b/x', 'a/b/c')
    }
  },
}

const moved: readonly Case[] = [
  {
    title: 'a directory that moved has another parent',
    given(place) {
      for (const path of ['a', 'b', 'a/d', 'a/d/e']) place.mkdir(path)
      put(place, 'a/d/e/f', 'content')
    },
    trial(t) {
      const up = (path: string) => t.place.lstat(path).ino
      t.says('before', () => up('a/d/..') === up('a'), 'true')
      t.wants('ok').rename('a/d', 'b/m')
      t.says('after', () => up('b/m/..') === up('b'), 'true')
      t.says('and above', () => up('b/m/e/../..') === up('b'), 'true')
      t.says('content', () => text(t.place, 'b/m/e/f'))
      t.wants('ENOENT').lstat('a/d/e/f')
      t.wants('ok').mkdir('a/d')
      t.calls.list('a/d')
      t.wants('ok').rename('b', 'a/d/b')
      t.says('content', () => text(t.place, 'a/d/b/m/e/f'))
      t.says('above', () => up('a/d/b/m/../..') === up('a/d'), 'true')
    },
  },
  {
    title: 'who stands in a directory, or has it open, moves with it',
    given(place) {
      for (const path of ['a', 'b', 'a/d']) place.mkdir(path)
      put(place, 'a/d/f', 'content')
    },
    trial(t) {
      const held = t.place.open('a/d', O.RDONLY | O.DIRECTORY)
      const file = t.place.open('a/d/f', O.RDWR)
      at.inside(t.place, () => {
        at.chdir('a/d')
        t.wants('ok').rename('a/d', 'b/m')
        t.says('cwd', () => at.cwd(t.place), '"./b/m"')
        t.says('open from there', () => at.openFrom(-100, 'f'), 'ok')
        t.says('parent of it', () => at.openFrom(-100, '../m/f'), 'ok')
        t.wants('ok').rename('b', 'c')
        t.says('cwd', () => at.cwd(t.place), '"./c/m"')
        t.says('create there', () => at.openFrom(-100, 'new', O.CREAT | O.WRONLY), 'ok')
      })
      t.says('open from it', () => at.openFrom(held.fd, 'f'), 'ok')
      t.wants('ok').rename('c/m/f', 'f')
      file.pwrite('C', 0)
      t.says('its content', () => text(t.place, 'f'))
      t.says('no more', () => at.openFrom(held.fd, 'f'), 'ENOENT')
      t.calls.list('c/m')
      held.close()
      file.close()
    },
  },
  {
    title: 'a file that is open is replaced',
    given(place) {
      put(place, 'old', 'old content')
      put(place, 'new', 'new content')
    },
    trial(t) {
      const old = t.place.open('old', O.RDWR)
      const fresh = t.place.open('new', O.RDWR)
      t.wants('ok').rename('new', 'old')
      t.says('old', () => [whole(old), old.stat().nlink])
      t.says('new', () => [whole(fresh), fresh.stat().nlink])
      old.pwrite('OLD', 0)
      fresh.pwrite('NEW', 0)
      t.says('shown', () => text(t.place, 'old'))
      t.says('kept', () => whole(old))
      old.close()
      fresh.close()
    },
  },
  {
    title: 'write access to a directory that moves to another',
    needs: ['root'],
    given(place) {
      for (const path of ['a', 'b', 'a/d', 'a/own']) {
        place.mkdir(path)
        place.chmod(path, path.includes('/') ? 0o700 : 0o777)
      }
      place.chown('a/own', 1000, 1000)
      put(place, 'a/f', '')
    },
    trial(t) {
      t.as(1000, 1000, () => {
        t.wants('ok').rename('a/d', 'a/m')
        t.wants('ok').rename('a/m', 'a/d')
        t.wants('EACCES').rename('a/d', 'b/m')
        t.wants('ok').rename('a/own', 'b/own')
        t.wants('ok').rename('a/f', 'b/f')
        t.wants('EACCES').rename('b/own', 'a/d/own')
        t.wants('ok').rename('b/own', 'a/d2')
      })
      t.calls.list('a')
      t.calls.list('b')
    },
  },
]

export const rename: readonly Case[] = [...kinds, ...refused, ...names, loops, ...moved]
