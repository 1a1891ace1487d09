// chown(2), lchown(2), fchown(2), fchownat(2).

import { O } from '../../lib/host/sys.ts'
import { call } from './calls.ts'
import { type Case, KINDS, make, USER_KINDS } from './case.ts'

const MODED = KINDS.filter((kind) => kind !== 'symlink')
/** Modes that a change of owner may take from. */
const PRIVILEGED = [0o4755, 0o2755, 0o6755, 0o2745, 0o2644, 0o6644, 0o6555, 0o1777, 0o7777, 0o4000]
/** Owner 1000, group 2000; what its owner may ask for in groups 2000 and 3000. */
const ASKED: readonly (readonly [number, number])[] = [
  [1000, 3000],
  [-1, 2000],
  [-1, 1000],
  [1000, -1],
  [1000, 2000],
  [-1, -1],
]
const EMPTY_PATH = 0x1000

const byRoot: Case[] = KINDS.map((kind) => ({
  title: `root gives a ${kind} away`,
  needs: ['root'],
  given: (place) => make(place, kind, 'n'),
  trial(t) {
    for (const [uid, gid] of [
      [123, 456],
      [0, 0],
      [-1, 7],
      [8, -1],
      [0xfffffffe, 0xfffffffe],
    ]) {
      t.moves(['n', ''], () => t.wants('ok').lchown('n', uid!, gid!), 'n: ctime, .: none')
      t.sees('n')
    }
    t.moves(['n'], () => t.wants('ok').lchown('n', -1, -1))
    t.sees('n')
    if (kind === 'symlink') t.wants('ENOENT').chown('n', 1, 1)
    else t.wants('ok').chown('n', 1, 1)
    t.sees('n')
  },
}))

const throughLink: Case[] = MODED.map((kind) => ({
  title: `chown of a link to a ${kind} changes the ${kind}, lchown the link`,
  needs: ['root'],
  given(place) {
    make(place, kind, 'n')
    place.symlink('n', 'l')
  },
  trial(t) {
    t.moves(['n', 'l'], () => t.wants('ok').chown('l', 11, 12), 'n: ctime, l: none')
    t.sees('n', 'l')
    t.moves(['n', 'l'], () => t.wants('ok').lchown('l', 13, 14), 'n: none, l: ctime')
    t.sees('n', 'l')
  },
}))

const clearsByRoot: Case[] = MODED.map((kind) => ({
  title: `setuid and setgid of a ${kind} when root changes its owner`,
  needs: ['root'],
  given: (place) => make(place, kind, 'n'),
  trial(t) {
    for (const mode of PRIVILEGED) {
      for (const [uid, gid] of [
        [1000, 2000],
        [-1, 7],
        [9, -1],
        [-1, -1],
        [0, 0],
      ]) {
        t.calls.chmod('n', mode)
        t.calls.chown('n', uid!, gid!)
        t.sees('n')
      }
    }
  },
}))

const clearsByOwner: Case[] = MODED.map((kind) => ({
  title: `setuid and setgid of a ${kind} when its owner changes the group`,
  needs: ['root'],
  given(place) {
    make(place, kind, 'n')
    place.chown('n', 1000, 2000)
  },
  trial(t) {
    for (const mode of kind === 'file' || kind === 'directory' ? PRIVILEGED : [0o6755, 0o2644]) {
      for (const [uid, gid] of ASKED) {
        for (const groups of [[2000, 3000], [3000], []]) {
          t.place.lchown('n', 1000, 2000)
          t.calls.chmod('n', mode)
          t.as(1000, 1000, () => t.calls.chown('n', uid, gid), groups)
          t.sees('n')
        }
      }
    }
  },
}))

