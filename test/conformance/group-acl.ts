// POSIX ACLs: who may do what, what chmod(2) makes of them, what new files inherit.

import { O } from '../../lib/host/sys.ts'
import type { RealPlace } from '../behaviour/real-place.ts'
import { type Case, KINDS, make, needsOf } from './case.ts'
import type { Trial } from './trial.ts'

const ACCESS = 'system.posix_acl_access'
const DEFAULT = 'system.posix_acl_default'
const TAG = { u: 1, U: 2, g: 4, G: 8, m: 16, o: 32 } as const

type Entry = readonly [tag: keyof typeof TAG, permissions: number, id?: number]

/** The attribute's bytes: version 2, then tag and permissions of 16 bits, id of 32 each. */
function acl(entries: readonly Entry[], version = 2): Buffer {
  const bytes = Buffer.alloc(4 + entries.length * 8)
  bytes.writeUInt32LE(version)
  for (const [i, [tag, permissions, id]] of entries.entries()) {
    bytes.writeUInt16LE(TAG[tag], 4 + i * 8)
    bytes.writeUInt16LE(permissions, 6 + i * 8)
    bytes.writeUInt32LE(id ?? 0xffffffff, 8 + i * 8)
  }
  return bytes
}

const ACLS: Readonly<Record<string, Buffer>> = {
  'a user': acl([
    ['u', 6],
    ['U', 4, 1001],
    ['g', 4],
    ['m', 4],
    ['o', 0],
  ]),
  'a user under a mask': acl([
    ['u', 7],
    ['U', 7, 1001],
    ['g', 7],
    ['m', 4],
    ['o', 0],
  ]),
  'a group': acl([
    ['u', 6],
    ['g', 0],
    ['G', 6, 2000],
    ['m', 6],
    ['o', 0],
  ]),
  'users and groups': acl([
    ['u', 7],
    ['U', 0, 1001],
    ['U', 5, 1002],
    ['g', 4],
    ['G', 7, 2000],
    ['G', 2, 3000],
    ['m', 7],
    ['o', 1],
  ]),
  'nobody under a mask of nothing': acl([
    ['u', 0],
    ['U', 7, 1001],
    ['g', 7],
    ['m', 0],
    ['o', 7],
  ]),
  'a mask alone': acl([
    ['u', 6],
    ['g', 6],
    ['m', 2],
    ['o', 4],
  ]),
  'what a mode says': acl([
    ['u', 6],
    ['g', 4],
    ['o', 1],
  ]),
}

/** Bytes that are no ACL. */
const BROKEN: Readonly<Record<string, Buffer>> = {
  'version 1': acl(
    [
      ['u', 6],
      ['g', 4],
      ['o', 4],
    ],
    1,
  ),
  'version 3': acl(
    [
      ['u', 6],
      ['g', 4],
      ['o', 4],
    ],
    3,
  ),
  'a part of an entry': acl([
    ['u', 6],
    ['g', 4],
    ['o', 4],
  ]).subarray(0, 25),
  'no owner': acl([
    ['g', 4],
    ['o', 4],
  ]),
  'no group': acl([
    ['u', 4],
    ['o', 4],
  ]),
  'no others': acl([
    ['u', 4],
    ['g', 4],
  ]),
  'two owners': acl([
    ['u', 4],
    ['u', 4],
    ['g', 4],
    ['o', 4],
  ]),
  'two masks': acl([
    ['u', 4],
    ['g', 4],
    ['m', 4],
    ['m', 4],
    ['o', 4],
  ]),
  'a user without a mask': acl([
    ['u', 4],
    ['U', 4, 5],
    ['g', 4],
    ['o', 4],
  ]),
  'another order': acl([
    ['g', 4],
    ['u', 4],
    ['o', 4],
  ]),
  'permissions of 8': acl([
    ['u', 8],
    ['g', 4],
    ['o', 4],
  ]),
  'a user without id': acl([
    ['u', 4],
    ['U', 4],
    ['g', 4],
    ['m', 4],
    ['o', 4],
  ]),
  'two entries of a user': acl([
    ['u', 4],
    ['U', 4, 5],
    ['U', 4, 5],
    ['g', 4],
    ['m', 4],
    ['o', 4],
  ]),
  'the head alone': acl([]),
  'less than a head': Buffer.from('020000', 'hex'),
  nothing: Buffer.alloc(0),
}

