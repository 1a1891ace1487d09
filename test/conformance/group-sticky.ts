// Directories with the sticky bit: who may remove or rename what lies in them.
//
//   owner of the directory × owner of the file: the caller, root, somebody else
//
// Rule: EPERM only where the bit is set and the caller owns neither.

import type { RealPlace } from '../behaviour/real-place.ts'
import { type Case, KINDS, type KindMade, make } from './case.ts'
import type { Trial } from './trial.ts'

const CALLER = 1000
const OWNERS = [CALLER, 0, 1001] as const
const STICKY = 0o1777
const OPEN = 0o777

interface Row {
  readonly dirOwner: number
  readonly owner: number
  readonly mode: number
}

const rows: readonly Row[] = [STICKY, OPEN].flatMap((mode) =>
  OWNERS.flatMap((dirOwner) => OWNERS.map((owner) => ({ dirOwner, owner, mode }))),
)
const dirOf = ({ dirOwner, owner, mode }: Row): string =>
  `${dirOwner}-${owner}-${mode === STICKY ? 't' : 'x'}`
const refused = ({ dirOwner, owner, mode }: Row): boolean =>
  mode === STICKY && dirOwner !== CALLER && owner !== CALLER

/** A directory of its own with `name` in it. */
function prepare(place: RealPlace, row: Row, kind: KindMade | null, dir = dirOf(row)): void {
  place.mkdir(dir)
  if (kind !== null) {
    make(place, kind, `${dir}/n`)
    // A directory is renamed to another parent by those alone who may write it.
    if (kind === 'directory') place.chmod(`${dir}/n`, 0o777)
    place.lchown(`${dir}/n`, row.owner, row.owner)
  }
  place.chmod(dir, row.mode)
  place.chown(dir, row.dirOwner, row.dirOwner)
  place.chmod(dir, row.mode)
}

const removing: readonly Case[] = KINDS.map((kind) => ({
  title: `removing a ${kind} from a sticky directory`,
  needs: ['root'],
  given: (place) => {
    for (const row of rows) prepare(place, row, kind)
  },
  trial(t) {
    for (const row of rows)
      t.as(CALLER, CALLER, () => {
        const calls = t.wants(refused(row) ? 'EPERM' : 'ok')
        if (kind === 'directory') calls.rmdir(`${dirOf(row)}/n`)
        else calls.unlink(`${dirOf(row)}/n`)
      })
    for (const row of rows) t.calls.list(dirOf(row))
  },
}))

/** rename(source, target): one of the two lies in the directory in question. */
const TARGETS: readonly (KindMade | null)[] = [null, ...KINDS]

const USUAL: readonly KindMade[] = ['file', 'directory']

/** Where no permission is in the way. */
function answerOf(from: KindMade, to: KindMade | null): string {
  if (to === null) return 'ok'
  if (from === 'directory') return to === 'directory' ? 'ok' : 'ENOTDIR'
  return to === 'directory' ? 'EISDIR' : 'ok'
}

const FREE: Row = { dirOwner: CALLER, owner: CALLER, mode: OPEN }

function renames(t: Trial, from: KindMade, to: KindMade | null, sticky: 'source' | 'target'): void {
  for (const row of rows) {
    const [source, target] =
      sticky === 'source' ? [dirOf(row), `${dirOf(row)}-free`] : [`${dirOf(row)}-free`, dirOf(row)]
    const bound = refused(row) && (sticky === 'source' || to !== null)
    const wanted = bound ? 'EPERM' : answerOf(from, to)
    t.as(CALLER, CALLER, () => {
      t.wants(wanted).rename(`${source}/n`, `${target}/n`)
      if (wanted === 'ok' && sticky === 'source') t.calls.rename(`${target}/n`, `${source}/n`)
    })
    t.sees(`${source}/n`, `${target}/n`)
  }
}

const renaming: readonly Case[] = (['source', 'target'] as const).flatMap((sticky) =>
  KINDS.flatMap((from) =>
    TARGETS.map((to) => ({
      title: `rename of a ${from} over ${to ?? 'nothing'}, where the ${sticky} lies in a sticky directory`,
      needs: ['root' as const],
      long: !USUAL.includes(from) || (to !== null && !USUAL.includes(to)),
      given: (place: RealPlace) => {
        for (const row of rows) {
          const [bound, free] = sticky === 'source' ? [from, to] : [to, from]
          prepare(place, row, bound)
          prepare(place, FREE, free, `${dirOf(row)}-free`)
        }
      },
      trial: (t: Trial) => renames(t, from, to, sticky),
    })),
  ),
)

const byRoot: Case = {
  title: 'root removes and renames in every sticky directory',
  needs: ['root'],
  given: (place) => {
    for (const row of rows) prepare(place, row, 'file')
  },
  trial(t) {
    for (const row of rows) {
      t.wants('ok').rename(`${dirOf(row)}/n`, `${dirOf(row)}/m`)
      t.wants('ok').unlink(`${dirOf(row)}/m`)
    }
  },
}

/** rename within one sticky directory, and exchange. */
const within: Case = {
  title: 'rename within a sticky directory, and exchange over its edge',
  needs: ['root'],
  given: (place) => {
    for (const row of rows) {
      prepare(place, row, 'file')
      prepare(place, FREE, 'file', `${dirOf(row)}-free`)
    }
  },
  trial(t) {
    const EXCHANGE = 2
    for (const row of rows)
      t.as(CALLER, CALLER, () => {
        const calls = t.wants(refused(row) ? 'EPERM' : 'ok')
        calls.rename(`${dirOf(row)}/n`, `${dirOf(row)}/n2`)
        const name = refused(row) ? 'n' : 'n2'
        calls.rename(`${dirOf(row)}/${name}`, `${dirOf(row)}-free/n`, EXCHANGE)
        calls.rename(`${dirOf(row)}-free/n`, `${dirOf(row)}/${name}`, EXCHANGE)
        t.wants('ok').link(`${dirOf(row)}-free/n`, `${dirOf(row)}/linked`)
      })
    for (const row of rows) t.calls.list(dirOf(row))
  },
}

export const sticky: readonly Case[] = [...removing, ...renaming, byRoot, within]
