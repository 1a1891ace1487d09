// chmod(2), fchmod(2), fchmodat(2).

import { O } from '../../lib/host/sys.ts'
import { call } from './calls.ts'
import { type Case, KINDS, type KindMade, make, needsOf, USER_KINDS } from './case.ts'

/** The kinds that have a mode of their own. */
const MODED = KINDS.filter((kind) => kind !== 'symlink')
const MODES = [0, 0o1, 0o10, 0o100, 0o111, 0o222, 0o444, 0o644, 0o755, 0o777, 0o1777]
const HIGH_MODES = [0o1000, 0o2000, 0o4000, 0o2755, 0o4755, 0o6555, 0o7777, 0o170644]
const NOFOLLOW = 0x100
const EMPTY_PATH = 0x1000
const LONG = 'x'.repeat(256)

const everyMode: Case[] = MODED.map((kind) => ({
  title: `chmod gives a ${kind} each mode, and moves its ctime alone`,
  needs: needsOf(kind),
  given: (place) => make(place, kind, 'n'),
  trial(t) {
    for (const mode of [...MODES, ...HIGH_MODES]) {
      t.wants('ok').chmod('n', mode)
      t.sees('n')
    }
    t.wants('ok').chmod('n', 0o700)
    t.moves(['n', ''], () => t.calls.chmod('n', 0o640), 'n: ctime, .: none')
    // Also where it stays what it is.
    t.moves(['n', ''], () => t.calls.chmod('n', 0o640), 'n: ctime, .: none')
  },
}))

const throughLink: Case[] = MODED.map((kind) => ({
  title: `chmod of a link to a ${kind} changes the ${kind}`,
  needs: needsOf(kind),
  given(place) {
    make(place, kind, 'n')
    place.symlink('n', 'l')
    place.symlink('l', 'm')
  },
  trial(t) {
    t.moves(['n', 'l', 'm'], () => t.wants('ok').chmod('m', 0o604))
    t.sees('n', 'l', 'm')
  },
}))

const notFollowed: Case[] = KINDS.map((kind) => ({
  title: `fchmodat that follows no link, of a ${kind}`,
  needs: needsOf(kind),
  given: (place) => make(place, kind, 'n'),
  trial(t) {
    const wanted = kind === 'symlink' ? 'EOPNOTSUPP' : 'ok'
    const change = () => void call.fchmodat(t.place.fd, 'n', 0o611, NOFOLLOW)
    t.moves(['n'], () => t.says('fchmodat n', change, wanted))
    t.sees('n')
    t.says('bad flag', () => call.fchmodat(t.place.fd, 'n', 0o600, 0x8000), 'EINVAL')
  },
}))

const ofDescriptor: Case[] = [O.RDONLY, O.WRONLY, O.RDWR].map((flags) => ({
  title: `fchmod of a file opened with flags ${flags}`,
  given: (place) => make(place, 'file', 'n', 0o644),
  trial(t) {
    const file = t.calls.open('n', flags)
    t.moves(['n'], () => file?.chmod(0o4711), 'n: ctime')
    file?.chmod(0)
    file?.stat()
    t.sees('n')
    t.wants('ok').unlink('n')
    file?.chmod(0o2750)
    file?.stat()
    file?.close()
  },
}))

const descriptors: Case = {
  title: 'fchmod of directories, O_PATH and closed descriptors',
  given: (place) => place.mkdir('d'),
  trial(t) {
    const [dir, path] = [t.place.open('d'), t.place.open('d', O.PATH)]
    t.says('fchmod directory', () => call.fchmod(dir.fd, 0o1703), '0')
    t.sees('d')
    t.says('fchmod O_PATH', () => call.fchmod(path.fd, 0o700), 'EBADF')
    const empty = () => call.fchmodat(path.fd, '', 0o710, EMPTY_PATH)
    t.says('fchmodat of nothing but O_PATH', empty)
    t.sees('d')
    t.says('fchmod -1', () => call.fchmod(-1, 0o700), 'EBADF')
    t.says('below no directory', () => call.fchmodat(-1, 'd', 0o700, 0), 'EBADF')
    const file = t.place.open('f', O.CREAT | O.RDWR)
    t.says('below a file', () => call.fchmodat(file.fd, 'd', 0o700, 0), 'ENOTDIR')
  },
}

