// mkdir(2) and rmdir(2). What all calls that make names share is in group-making.ts.

import { MNT_DETACH, O } from '../../lib/host/sys.ts'
import { put } from '../behaviour/act.ts'
import { AT, at } from './at-calls.ts'
import { call } from './calls.ts'
import { type Case, KINDS, make, needsOf, unmake } from './case.ts'

const overEachKind: Case[] = KINDS.map((kind) => ({
  title: `mkdir over a ${kind} is EEXIST, and leaves it`,
  needs: needsOf(kind),
  given: (place) => make(place, kind, 'n'),
  trial(t) {
    t.wants('EEXIST').mkdir('n')
    t.sees('n')
    t.says(`remove the ${kind}`, () => unmake(t.place, kind, 'n'))
    t.wants('ok').mkdir('n')
    t.sees('n', '')
    t.wants('ok').rmdir('n')
  },
}))

const belowEachKind: Case[] = KINDS.filter((kind) => kind !== 'directory').map((kind) => ({
  title: `mkdir and rmdir below a ${kind}`,
  needs: needsOf(kind),
  given: (place) => make(place, kind, 'n'),
  trial(t) {
    const answer = kind === 'symlink' ? 'ENOENT' : 'ENOTDIR'
    t.wants(answer).mkdir('n/d')
    t.wants(answer).rmdir('n/d')
    t.wants('ENOTDIR').rmdir('n')
  },
}))

const holdsEachKind: Case[] = KINDS.map((kind) => ({
  title: `rmdir of a directory that holds a ${kind}`,
  needs: needsOf(kind),
  given(place) {
    place.mkdir('d')
    make(place, kind, 'd/n')
  },
  trial(t) {
    const whole = () => t.wants('ENOTEMPTY').rmdir('d')
    t.moves(['', 'd'], whole, '.: none, d: none')
    t.says('empty it', () => unmake(t.place, kind, 'd/n'))
    t.moves([''], () => t.wants('ok').rmdir('d'), '.: mtime ctime')
    t.wants('ENOENT').rmdir('d')
    t.wants('ENOENT').lstat('d')
    t.wants('ok').mkdir('d', 0o700)
    t.calls.list('d')
    t.sees('d')
    t.says('fill it', () => make(t.place, kind, 'd/n'), 'ok')
    t.wants('ENOTEMPTY').rmdir('d')
    t.calls.list('d')
  },
}))

const SPECIAL: readonly (readonly [string, string])[] = [
  ['d/.', 'EINVAL'],
  ['d/..', 'ENOTEMPTY'],
  ['d/e/..', 'ENOTEMPTY'],
  ['d/e/.', 'EINVAL'],
  ['.', 'EINVAL'],
  ['..', 'ENOTEMPTY'],
  ['d/e/../..', 'ENOTEMPTY'],
]

const others: readonly Case[] = [
  {
    title: 'rmdir of dots',
    given(place) {
      place.mkdir('d')
      place.mkdir('d/e')
    },
    trial(t) {
      for (const [path, answer] of SPECIAL) t.wants(answer).rmdir(path)
      t.says('from inside', () =>
        at.inside(t.place, () => at.unlink(t.place, 'd/e/', AT.REMOVEDIR)),
      )
      t.calls.list('d')
    },
  },
  {
    title: 'a removed directory that is still open',
    given(place) {
      place.mkdir('d')
      put(place, 'd/f', 'content')
    },
    trial(t) {
      const held = t.place.open('d', O.RDONLY | O.DIRECTORY)
      const listing = t.place.opendir('d')
      t.place.unlink('d/f')
      t.wants('ok').rmdir('d')
      t.says('links', () => held.stat().nlink)
      t.says('kind', () => held.stat().kind)
      t.says('mode', () => held.stat().mode)
      t.says('list', () => listing.some().map(({ name }) => name))
      listing.rewind()
      t.says('list again', () => listing.some().map(({ name }) => name))
      t.says('sync', () => held.sync())
      t.says('chmod', () => held.chmod(0o711))
      t.says('mode', () => held.stat().mode)
      t.says('utimens', () => held.utimens(5n, 7n))
      t.says('times', () => [held.stat().atime, held.stat().mtime])
      t.says('chdir', () => at.inside(t.place, () => at.fchdir(held.fd)), 'ok')
      t.says('open .', () => at.openFrom(held.fd, '.'))
      t.says('open ..', () => at.openFrom(held.fd, '..'))
      t.says('open a name', () => at.openFrom(held.fd, 'f'), 'ENOENT')
      t.says('create a name', () => at.openFrom(held.fd, 'f', O.CREAT | O.WRONLY), 'ENOENT')
      t.wants('ok').mkdir('d')
      t.says('not the same', () => held.stat().ino === t.place.lstat('d').ino, 'false')
      t.says('still no name', () => at.openFrom(held.fd, 'f', O.CREAT | O.WRONLY), 'ENOENT')
      listing.close()
      held.close()
    },
  },
  {
    title: 'a mount point cannot be removed or moved',
    needs: ['root'],
    given(place) {
      place.mkdir('d')
      place.mkdir('e')
      put(place, 'f', '')
      put(place, 'g', '')
    },
    trial(t) {
      const MS_BIND = 4096
      const bind = (from: string, to: string) =>
        void call.mount(t.place.path(from), t.place.path(to), 'none', MS_BIND)
      t.says('mount a directory', () => bind('e', 'd'), 'ok')
      t.says('mount a file', () => bind('g', 'f'), 'ok')
      try {
        t.wants('EBUSY').rmdir('d')
        t.wants('EBUSY').rename('d', 'n')
        t.wants('EBUSY').rename('e', 'd')
        t.wants('EBUSY').unlink('f')
        t.wants('EBUSY').rename('f', 'n')
        t.wants('EBUSY').rename('g', 'f')
        t.wants('EXDEV').link('f', 'n')
        t.wants('EXDEV').rename('d/x', 'x')
      } finally {
        t.says('umount', () => void call.umount(t.place.path('d'), MNT_DETACH), 'ok')
        t.says('umount', () => void call.umount(t.place.path('f'), MNT_DETACH), 'ok')
      }
      t.wants('ok').rmdir('d')
      t.wants('ok').unlink('f')
    },
  },
  {
    title: 'a thousand directories in one another',
    trial(t) {
      const depth = 1000
      const path = (n: number) => Array.from({ length: n }, () => 'd').join('/')
      for (let i = 1; i <= depth; i++) t.place.mkdir(path(i))
      t.wants('ENOTEMPTY').rmdir('d')
      t.calls.lstat(path(depth))
      t.wants('EINVAL').rename('d', `${path(depth)}/e`)
      for (let i = depth; i > 0; i--) t.place.rmdir(path(i))
      t.calls.list('')
    },
  },
]

export const mkdir: readonly Case[] = [
  ...overEachKind,
  ...belowEachKind,
  ...holdsEachKind,
  ...others,
]
