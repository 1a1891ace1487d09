// Extended attributes: setxattr(2), getxattr(2), listxattr(2), removexattr(2).

import { O } from '../../lib/host/sys.ts'
import { put } from '../behaviour/act.ts'
import { type Case, KINDS, make, needsOf } from './case.ts'

const [CREATE, REPLACE] = [1, 2]
const SIZES = [0, 1, 2, 100, 255, 256, 1000, 2000, 3000]
const TOO_LARGE = [65_536, 65_537]
/** With the name space, the longest name and one too long. */
const LONGEST = `user.${'n'.repeat(250)}`
const NAMES = ['', 'user', 'user.', 'nothing', 'nothing.at.all', '.', 'system.', 'system.nothing']
const TRUSTED = 'trusted.it'

const eachKind: Case[] = KINDS.map((kind) => ({
  title: `attributes of a ${kind}`,
  needs: needsOf(kind),
  given: (place) => make(place, kind, 'n', 0o755),
  trial(t) {
    for (const name of ['user.a', TRUSTED, 'security.it', 'system.it', 'it']) {
      t.calls.setxattr('n', name, 'value')
      t.calls.getxattr('n', name)
      t.calls.setxattr('n', name, 'again', CREATE)
      t.calls.setxattr('n', name, 'other', REPLACE)
      t.calls.getxattr('n', name)
      t.calls.listxattr('n')
      t.calls.removexattr('n', name)
      t.calls.removexattr('n', name)
    }
    t.sees('n')
  },
}))

const flags: Case = {
  title: 'XATTR_CREATE, XATTR_REPLACE, both, and others',
  given(place) {
    put(place, 'f', 'x')
    place.setxattr('f', 'user.old', 'was there')
  },
  trial(t) {
    t.wants('EEXIST').setxattr('f', 'user.old', 'v', CREATE)
    t.wants('ENODATA').setxattr('f', 'user.new', 'v', REPLACE)
    t.wants('ok').setxattr('f', 'user.new', 'v', CREATE)
    t.wants('ok').setxattr('f', 'user.old', 'v', REPLACE)
    t.calls.setxattr('f', 'user.new', 'w', CREATE | REPLACE)
    t.calls.setxattr('f', 'user.third', 'w', CREATE | REPLACE)
    t.wants('EINVAL').setxattr('f', 'user.new', 'v', 4)
    t.calls.listxattr('f')
    t.calls.getxattr('f', 'user.old')
    t.wants('ok').removexattr('f', 'user.old')
    t.wants('ENODATA').removexattr('f', 'user.old')
    t.wants('ENODATA').setxattr('f', 'user.old', 'v', REPLACE)
    t.wants('ok').setxattr('f', 'user.old', '', CREATE)
    t.calls.getxattr('f', 'user.old')
  },
}

const names: Case = {
  title: 'names that are long, odd or none',
  given: (place) => put(place, 'f', 'x'),
  trial(t) {
    t.wants('ok').setxattr('f', LONGEST, 'long')
    t.calls.getxattr('f', LONGEST)
    t.calls.listxattr('f')
    t.wants('ok').removexattr('f', LONGEST)
    t.says('too long', () => t.place.setxattr('f', `${LONGEST}n`, 'v'), 'ERANGE')
    for (const name of [...NAMES, 'user.with space', 'user.\xff\xfe', 'user.user.', 'USER.x']) {
      t.calls.setxattr('f', name, 'v')
      t.calls.getxattr('f', name)
      t.calls.removexattr('f', name)
    }
    t.calls.listxattr('f')
  },
}

const sizes: Case = {
  title: 'values of each size',
  given: (place) => put(place, 'f', 'x'),
  trial(t) {
    for (const size of SIZES) {
      t.wants('ok').setxattr('f', 'user.v', 'v'.repeat(size))
      t.calls.getxattr('f', 'user.v')
    }
    for (const size of TOO_LARGE) t.calls.setxattr('f', 'user.large', 'v'.repeat(size))
    t.calls.getxattr('f', 'user.v')
    t.calls.listxattr('f')
  },
}

const many: Case = {
  title: 'many attributes of one file',
  given(place) {
    put(place, 'f', 'x')
    for (let i = 0; i < 20; i++) place.setxattr('f', `user.below${i}`, `value ${i}`)
  },
  trial(t) {
    for (let i = 0; i < 20; i++) t.calls.setxattr('f', `user.above${i}`, `value ${i}`)
    for (let i = 0; i < 20; i += 3) t.calls.removexattr('f', `user.below${i}`)
    t.calls.listxattr('f')
    t.calls.getxattr('f', 'user.below1')
    t.calls.getxattr('f', 'user.below3')
  },
}