const WHO: readonly (readonly [number, number, readonly number[]])[] = [
  [1000, 1000, []],
  [1001, 1001, []],
  [1002, 1002, [2000]],
  [1003, 2000, []],
  [1003, 1003, [3000]],
  [1003, 1003, [2000, 3000]],
  [1004, 1000, []],
  [1004, 1004, []],
]

function decisions(t: Trial, path: string): void {
  for (const [uid, gid, groups] of WHO) {
    t.as(
      uid,
      gid,
      () => {
        for (const mask of [4, 2, 1, 6, 7]) t.calls.access(path, mask)
        t.calls.open(path)?.close()
        t.calls.open(path, O.WRONLY)?.close()
      },
      groups,
    )
  }
}

function sees(t: Trial, path: string): void {
  t.sees(path)
  for (const name of [ACCESS, DEFAULT]) t.says(`${name} of ${path}`, () => hex(t.place, path, name))
}

const hex = (place: RealPlace, path: string, name: string): string =>
  place
    .getxattr(path, name)
    ?.toString('hex')
    .replaceAll(/.{16}(?!$)/g, '$& ') ?? 'none'

const access: Case[] = Object.entries(ACLS).flatMap(([words, bytes]) =>
  (['file', 'directory'] as const).map((kind) => ({
    title: `an ACL of ${words} decides about a ${kind}`,
    needs: ['root'] as const,
    given(place) {
      make(place, kind, 'n')
      place.chown('n', 1000, 1000)
      place.setxattr('n', ACCESS, bytes)
    },
    trial(t) {
      sees(t, 'n')
      decisions(t, 'n')
      if (kind === 'directory') {
        for (const [uid, gid, groups] of WHO) {
          t.as(uid, gid, () => t.calls.mkdir('n/d'), groups)
          t.as(uid, gid, () => t.calls.rmdir('n/d'), groups)
        }
      }
      t.calls.chmod('n', 0o755)
      sees(t, 'n')
      decisions(t, 'n')
    },
  })),
)

const chmods: Case[] = Object.entries(ACLS).map(([words, bytes]) => ({
  title: `chmod of an ACL of ${words}`,
  given(place) {
    make(place, 'file', 'f')
    place.setxattr('f', ACCESS, bytes)
    make(place, 'directory', 'd')
    place.setxattr('d', ACCESS, bytes)
    place.setxattr('d', DEFAULT, bytes)
  },
  trial(t) {
    for (const path of ['f', 'd']) {
      for (const mode of [0o750, 0, 0o777, 0o604, 0o7070]) {
        t.calls.chmod(path, mode)
        sees(t, path)
      }
      t.moves([path, ''], () => t.calls.setxattr(path, ACCESS, bytes))
      sees(t, path)
      t.moves([path], () => t.calls.removexattr(path, ACCESS))
      sees(t, path)
      t.calls.removexattr(path, ACCESS)
      t.calls.removexattr(path, DEFAULT)
      t.calls.listxattr(path)
    }
  },
}))

/** Makes one thing of each sort in `d`, each with its own mode. */
function populate(t: Trial): void {
  t.calls.mkdir('d/directory', 0o777)
  t.calls.mkdir('d/narrow', 0o700)
  t.calls.open('d/file', O.CREAT | O.RDWR, 0o666)
  t.calls.open('d/program', O.CREAT | O.RDWR | O.EXCL, 0o755)
  t.calls.mknod('d/node', 0o100_640)
  t.calls.mknod('d/pipe', 0o010_666)
  t.calls.symlink('file', 'd/link')
  const unnamed = t.calls.tmpfile('d', O.RDWR, 0o666)
  unnamed?.linkTo('d/unnamed')
  t.calls.mkdir('d/directory/deep', 0o777)
  t.calls.open('d/directory/deep/file', O.CREAT | O.RDWR, 0o666)
  for (const name of ['directory', 'narrow', 'file', 'program', 'node', 'pipe', 'link', 'unnamed'])
    sees(t, `d/${name}`)
  sees(t, 'd/directory/deep')
  sees(t, 'd/directory/deep/file')
}

const inherits: Case[] = Object.entries(ACLS).flatMap(([words, bytes]) =>
  [0o022, 0o077, 0].map((umask) => ({
    title: `a default ACL of ${words} under umask ${umask.toString(8)}`,
    given(place: RealPlace) {
      place.mkdir('d', 0o777)
      place.setxattr('d', DEFAULT, bytes)
    },
    trial(t: Trial) {
      sees(t, 'd')
      t.umask(umask, () => populate(t))
    },
  })),
)

