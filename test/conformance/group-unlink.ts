// unlink(2), and what a file can still do without a name.

import { O } from '../../lib/host/sys.ts'
import { put, text, whole } from '../behaviour/act.ts'
import type { RealFile, RealPlace } from '../behaviour/real-place.ts'
import { AT, at } from './at-calls.ts'
import { type Case, KINDS, make, needsOf } from './case.ts'
import type { Trial } from './trial.ts'

const eachKind: Case[] = KINDS.map((kind) => ({
  title: `unlink of a ${kind}`,
  needs: needsOf(kind),
  given(place) {
    place.mkdir('d')
    make(place, kind, 'd/n')
    if (kind !== 'directory') place.link('d/n', 'd/other')
  },
  trial(t) {
    if (kind === 'directory') {
      t.moves(['d', 'd/n'], () => t.wants('EISDIR').unlink('d/n'), 'd: none, d/n: none')
      t.says('with AT_REMOVEDIR', () => at.unlink(t.place, 'd/n', AT.REMOVEDIR), 'ok')
    } else {
      const removes = () => t.wants('ok').unlink('d/n')
      t.moves(['d', 'd/other'], removes, 'd: mtime ctime, d/other: ctime')
      t.sees('d/other')
      t.says('with AT_REMOVEDIR', () => at.unlink(t.place, 'd/other', AT.REMOVEDIR), 'ENOTDIR')
      t.moves(['d'], () => t.wants('ok').unlink('d/other'), 'd: mtime ctime')
    }
    t.wants('ENOENT').unlink('d/n')
    t.wants('ENOENT').lstat('d/n')
    t.calls.list('d')
    t.says('make it again', () => make(t.place, kind, 'd/n', 0o600), 'ok')
    t.sees('d/n')
    t.wants('ok').rename('d', 'e')
    t.calls.list('e')
  },
}))

const refusedEachKind: Case[] = KINDS.map((kind) => ({
  title: `unlink of a ${kind} that is refused`,
  needs: ['root'],
  given: (place) => make(place, kind, 'n'),
  trial(t) {
    const tries = () => t.as(1000, 1000, () => t.wants('EACCES').unlink('n'))
    t.moves(['', 'n'], tries, '.: none, n: none')
    for (const flags of [1, 0x400, 0x1000, 0x201])
      t.says(`flags ${flags}`, () => at.unlink(t.place, 'n', flags), 'EINVAL')
    t.sees('n')
  },
}))

/** How a file is open when its name goes. */
const WAYS: readonly (readonly [string, number])[] = [
  ['read', O.RDONLY],
  ['write', O.WRONLY],
  ['both', O.RDWR],
  ['append', O.RDWR | O.APPEND],
]

/** How its name goes. */
const GOING: Readonly<Record<string, (place: RealPlace) => void>> = {
  unlinked: (p) => p.unlink('f'),
  'replaced by a rename': (p) => {
    put(p, 'n', 'new')
    p.rename('n', 'f')
  },
  'replaced by a file from below': (p) => p.rename('spare', 'f'),
  'unlinked and made again': (p) => {
    p.unlink('f')
    put(p, 'f', 'again')
  },
  'unlinked, with another name': (p) => {
    p.link('f', 'other')
    p.unlink('f')
  },
  'one of two names': (p) => p.unlink('f'),
}

function nameless(t: Trial, file: RealFile): void {
  const facts = () => {
    const { kind, mode, nlink, size } = file.stat()
    return [kind, mode, nlink, size]
  }
  t.says('stat', facts)
  t.says('read', () => file.read(7))
  t.says('write', () => file.write('WRITTEN'))
  t.says('stat', facts)
  t.says('pread', () => file.pread(40, 0))
  t.says('pwrite', () => file.pwrite('!', 100))
  t.says('truncate', () => file.truncate(20))
  t.says('stat', facts)
  t.says('content', () => whole(file))
  t.says('chmod', () => file.chmod(0o640))
  t.says('utimens', () => file.utimens(5n, 7n))
  t.says('times', () => [file.stat().atime, file.stat().mtime])
  t.says('setxattr', () => file.setxattr('user.a', 'b'))
  t.says('getxattr', () => file.getxattr('user.a'))
  t.says('allocate', () => file.allocate(0, 0, 4096))
  t.says('sync', () => file.sync())
  t.says('stat', facts)
  const again = `/proc/self/fd/${file.fd}`
  t.says('open again', () => at.open(t.place, again, O.RDWR))
  t.says('open again to cut', () => at.open(t.place, again, O.WRONLY | O.TRUNC))
  t.says('stat', facts)
  t.says('link', () => file.linkTo('linked'))
  t.says('readlink ends so', () => t.place.readlink(again).endsWith(' (deleted)'))
}

const open: Case[] = Object.entries(GOING).flatMap(([how, go]) =>
  WAYS.map(([way, flags]) => ({
    title: `a file open to ${way} is ${how}`,
    given(place) {
      put(place, 'f', 'some content of a file')
      put(place, 'spare', 'spare content')
      if (how === 'one of two names') place.link('f', 'second')
    },
    trial(t) {
      const file = t.place.open('f', flags)
      t.says('go', () => go(t.place), 'ok')
      nameless(t, file)
      file.close()
      t.calls.list('')
      for (const { name } of t.place.list('')) t.says(name, () => text(t.place, name))
    },
  })),
)

const held: readonly Case[] = [
  {
    title: 'two descriptors of a file without a name, and a mapping',
    given: (place) => put(place, 'f', 'content'.repeat(1000)),
    trial(t) {
      const one = t.place.open('f', O.RDWR)
      const two = t.place.open('f', O.RDONLY)
      const bytes = one.map(7000)
      t.wants('ok').unlink('f')
      bytes.write('MAPPED', 0)
      t.says('seen by the other', () => two.pread(7, 0))
      one.pwrite('WRITTEN', 10)
      t.says('seen in the mapping', () => bytes.latin1Slice(10, 17))
      one.close()
      t.says('after one closed', () => two.pread(20, 0))
      t.says('links', () => two.stat().nlink, '0')
      two.close()
      t.wants('ENOENT').lstat('f')
    },
  },
  {
    title: 'what is written and not yet flushed survives the name',
    given: (place) => put(place, 'f', 'old'),
    trial(t) {
      for (const name of ['f', 'new']) {
        const file = t.place.open(name, O.RDWR | O.CREAT)
        file.write('x'.repeat(300_000))
        t.wants('ok').unlink(name)
        file.write('y'.repeat(10))
        t.says('size', () => file.stat().size, '300010')
        t.says('end', () => file.pread(20, 299_995))
        file.close()
      }
    },
  },
  {
    title: 'O_PATH holds a file that lost its name',
    given: (place) => put(place, 'f', 'content'),
    trial(t) {
      const path = t.place.open('f', O.PATH)
      t.wants('ok').unlink('f')
      t.says('links', () => path.stat().nlink, '0')
      t.says('open', () => at.open(t.place, `/proc/self/fd/${path.fd}`, O.RDONLY), 'ok')
      t.says('chmod', () => t.place.chmod(`/proc/self/fd/${path.fd}`, 0o600))
      t.says('mode', () => path.stat().mode)
      t.says('name it', () => at.linkFrom(path.fd, t.place, 'named'))
      path.close()
    },
  },
]

export const unlink: readonly Case[] = [...eachKind, ...refusedEachKind, ...open, ...held]