const badPaths: Case = {
  title: 'chmod of what is not there',
  given(place) {
    make(place, 'file', 'f')
    place.mkdir('d')
    place.symlink('loop', 'loop')
    place.symlink('gone', 'dangling')
  },
  trial(t) {
    t.wants('ENOENT').chmod('n', 0o644)
    t.wants('ENOENT').chmod('n/m', 0o644)
    t.wants('ENOENT').chmod('dangling', 0o644)
    t.wants('ENOTDIR').chmod('f/n', 0o644)
    t.wants('ENOTDIR').chmod('f/', 0o644)
    t.wants('ELOOP').chmod('loop', 0o644)
    t.wants('ELOOP').chmod('loop/n', 0o644)
    t.wants('ENAMETOOLONG').chmod(LONG, 0o644)
    t.wants('ENAMETOOLONG').chmod(`${'d/../'.repeat(818)}xxxxxx`, 0o644)
    t.wants('ok').chmod('d/', 0o711)
    t.wants('ok').chmod('', 0o755)
    t.sees('f', 'd')
  },
}

const others: Case[] = MODED.map((kind) => ({
  title: `chmod of another's ${kind} is EPERM and changes nothing`,
  needs: ['root'],
  given(place) {
    place.mkdir('d', 0o755)
    make(place, kind, 'd/n', 0o666)
    place.chown('d/n', 1000, 1000)
  },
  trial(t) {
    t.moves(['d/n'], () => {
      t.as(1001, 1000, () => t.wants('EPERM').chmod('d/n', 0o666))
      t.as(1001, 1001, () => t.wants('EPERM').chmod('d/n', 0o600), [1000])
    })
    t.as(1000, 1000, () => t.wants('ok').chmod('d/n', 0o607))
    t.sees('d/n')
    t.wants('ok').chown('d/n', 1001, -1)
    t.as(1000, 1000, () => t.wants('EPERM').chmod('d/n', 0o600))
    t.as(1001, 1001, () => t.wants('ok').chmod('d/n', 0o600))
    t.wants('ok').chmod('d', 0o700)
    t.as(1001, 1001, () => t.wants('EACCES').chmod('d/n', 0o600))
  },
}))

const groupAndSticky = (kind: KindMade): Case => ({
  title: `setgid and sticky set on a ${kind} by owners in and out of its group`,
  needs: ['root'],
  given(place) {
    make(place, kind, 'n', 0o755)
    place.chown('n', 1000, 2000)
  },
  trial(t) {
    for (const mode of [0o2755, 0o2745, 0o6777, 0o7777, 0o1755, 0o4755]) {
      for (const groups of [[], [2000]]) {
        t.as(1000, 1000, () => t.wants('ok').chmod('n', mode), groups)
        t.sees('n')
      }
      t.as(1000, 2000, () => t.wants('ok').chmod('n', mode))
      t.sees('n')
    }
    const open = () => t.calls.open('n')
    if (kind !== 'file' && kind !== 'directory') return
    t.as(1000, 1000, () => open()?.chmod(0o2775))
    t.sees('n')
  },
})

const asOwner: Case[] = USER_KINDS.filter((kind) => kind !== 'symlink').map((kind) => ({
  title: `chmod of a ${kind} that its owner may not read`,
  given: (place) => make(place, kind, 'n', 0o700),
  trial(t) {
    t.wants('ok').chmod('n', 0)
    t.wants('ok').chmod('n', 0o400)
    t.wants('ok').chmod('n', 0o3777)
    t.sees('n')
    t.wants('ok').chmod('n', 0)
    t.wants('ok').chmod('n', 0o700)
    t.sees('n')
  },
}))

const linked: Case = {
  title: 'chmod of one name of a file shows at the others',
  given(place) {
    make(place, 'file', 'a')
    place.mkdir('d')
    place.link('a', 'd/b')
    place.link('a', 'c')
  },
  trial(t) {
    t.moves(['a', 'd/b', 'c', 'd'], () => t.wants('ok').chmod('d/b', 0o640))
    t.sees('a', 'd/b', 'c')
    t.same('a', 'c')
    t.same('a', 'd/b')
  },
}

export const chmod: readonly Case[] = [
  ...everyMode,
  ...throughLink,
  ...notFollowed,
  ...ofDescriptor,
  descriptors,
  badPaths,
  ...others,
  ...MODED.map(groupAndSticky),
  ...asOwner,
  linked,
]
