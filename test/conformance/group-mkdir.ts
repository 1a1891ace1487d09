// mkdir(2) and rmdir(2).

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

export const mkdir: readonly Case[] = [...overEachKind, ...belowEachKind]
