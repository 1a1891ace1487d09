// What a directory's permission bits allow of each call on a name in it, to its owner, to
// members of its group, to supplementary members, and to others.
//
//   call × user × bits 0–7: search (1), write (2), read (4)
//
// Rule: the thing itself allows everything, so that only the directory decides.

import { put } from '../behaviour/act.ts'
import type { RealPlace } from '../behaviour/real-place.ts'
import type { Case } from './case.ts'
import { PATH_CALLS, type PathCall } from './path-calls.ts'
import type { Trial } from './trial.ts'
import { as, modeFor, OWNER, USERS } from './users.ts'

const BITS = [0, 1, 2, 3, 4, 5, 6, 7] as const
const rows = USERS.flatMap((user) => BITS.map((bits) => ({ user, bits })))
const dirOf = (row: (typeof rows)[number]): string => `${row.user.name}-${row.bits}`

/** The last component of the path. */
const NAMES = ['file', 'directory', 'link', 'nothing'] as const
type Name = (typeof NAMES)[number]

/** Makes the name in each directory, the caller's own: so its owner is never what decides. */
function prepare(place: RealPlace, call: PathCall, name: Name): void {
  for (const row of rows) {
    const dir = dirOf(row)
    place.mkdir(dir)
    if (name === 'file' || name === 'link') put(place, `${dir}/file`, 'content', 0o777)
    if (name === 'directory') place.mkdir(`${dir}/directory`, 0o777)
    if (name === 'link') place.symlink('file', `${dir}/link`)
    if (call.beside === 'used') put(place, `${dir}/spare`, 'spare')
    for (const each of place.list(dir))
      place.lchown(`${dir}/${each.name}`, row.user.uid, row.user.gid)
    place.chown(dir, OWNER.uid, OWNER.gid)
    place.chmod(dir, modeFor(row.user, row.bits))
  }
}

/** What an unsearchable or unwritable directory must answer; null where the call itself decides. */
function wantedOf(call: PathCall, name: Name, bits: number): string | null {
  if ((bits & 1) === 0) return 'EACCES'
  const changes = call.makes ? name === 'nothing' : REMOVES.includes(call.name) && name === 'file'
  return changes && (bits & 2) === 0 ? 'EACCES' : null
}

/** Enough to see that rights bind at all. */
const FEW: readonly string[] = [
  'open O_CREAT',
  'lstat',
  'mkdir',
  'unlink',
  'rename to',
  'link from',
]

const REMOVES: readonly string[] = ['unlink', 'rename from', 'link from']

function tries(t: Trial, call: PathCall, name: Name): void {
  for (const row of rows) {
    const path = `${dirOf(row)}/${name}`
    // Its other name lies there too.
    const other = `${dirOf(row)}/${call.beside === 'used' ? 'spare' : 'made'}`
    // Another way to be refused: a device needs a capability, which is asked for first.
    const wanted = call.name === 'mknod device' ? null : wantedOf(call, name, row.bits)
    const words = `${call.name}(${path})`
    as(t, row.user, () => t.says(words, () => void call.run(t.place, path, other), wanted))
  }
  t.says('after all', () =>
    rows.map((row) => `${dirOf(row)}: ${t.place.list(dirOf(row)).map((entry) => entry.name)}`),
  )
}

const listing: Case = {
  title: 'a directory is listed by those who may read it',
  needs: ['root'],
  given: (place) => prepare(place, PATH_CALLS[0]!, 'file'),
  trial(t) {
    for (const row of rows)
      as(t, row.user, () => {
        const wanted = row.bits & 4 ? null : 'EACCES'
        t.says(`list(${dirOf(row)})`, () => t.place.list(dirOf(row)), wanted)
      })
  },
}

/** Rights on the way: no call reaches through a directory that may not be searched. */
const prefixes: readonly Case[] = PATH_CALLS.map((call) => ({
  title: `${call.name} through a directory that may not be searched`,
  needs: ['root'],
  long: !FEW.includes(call.name),
  given(place) {
    for (const row of rows) {
      const dir = dirOf(row)
      place.mkdir(dir)
      place.mkdir(`${dir}/sub`)
      put(place, `${dir}/sub/file`, 'content')
      put(place, `${dir}/sub/spare`, 'spare')
      for (const path of ['sub/file', 'sub/spare', 'sub', ''])
        place.chown(`${dir}/${path}`, OWNER.uid, OWNER.gid)
      for (const path of ['sub/file', 'sub/spare', 'sub']) place.chmod(`${dir}/${path}`, 0o777)
      place.chmod(dir, modeFor(row.user, row.bits))
    }
  },
  trial(t) {
    for (const row of rows) {
      const path = `${dirOf(row)}/sub/${call.makes ? 'new' : 'file'}`
      const other = `${dirOf(row)}/sub/${call.beside === 'used' ? 'spare' : 'made'}`
      const wanted = (row.bits & 1) === 0 && call.name !== 'mknod device' ? 'EACCES' : null
      as(t, row.user, () =>
        t.says(`${call.name}(${path})`, () => void call.run(t.place, path, other), wanted),
      )
    }
  },
}))

export const rights: readonly Case[] = [
  ...PATH_CALLS.flatMap((call) =>
    NAMES.map((name) => ({
      title: `${call.name} of ${name} in a directory of each mode, by each user`,
      needs: ['root' as const],
      long: !FEW.includes(call.name),
      given: (place: RealPlace) => prepare(place, call, name),
      trial: (t: Trial) => tries(t, call, name),
    })),
  ),
  ...prefixes,
  listing,
]
