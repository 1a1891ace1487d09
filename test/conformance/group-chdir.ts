// chdir(2), fchdir(2), getcwd(2), access(2): where a process stands, and what it is told it may.

import { O } from '../../lib/host/sys.ts'
import { put } from '../behaviour/act.ts'
import { AT, at } from './at-calls.ts'
import { type Case, KINDS, make, needsOf } from './case.ts'

const eachKind: Case[] = KINDS.map((kind) => ({
  title: `chdir into a ${kind}`,
  needs: needsOf(kind),
  given: (place) => make(place, kind, 'n', 0o755),
  trial(t) {
    const answer = kind === 'directory' ? 'ok' : kind === 'symlink' ? 'ENOENT' : 'ENOTDIR'
    t.says('chdir', () => at.inside(t.place, () => at.chdir('n')), answer)
    for (const mask of [0, 1, 2, 4, 7]) t.calls.access('n', mask)
    for (const mask of [0, 4])
      t.says(
        `access, not followed, ${mask}`,
        () => at.access(t.place, 'n', mask, AT.NOFOLLOW),
        'ok',
      )
    t.says('a mask that is none', () => at.access(t.place, 'n', 8), 'EINVAL')
    t.says('a flag that is none', () => at.access(t.place, 'n', 0, 1), 'EINVAL')
  },
}))

const standing: readonly Case[] = [
  {
    title: 'getcwd follows what happens to the directory',
    given(place) {
      place.mkdir('d')
      place.mkdir('d/e')
      place.symlink('d/e', 'l')
      put(place, 'd/e/f', '')
    },
    trial(t) {
      at.inside(t.place, () => {
        t.says('into a link', () => at.chdir('l'), 'ok')
        t.says('cwd', () => at.cwd(t.place), '"./d/e"')
        t.says('too small', () => at.cwd(t.place, 2), 'ERANGE')
        t.wants('ok').rename('d', 'moved')
        t.says('cwd', () => at.cwd(t.place), '"./moved/e"')
        t.says('up', () => at.chdir('..'), 'ok')
        t.says('cwd', () => at.cwd(t.place), '"./moved"')
        t.says('down', () => at.chdir('e'), 'ok')
        t.wants('ok').unlink('moved/e/f')
        t.wants('ok').rmdir('moved/e')
        t.says('cwd of what is gone', () => at.cwd(t.place), 'ENOENT')
        t.says('up from what is gone', () => at.chdir('..'))
      })
    },
  },
  {
    title: 'fchdir',
    given(place) {
      place.mkdir('d')
      put(place, 'f', '')
    },
    trial(t) {
      for (const [path, flags] of [
        ['d', O.RDONLY],
        ['d', O.PATH],
        ['f', O.RDONLY],
      ] as const) {
        const held = t.place.open(path, flags)
        t.says(`${path} ${flags}`, () => at.inside(t.place, () => at.fchdir(held.fd)))
        held.close()
      }
    },
  },
  {
    title: 'access asks for the real user',
    needs: ['root'],
    given(place) {
      for (const mode of [0, 0o111, 0o444, 0o666, 0o700, 0o070, 0o007]) {
        put(place, `f${mode}`, '')
        place.chown(`f${mode}`, 1000, 1000)
        place.chmod(`f${mode}`, mode)
      }
    },
    trial(t) {
      for (const { name } of t.place.list(''))
        for (const uid of [0, 1000, 1001])
          for (const mask of [1, 2, 4])
            t.says(`${uid} ${name} ${mask}`, () =>
              at.reallyAs(uid, uid, () => at.access(t.place, name, mask)),
            )
    },
  },
]

export const chdir: readonly Case[] = [...eachKind, ...standing]
