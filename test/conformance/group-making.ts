// What every call that makes a name has in common: modes and umask, owner and group, times,
// and names that are taken.

import { O, S } from '../../lib/host/sys.ts'
import type { Need } from '../behaviour/place.ts'
import type { RealPlace } from '../behaviour/real-place.ts'
import { type Case, isRare, KINDS, type KindMade, make, needsOf, unmake } from './case.ts'
import type { Trial } from './trial.ts'
import { as, MEMBER, OTHER, OWNER, SUPPLEMENT } from './users.ts'

interface Maker {
  readonly name: string
  readonly needs?: readonly Need[]
  readonly make: (place: RealPlace, path: string, mode: number) => void
}

const node =
  (type: number, device = 0) =>
  (place: RealPlace, path: string, mode: number) =>
    place.mknod(path, type | mode, device)

const MAKERS: readonly Maker[] = [
  {
    name: 'creat',
    make: (p, path, mode) => p.open(path, O.CREAT | O.EXCL | O.WRONLY, mode).close(),
  },
  { name: 'mkdir', make: (p, path, mode) => p.mkdir(path, mode) },
  { name: 'mkfifo', make: node(S.IFIFO) },
  { name: 'mknod file', make: node(S.IFREG) },
  { name: 'mknod without a type', make: node(0) },
  { name: 'mknod socket', make: node(S.IFSOCK) },
  { name: 'mknod character', needs: ['root'], make: node(S.IFCHR, 0x103) },
  { name: 'mknod block', needs: ['root'], make: node(S.IFBLK, 0x700) },
  { name: 'symlink', make: (p, path) => p.symlink('target', path) },
]

const remove = (t: Trial, path: string): void => {
  if (t.place.lstat(path).kind === 'directory') t.place.rmdir(path)
  else t.place.unlink(path)
}

const MODES = [0o777, 0o755, 0o644, 0o151, 0o705, 0o345, 0, 0o4755, 0o2755, 0o1777, 0o7777] as const
const UMASKS = [0, 0o022, 0o077, 0o070, 0o501, 0o777] as const

const modes = ({ name, needs = [], make }: Maker): Case => ({
  title: `${name}: mode and umask`,
  needs,
  // A name that was deleted is made again over what hides it.
  given: (place) => place.mkdir('n'),
  trial(t) {
    t.place.rmdir('n')
    for (const umask of UMASKS)
      for (const mode of MODES) {
        t.umask(umask, () => t.says(`umask ${umask} mode ${mode}`, () => make(t.place, 'n', mode)))
        t.sees('n')
        remove(t, 'n')
      }
  },
})

/** Modes of the parent: with and without setgid, and sticky. */
const PARENTS = [0o777, 0o2777, 0o3777, 0o1777] as const

const owners = ({ name, needs = [], make }: Maker): Case => ({
  title: `${name}: owner and group`,
  needs: ['root', ...needs],
  given(place) {
    for (const mode of PARENTS) {
      const dir = `d${mode}`
      place.mkdir(dir)
      place.chown(dir, 7, OWNER.gid)
      place.chmod(dir, mode)
    }
  },
  trial(t) {
    for (const parent of PARENTS)
      for (const mode of [0o755, 0o2755, 0o2745, 0o6711])
        for (const user of [OWNER, MEMBER, SUPPLEMENT, OTHER]) {
          const path = `d${parent}/${user.name}-${mode}`
          as(t, user, () => t.says(`make ${path}`, () => make(t.place, path, mode)))
          t.sees(path)
        }
    for (const parent of PARENTS) {
      t.says('make as root', () => make(t.place, `d${parent}/root`, 0o2755))
      t.sees(`d${parent}/root`)
    }
  },
})

const times = ({ name, needs = [], make }: Maker): Case => ({
  title: `${name}: times of the parent`,
  needs,
  given: (place) => {
    place.mkdir('d')
    place.mkdir('d/taken')
  },
  trial(t) {
    t.moves(['d'], () => make(t.place, 'd/n', 0o644), 'd: mtime ctime')
    const { atime, mtime, ctime } = t.place.lstat('d/n')
    t.says('one moment for all', () => [atime === mtime, mtime === ctime])
    t.moves(
      ['d'],
      () => t.says('taken', () => make(t.place, 'd/taken', 0o644), 'EEXIST'),
      'd: none',
    )
  },
})

const taken = ({ name, needs = [], make: makes }: Maker, kind: KindMade): Case => ({
  title: `${name} over a ${kind}`,
  needs: [...needs, ...needsOf(kind)],
  long: isRare(kind) && name !== 'creat',
  given: (place) => make(place, kind, 'n'),
  trial(t) {
    t.says('make', () => makes(t.place, 'n', 0o644), 'EEXIST')
    t.sees('n')
    // What hides the name below is made over, and again.
    for (let i = 0; i < 2; i++) {
      if (i === 0) unmake(t.place, kind, 'n')
      else remove(t, 'n')
      t.calls.lstat('n')
      t.says('make again', () => makes(t.place, 'n', 0o644), 'ok')
      t.sees('n')
      t.calls.list('')
    }
  },
})

const refused = ({ name, needs = [], make }: Maker): Case => ({
  title: `${name}: refused, nothing changes`,
  needs: ['root', ...needs],
  given: (place) => {
    place.mkdir('d')
    place.mkdir('d/n')
    place.mkdir('d/gone')
  },
  trial(t) {
    t.place.rmdir('d/gone')
    const tries = () =>
      t.as(1000, 1000, () => {
        t.says('make', () => make(t.place, 'd/new', 0o644))
        t.says('make over', () => make(t.place, 'd/n', 0o644))
        t.says('make where deleted', () => make(t.place, 'd/gone', 0o644))
      })
    t.moves(['d', 'd/n'], tries, 'd: none, d/n: none')
    t.calls.list('d')
  },
})

/** In a directory that was removed while somebody stands in it, or holds it. */
const removed = ({ name, needs = [], make }: Maker): Case => ({
  title: `${name} in a removed directory`,
  needs,
  given: (place) => place.mkdir('d'),
  trial(t) {
    const held = t.place.open('d', O.PATH | O.DIRECTORY)
    t.place.rmdir('d')
    const path = `/proc/self/fd/${held.fd}/n`
    t.says('make', () => make(t.place, path, 0o644), 'ENOENT')
    t.place.mkdir('d')
    t.says('make after it was made again', () => make(t.place, path, 0o644), 'ENOENT')
    t.calls.list('d')
    held.close()
  },
})

export const making: readonly Case[] = MAKERS.flatMap((maker) => [
  modes(maker),
  owners(maker),
  times(maker),
  refused(maker),
  removed(maker),
  ...KINDS.map((kind) => taken(maker, kind)),
])
