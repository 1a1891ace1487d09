// link(2) and linkat(2).

import { O } from '../../lib/host/sys.ts'
import { put, text, whole } from '../behaviour/act.ts'
import type { RealPlace } from '../behaviour/real-place.ts'
import { AT, at } from './at-calls.ts'
import { type Case, isRare, KINDS, type KindMade, make, needsOf } from './case.ts'
import type { Trial } from './trial.ts'

const NOT_DIRECTORIES = KINDS.filter((kind) => kind !== 'directory')

const names = (kind: KindMade): Case => ({
  title: `three names of a ${kind} are one file`,
  needs: ['root'],
  given(place) {
    place.mkdir('d')
    place.mkdir('e')
    make(place, kind, 'd/n')
  },
  trial(t) {
    const all = ['d/n', 'e/n', 'd/m']
    t.moves(
      ['d', 'e', 'd/n'],
      () => t.wants('ok').link('d/n', 'e/n'),
      'd: none, e: mtime ctime, d/n: ctime',
    )
    t.wants('ok').link('e/n', 'd/m')
    t.sees(...all)
    t.same('d/n', 'e/n')
    t.same('d/n', 'd/m')
    if (kind !== 'symlink') t.wants('ok').chmod('e/n', 0o201)
    t.wants('ok').lchown('d/m', 5, 6)
    t.wants('ok').lutimens('d/n', 5n, 7n)
    t.sees(...all)
    t.says('times of all', () => all.map((path) => t.place.lstat(path).mtime))
    t.wants('ok').unlink('d/n')
    t.sees('e/n', 'd/m')
    t.wants('ok').rename('d/m', 'e/m')
    t.same('e/n', 'e/m')
    t.wants('ok').rename('e/m', 'e/n')
    t.sees('e/n', 'e/m')
    t.wants('ok').unlink('e/n')
    t.wants('ok').unlink('e/m')
    t.calls.list('e')
  },
})

const taken = (kind: KindMade): readonly Case[] =>
  KINDS.map((to) => ({
    title: `link of a ${kind} over a ${to}`,
    needs: [...needsOf(kind), ...needsOf(to)],
    long: isRare(kind) || isRare(to),
    given(place: RealPlace) {
      make(place, kind, 'n')
      make(place, to, 'm')
    },
    trial(t: Trial) {
      const tries = () => t.wants('EEXIST').link('n', 'm')
      t.moves(['', 'n', 'm'], tries, '.: none, n: none, m: none')
      if (kind === 'directory') t.wants('EPERM').link('n', 'new')
      t.wants('EEXIST').link('n', 'n')
      t.sees('n', 'm')
      // Where a name was deleted, a link is made over what hides it.
      if (to === 'directory') t.place.rmdir('m')
      else t.place.unlink('m')
      t.wants(kind === 'directory' ? 'EPERM' : 'ok').link('n', 'm')
      t.sees('n', 'm')
      t.calls.list('')
    },
  }))

const refused = (kind: KindMade): Case => ({
  title: `link of a ${kind} that is refused`,
  needs: ['root'],
  given(place) {
    make(place, kind, 'n')
    place.mkdir('open')
    place.chmod('open', 0o777)
  },
  trial(t) {
    const tries = () =>
      t.as(1000, 1000, () => {
        t.calls.link('n', 'm')
        // Of a file of somebody else, who may protect it (fs.protected_hardlinks).
        t.calls.link('n', 'open/m')
      })
    t.moves(['', 'n'], tries)
    t.calls.list('open')
  },
})