const ofOthers = (kind: (typeof KINDS)[number]): Case => ({
  title: `a ${kind} that is another's`,
  needs: ['root'],
  given(place) {
    place.mkdir('d')
    make(place, kind, 'd/n')
    place.lchown('d/n', 1000, 2000)
  },
  trial(t) {
    const refused = (uid: number, gid: number) => t.wants('EPERM').lchown('d/n', uid, gid)
    t.moves(['d/n'], () => {
      t.as(1001, 2000, () => refused(1001, -1))
      t.as(1001, 2000, () => refused(-1, 2000))
      t.as(1001, 2000, () => refused(1001, 2000))
      t.as(1000, 1000, () => refused(1001, -1))
      t.as(1000, 1000, () => refused(0, -1))
      t.as(1000, 1000, () => refused(-1, 5), [2000])
    })
    t.sees('d/n')
    t.moves(['d/n'], () => t.as(1001, 1001, () => t.calls.lchown('d/n', -1, -1)))
    t.as(1000, 1000, () => t.wants('ok').lchown('d/n', 1000, 2000), [2000])
    t.moves(['d/n'], () => t.as(1000, 1000, () => t.wants('ok').lchown('d/n', -1, 1000)))
    t.sees('d/n')
    t.calls.chmod('d', 0)
    t.as(1000, 1000, () => t.wants('EACCES').lchown('d/n', -1, 1000))
  },
})

const byUser: Case[] = USER_KINDS.map((kind) => ({
  title: `an owner may ask for the owner and group that a ${kind} has`,
  given: (place) => make(place, kind, 'n'),
  trial(t) {
    const facts = t.place.lstat('n')
    const own = (uid: number, gid: number) => t.place.lchown('n', uid, gid)
    t.says('its own', () => own(facts.uid, facts.gid), 'ok')
    t.says('its own group', () => own(-1, facts.gid), 'ok')
    t.says('neither', () => own(-1, -1), 'ok')
    t.sees('n')
  },
}))

const descriptors: Case = {
  title: 'fchown of files, directories, removed files, O_PATH',
  needs: ['root'],
  given(place) {
    make(place, 'file', 'f', 0o6777)
    place.mkdir('d', 0o777)
    place.chmod('f', 0o6777)
  },
  trial(t) {
    const file = t.calls.open('f')
    t.moves(['f'], () => file?.chown(5, 6), 'f: ctime')
    t.sees('f')
    const dir = t.calls.open('d')
    t.moves(['d'], () => dir?.chown(5, 6), 'd: ctime')
    t.calls.unlink('f')
    file?.chown(7, 8)
    file?.stat()
    t.calls.rmdir('d')
    dir?.chown(7, 8)
    dir?.stat()
    const path = t.place.open('', O.PATH)
    t.says('O_PATH', () => call.fchownat(path.fd, '', 1, 1, EMPTY_PATH), '0')
    t.sees('')
    t.says('bad flag', () => call.fchownat(path.fd, '', 1, 1, 0x8000), 'EINVAL')
    t.says('no name', () => call.fchownat(path.fd, '', 1, 1, 0), 'ENOENT')
    t.says('no directory', () => call.fchownat(-1, 'd', 1, 1, 0), 'EBADF')
  },
}

function refusedPaths(change: (path: string) => void, link: string): void {
  for (const path of ['n', 'n/m', 'f/n', 'f/', 'loop/n', 'x'.repeat(256), link]) change(path)
}

const badPaths: Case = {
  title: 'chown of what is not there',
  given(place) {
    make(place, 'file', 'f')
    place.symlink('loop', 'loop')
    place.symlink('gone', 'dangling')
  },
  trial(t) {
    t.wants('ENOENT').chown('n', -1, -1)
    t.wants('ENOTDIR').chown('f/n', -1, -1)
    t.wants('ELOOP').chown('loop', -1, -1)
    t.wants('ENOENT').chown('dangling', -1, -1)
    t.wants('ok').lchown('dangling', -1, -1)
    t.wants('ok').lchown('loop', -1, -1)
    t.wants('ENAMETOOLONG').lchown('x'.repeat(256), -1, -1)
    refusedPaths((path) => t.calls.chown(path, -1, -1), 'loop')
    refusedPaths((path) => t.calls.lchown(path, -1, -1), 'dangling')
  },
}

const linked: Case = {
  title: 'chown of one name of a file shows at the others',
  needs: ['root'],
  given(place) {
    make(place, 'file', 'a')
    place.link('a', 'b')
  },
  trial(t) {
    t.moves(['a', 'b'], () => t.wants('ok').chown('b', 31, 32), 'a: ctime, b: ctime')
    t.sees('a', 'b')
    t.same('a', 'b')
  },
}

export const chown: readonly Case[] = [
  ...byRoot,
  ...throughLink,
  ...clearsByRoot,
  ...clearsByOwner,
  ...KINDS.map(ofOthers),
  ...byUser,
  descriptors,
  badPaths,
  linked,
]