const times: Case = {
  title: 'setting and removing move ctime alone',
  given(place) {
    put(place, 'f', 'x')
    place.mkdir('d')
  },
  trial(t) {
    for (const path of ['f', 'd']) {
      t.moves([path], () => t.calls.setxattr(path, 'user.a', 'b'), `${path}: ctime`)
      t.moves([path], () => t.calls.getxattr(path, 'user.a'), `${path}: none`)
      t.moves([path], () => t.calls.setxattr(path, 'user.a', 'b', CREATE), `${path}: none`)
      t.moves([path], () => t.calls.removexattr(path, 'user.a'), `${path}: ctime`)
      t.moves([path], () => t.calls.removexattr(path, 'user.a'), `${path}: none`)
    }
  },
}

const descriptors: Case = {
  title: 'attributes by descriptor, also of a file without a name',
  given: (place) => put(place, 'f', 'x'),
  trial(t) {
    const file = t.calls.open('f')
    file?.setxattr('user.a', 'by descriptor')
    t.calls.getxattr('f', 'user.a')
    t.calls.unlink('f')
    file?.getxattr('user.a')
    file?.setxattr('user.b', 'without a name')
    file?.getxattr('user.b')
    file?.getxattr('user.c')
  },
}

const rights: Case[] = (['file', 'directory'] as const).map((kind) => ({
  title: `who may use attributes of a ${kind}`,
  needs: ['root'],
  given(place) {
    for (const mode of [0o644, 0o666, 0o600, 0o222, 0o1777, 0o777]) {
      make(place, kind, `n${mode}`)
      place.setxattr(`n${mode}`, 'user.a', 'value')
      place.chown(`n${mode}`, 1000, 2000)
      place.chmod(`n${mode}`, mode)
    }
  },
  trial(t) {
    for (const mode of [0o644, 0o666, 0o600, 0o222, 0o1777, 0o777]) {
      for (const uid of [1000, 1001]) {
        t.as(uid, 1000, () => {
          t.calls.getxattr(`n${mode}`, 'user.a')
          t.calls.setxattr(`n${mode}`, 'user.b', 'new')
          t.calls.removexattr(`n${mode}`, 'user.b')
          t.calls.listxattr(`n${mode}`)
          t.calls.setxattr(`n${mode}`, 'security.it', 'new')
        })
      }
    }
  },
}))

const readOnly: Case = {
  title: 'an own file of mode 0444 and 0222',
  given(place) {
    for (const name of ['r', 'w']) {
      put(place, name, 'x')
      place.setxattr(name, 'user.a', 'value')
    }
  },
  trial(t) {
    t.calls.chmod('r', 0o444)
    t.calls.chmod('w', 0o222)
    for (const name of ['r', 'w']) {
      t.calls.getxattr(name, 'user.a')
      t.calls.setxattr(name, 'user.b', 'new')
      t.calls.removexattr(name, 'user.a')
      t.calls.listxattr(name)
    }
  },
}

const shared: Case = {
  title: 'the names of a file share its attributes, which stay over rename and copy-up',
  given(place) {
    put(place, 'a', 'x')
    place.setxattr('a', 'user.a', 'value')
    place.link('a', 'b')
    place.mkdir('d')
    place.setxattr('d', 'user.d', 'value')
  },
  trial(t) {
    t.calls.setxattr('b', 'user.b', 'more')
    t.calls.listxattr('a')
    t.calls.rename('a', 'd/c')
    t.calls.rename('d', 'e')
    t.calls.getxattr('e/c', 'user.b')
    t.calls.getxattr('e', 'user.d')
    t.calls.open('b', O.WRONLY | O.TRUNC)
    t.calls.listxattr('b')
    t.calls.removexattr('e/c', 'user.a')
    t.calls.listxattr('b')
  },
}

const missing: Case = {
  title: 'attributes of what is not there',
  given(place) {
    put(place, 'f', 'x')
    place.symlink('f', 'l')
    place.symlink('loop', 'loop')
  },
  trial(t) {
    for (const path of ['n', 'f/n', 'l/n', 'loop/n', 'x'.repeat(256), 'l', 'loop']) {
      t.calls.getxattr(path, 'user.a')
      t.calls.setxattr(path, 'user.a', 'b')
      t.calls.removexattr(path, 'user.a')
      t.calls.listxattr(path)
    }
  },
}

export const xattrs: readonly Case[] = [
  ...eachKind,
  flags,
  names,
  sizes,
  many,
  times,
  descriptors,
  ...rights,
  readOnly,
  shared,
  missing,
]