const flags: readonly Case[] = [
  {
    title: 'linkat follows a link where it is told to',
    given(place) {
      put(place, 'f', 'content')
      place.mkdir('d')
      place.symlink('f', 'to-file')
      place.symlink('to-file', 'to-link')
      place.symlink('nowhere', 'dangling')
      place.symlink('loop', 'loop')
      place.symlink('d', 'to-directory')
    },
    trial(t) {
      const p = t.place
      const sources = ['to-file', 'to-link', 'dangling', 'loop', 'to-directory', 'none', 'f']
      for (const from of sources)
        for (const flag of [0, AT.FOLLOW]) {
          const to = `${from}-${flag}`
          t.says(`linkat(${from}, ${flag})`, () => at.link(p, from, to, flag))
          t.sees(to)
        }
      for (const flag of [1, 2, AT.NOFOLLOW, AT.REMOVEDIR, -1])
        t.says(`flags ${flag}`, () => at.link(p, 'f', 'new', flag), 'EINVAL')
      t.sees('f', 'to-file')
    },
  },
  {
    title: 'linkat of a descriptor',
    needs: ['root'],
    given: (place) => put(place, 'f', 'content'),
    trial(t) {
      const held = t.place.open('f')
      t.says('named', () => at.linkFrom(held.fd, t.place, 'n'), 'ok')
      t.same('f', 'n')
      t.says('through /proc', () => held.linkTo('m'), 'ok')
      t.sees('f', 'n', 'm')
      for (const name of ['f', 'n', 'm']) t.place.unlink(name)
      t.says('without a name', () => at.linkFrom(held.fd, t.place, 'again'), 'ENOENT')
      t.says('through /proc', () => held.linkTo('again'), 'ENOENT')
      t.says('content', () => whole(held))
      held.close()
      const directory = t.place.open('.', O.PATH | O.DIRECTORY)
      t.says('of a directory', () => at.linkFrom(directory.fd, t.place, 'again'), 'EPERM')
      directory.close()
    },
  },
  {
    title: 'an unnamed file gets names',
    given: (place) => place.mkdir('d'),
    trial(t) {
      const file = t.place.tmpfile('d')
      file.write('content')
      t.says('links', () => file.stat().nlink, '0')
      t.moves(['d'], () => t.says('name it', () => file.linkTo('d/n'), 'ok'), 'd: mtime ctime')
      t.says('links', () => file.stat().nlink, '1')
      t.says('taken', () => file.linkTo('d/n'), 'EEXIST')
      t.says('name it again', () => file.linkTo('m'), 'ok')
      t.same('d/n', 'm')
      t.sees('d/n', 'm')
      t.wants('ok').unlink('d/n')
      t.wants('ok').unlink('m')
      t.says('links', () => file.stat().nlink, '0')
      t.says('a name after all are gone', () => file.linkTo('d/n'), 'ENOENT')
      file.close()
      const alone = t.place.tmpfile('d', O.RDWR | O.EXCL)
      t.says('an exclusive one', () => alone.linkTo('d/n'), 'ENOENT')
      alone.close()
      t.calls.list('d')
    },
  },
]

const shared: Case = {
  title: 'what is written under one name shows under all',
  given(place) {
    put(place, 'a', 'content')
    place.link('a', 'b')
    place.mkdir('d')
  },
  trial(t) {
    t.place.link('b', 'd/c')
    const all = ['a', 'b', 'd/c']
    put(t.place, 'b', 'new content')
    t.says('content', () => all.map((path) => text(t.place, path)))
    t.wants('ok').truncate('d/c', 3)
    t.says('content', () => all.map((path) => text(t.place, path)))
    t.calls.setxattr('a', 'user.a', 'value')
    t.says('attribute', () => all.map((path) => t.place.getxattr(path, 'user.a')))
    t.sees(...all)
    t.wants('ok').rename('a', 'b')
    t.sees(...all)
    t.wants('ok').unlink('a')
    put(t.place, 'n', 'other')
    t.wants('ok').rename('n', 'b')
    t.says('content', () => ['b', 'd/c'].map((path) => text(t.place, path)))
    t.sees('b', 'd/c')
    t.wants('ok').rename('d', 'e')
    t.wants('ok').link('e/c', 'd')
    t.same('e/c', 'd')
  },
}

/** link, unlink, link, as an editor and a mail program do it. */
const inTurn: Case = {
  title: 'names come and go in turn',
  given: (place) => put(place, 'a', 'content'),
  trial(t) {
    for (let i = 0; i < 5; i++) {
      t.wants('ok').link('a', 'b')
      t.wants('ok').unlink('a')
      t.wants('ENOENT').lstat('a')
      t.wants('ok').link('b', 'a')
      t.sees('a', 'b')
      t.wants('ok').unlink('b')
    }
    for (let i = 0; i < 300; i++) t.place.link('a', `name-${i}`)
    t.sees('a', 'name-299')
    for (let i = 0; i < 300; i += 2) t.place.unlink(`name-${i}`)
    t.sees('a', 'name-299')
    t.wants('ok').link('a', 'name-0')
    t.calls.list('')
  },
}

export const link: readonly Case[] = [
  ...NOT_DIRECTORIES.map(names),
  ...KINDS.flatMap(taken),
  ...KINDS.map(refused),
  ...flags,
  shared,
  inTurn,
]
