// What a file's permission bits allow to each who opens it, and what descriptors keep.

import { O } from '../../lib/host/sys.ts'
import { put, text, whole } from '../behaviour/act.ts'
import { at } from './at-calls.ts'
import type { Case } from './case.ts'
import { as, modeFor, OWNER, USERS } from './users.ts'

const RIGHTS: readonly (readonly [string, number, number])[] = [
  ['O_RDONLY', O.RDONLY, 4],
  ['O_WRONLY', O.WRONLY, 2],
  ['O_RDWR', O.RDWR, 6],
  ['O_WRONLY|O_APPEND', O.WRONLY | O.APPEND, 2],
  ['O_RDONLY|O_TRUNC', O.RDONLY | O.TRUNC, 6],
  ['O_WRONLY|O_TRUNC', O.WRONLY | O.TRUNC, 2],
  ['O_RDWR|O_CREAT', O.RDWR | O.CREAT, 6],
  ['O_PATH', O.PATH, 0],
]

const rights: Case = {
  title: 'the rights of a file, for each user and each way to open it',
  needs: ['root'],
  given(place) {
    for (const user of USERS)
      for (let bits = 0; bits < 8; bits++) {
        const path = `${user.name}-${bits}`
        put(place, path, 'content')
        place.chown(path, OWNER.uid, OWNER.gid)
        place.chmod(path, modeFor(user, bits))
      }
  },
  trial(t) {
    for (const user of USERS)
      for (let bits = 0; bits < 8; bits++)
        as(t, user, () => {
          for (const [name, flags, needed] of RIGHTS) {
            const wanted = (bits & needed) === needed ? 'ok' : 'EACCES'
            const path = `${user.name}-${bits}`
            t.says(`${name} ${path}`, () => at.open(t.place, path, flags), wanted)
          }
          for (const mask of [0, 1, 2, 3, 4, 5, 6, 7]) {
            const wanted = (bits & mask) === mask ? 'ok' : 'EACCES'
            t.wants(wanted).access(`${user.name}-${bits}`, mask)
          }
          // Without atime is for the owner alone.
          t.says('O_NOATIME', () => at.open(t.place, `${user.name}-${bits}`, O.NOATIME))
        })
    for (const user of USERS) t.sees(`${user.name}-6`, `${user.name}-2`)
  },
}

/** As whoever runs this: its own files, with each mode. */
const own: Case = {
  title: "the owner's own rights bind it, a descriptor keeps those it has",
  given: (place) => {
    for (let bits = 0; bits < 8; bits++) {
      put(place, `f${bits}`, 'some content')
    }
  },
  trial(t) {
    // What its owner may not read below cannot be copied up, so rights are taken here.
    for (let bits = 0; bits < 8; bits++) {
      t.calls.chmod(`f${bits}`, bits << 6)
      for (const [name, flags] of RIGHTS)
        t.says(`${name} ${bits}`, () => at.open(t.place, `f${bits}`, flags & ~O.TRUNC))
      t.calls.access(`f${bits}`, 4)
      t.calls.access(`f${bits}`, 2)
      t.says('truncate', () => at.inside(t.place, () => at.truncate(`f${bits}`, 5)))
      t.calls.chmod(`f${bits}`, 0o600)
      t.says('content', () => text(t.place, `f${bits}`))
      const file = t.place.open(`f${bits}`, O.RDWR)
      t.calls.chmod(`f${bits}`, 0)
      t.says('write', () => file.write('WRITTEN'))
      t.says('read', () => file.pread(20, 0))
      t.says('cut', () => file.truncate(3))
      file.close()
      t.sees(`f${bits}`)
      t.calls.chmod(`f${bits}`, 0o600)
      t.says('content', () => text(t.place, `f${bits}`))
    }
    for (const mode of [0, 0o200, 0o400, 0o444, 0o222]) {
      const path = `new${mode}`
      const file = t.place.open(path, O.RDWR | O.CREAT | O.EXCL, mode)
      t.says('write', () => file.write('content'))
      t.says('read', () => whole(file))
      file.close()
      t.sees(path)
      t.says('again', () => at.open(t.place, path, O.RDWR))
    }
  },
}

export const openRights: readonly Case[] = [rights, own]