const inheritsForOthers: Case = {
  title: 'what another makes in a directory with a default ACL is its own',
  needs: ['root'],
  given(place) {
    place.mkdir('d', 0o777)
    place.chmod('d', 0o2777)
    place.chown('d', 1000, 2000)
    place.chmod('d', 0o2777)
    place.setxattr('d', DEFAULT, ACLS['users and groups']!)
  },
  trial(t) {
    t.as(1001, 1001, () => populate(t))
    t.as(1002, 1002, () => t.calls.open('d/file'))
    t.as(1001, 1001, () => t.calls.open('d/file', O.RDWR))
  },
}

const broken: Case[] = [ACCESS, DEFAULT].map((name) => ({
  title: `bytes that are no ACL as ${name}`,
  given(place) {
    place.mkdir('d')
    make(place, 'file', 'f')
  },
  trial(t) {
    for (const [words, bytes] of Object.entries(BROKEN)) {
      const set = (path: string) => () => t.place.setxattr(path, name, bytes)
      t.says(`${words} on a directory`, set('d'))
      t.says(`${words} on a file`, set('f'))
      sees(t, 'd')
    }
    t.calls.setxattr(
      'd',
      name,
      acl([
        ['u', 7],
        ['g', 5],
        ['o', 5],
      ]),
      1,
    )
    t.calls.setxattr(
      'd',
      name,
      acl([
        ['u', 7],
        ['g', 5],
        ['o', 5],
      ]),
      2,
    )
    sees(t, 'd')
  },
}))

const eachKind: Case[] = KINDS.map((kind) => ({
  title: `an ACL on a ${kind}`,
  needs: needsOf(kind),
  given: (place) => make(place, kind, 'n'),
  trial(t) {
    t.calls.setxattr('n', ACCESS, ACLS['a user']!)
    t.calls.setxattr('n', DEFAULT, ACLS['a user']!)
    t.calls.getxattr('n', ACCESS)
    t.calls.listxattr('n')
    t.calls.removexattr('n', DEFAULT)
    t.calls.removexattr('n', ACCESS)
    t.sees('n')
  },
}))

const rights: Case = {
  title: 'who may set an ACL, and what it takes from setgid',
  needs: ['root'],
  given(place) {
    place.mkdir('d', 0o777)
    make(place, 'file', 'f', 0o777)
    for (const name of ['d', 'f']) {
      place.chown(name, 1000, 2000)
      place.chmod(name, 0o2777)
    }
  },
  trial(t) {
    for (const name of ['d', 'f']) {
      t.as(1001, 2000, () => t.wants('EPERM').setxattr(name, ACCESS, ACLS['a user']!))
      t.as(1001, 2000, () => t.wants('EPERM').removexattr(name, ACCESS))
      t.as(1000, 2000, () => t.wants('ok').setxattr(name, ACCESS, ACLS['a user']!))
      sees(t, name)
      t.calls.chmod(name, 0o2777)
      t.as(1000, 1000, () => t.wants('ok').setxattr(name, ACCESS, ACLS['a group']!))
      sees(t, name)
      t.calls.chmod(name, 0o2777)
      t.calls.setxattr(name, ACCESS, ACLS['what a mode says']!)
      sees(t, name)
    }
    t.as(1000, 1000, () => t.calls.setxattr('d', DEFAULT, ACLS['a group']!))
    t.as(1001, 1001, () => t.wants('EPERM').setxattr('d', DEFAULT, ACLS['a user']!))
    sees(t, 'd')
  },
}

const carried: Case = {
  title: 'an ACL stays through rename, link, chown and writing',
  needs: ['root'],
  given(place) {
    place.mkdir('d')
    for (const name of ['a', 'b', 'c']) {
      make(place, 'file', name)
      place.setxattr(name, ACCESS, ACLS['users and groups']!)
    }
    place.setxattr('d', DEFAULT, ACLS['a user']!)
    place.setxattr('d', ACCESS, ACLS['a group']!)
  },
  trial(t) {
    t.calls.rename('a', 'd/a')
    t.calls.link('b', 'd/b')
    t.calls.chown('c', 1000, 2000)
    t.calls.open('c', O.WRONLY | O.TRUNC)?.write('new')
    t.calls.rename('d', 'e')
    for (const path of ['e', 'e/a', 'e/b', 'b', 'c']) sees(t, path)
    t.calls.unlink('b')
    t.calls.chmod('e/b', 0o600)
    sees(t, 'e/b')
  },
}

export const acls: readonly Case[] = [
  ...access,
  ...chmods,
  ...inherits,
  inheritsForOthers,
  ...broken,
  ...eachKind,
  rights,
  carried,
]
