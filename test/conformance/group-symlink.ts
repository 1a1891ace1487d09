// symlink(2) and readlink(2). What all calls that make names share is in group-making.ts.

import { O } from '../../lib/host/sys.ts'
import { put, text } from '../behaviour/act.ts'
import { at } from './at-calls.ts'
import { type Case, KINDS, make, needsOf } from './case.ts'

const ALL_BYTES = String.fromCharCode(...Array.from({ length: 255 }, (_, i) => i + 1))

const TARGETS: readonly string[] = [
  'x',
  '.',
  '..',
  '/',
  '//',
  'a//b/../c/',
  '/absolute/path',
  ' with space and\nline',
  ALL_BYTES,
  'n'.repeat(255),
  'n'.repeat(256),
  'n/'.repeat(1000),
  'n'.repeat(4094),
  'n'.repeat(4095),
]

const targets: Case = {
  title: 'a link holds the bytes it was given',
  given(place) {
    for (const [i, target] of TARGETS.entries()) place.symlink(target, `l${i}`)
  },
  trial(t) {
    for (const [i, target] of TARGETS.entries()) {
      t.says(`readlink ${i}`, () => t.place.readlink(`l${i}`) === target, 'true')
      t.says(`size ${i}`, () => t.place.lstat(`l${i}`).size === target.length, 'true')
      t.wants('ok').link(`l${i}`, `m${i}`)
      t.wants('ok').rename(`l${i}`, `n${i}`)
      t.says(`readlink ${i}`, () => t.place.readlink(`n${i}`) === target, 'true')
      t.wants('ok').symlink(target, `l${i}`)
      t.calls.readlink(`l${i}`)
      t.sees(`l${i}`, `m${i}`, `n${i}`)
    }
    t.wants('ENAMETOOLONG').symlink('n'.repeat(4096), 'long')
    t.wants('ENAMETOOLONG').symlink('n'.repeat(5000), 'long')
    t.wants('ENOENT').symlink('', 'empty')
    t.calls.list('')
  },
}

const sizes: Case = {
  title: 'readlink into a buffer of any size',
  given: (place) => place.symlink('target', 'l'),
  trial(t) {
    t.says('0', () => at.readlink(t.place, 'l', 0), 'EINVAL')
    for (const size of [1, 5, 6, 7, 4096])
      t.says(
        `${size}`,
        () => at.readlink(t.place, 'l', size),
        JSON.stringify('target'.slice(0, size)),
      )
    const held = t.place.open('l', O.PATH | O.NOFOLLOW)
    t.says('of a descriptor', () => t.place.readlink(`/proc/self/fd/${held.fd}/`))
    held.close()
  },
}

const otherKinds: Case[] = KINDS.filter((kind) => kind !== 'symlink').map((kind) => ({
  title: `readlink of a ${kind} is EINVAL`,
  needs: needsOf(kind),
  given: (place) => make(place, kind, 'n'),
  trial(t) {
    t.wants('EINVAL').readlink('n')
    t.wants('EEXIST').symlink('x', 'n')
    t.wants('ok').symlink('n', 'l')
    t.wants('"n"').readlink('l')
    t.calls.stat('l')
    t.calls.lstat('l')
    t.wants('EEXIST').symlink('x', 'l')
  },
}))

const follow: readonly Case[] = [
  {
    title: 'links are followed from where they lie',
    given(place) {
      place.mkdir('d')
      place.mkdir('d/e')
      put(place, 'f', 'outer')
      put(place, 'd/f', 'inner')
      place.symlink('f', 'd/same')
      place.symlink('../f', 'd/up')
      place.symlink('../../d/f', 'd/e/across')
      place.symlink('e/../../d/./f', 'd/winding')
      place.symlink('d', 'l')
      place.symlink('l/e', 'll')
    },
    trial(t) {
      const paths = ['d/same', 'd/up', 'd/e/across', 'd/winding', 'l/same', 'l/up', 'll/across']
      for (const path of [...paths, 'll/../f', 'l/e/../up'])
        t.says(`content of ${path}`, () => text(t.place, path))
      t.wants('ok').rename('d', 'moved')
      t.wants('ENOENT').open('l/same')
      t.says('moved along', () => text(t.place, 'moved/same'))
      t.says('leads where it led', () => text(t.place, 'moved/up'))
      t.wants('ENOENT').stat('moved/e/across')
      t.wants('ok').unlink('f')
      t.wants('ENOENT').stat('moved/up')
      t.wants('ok').unlink('moved/up')
      t.wants('ok').symlink('f', 'moved/up')
      t.says('another target', () => text(t.place, 'moved/up'))
    },
  },
  {
    title: 'what is done through a link is done to its target',
    given(place) {
      put(place, 'f', 'content')
      place.symlink('f', 'l')
      place.symlink('new', 'to-new')
    },
    trial(t) {
      put(t.place, 'l', 'through')
      t.says('content', () => text(t.place, 'f'))
      t.wants('ok').chmod('l', 0o604)
      t.wants('ok').truncate('l', 3)
      t.wants('ok').utimens('l', 5n, 7n)
      t.sees('l', 'f')
      t.says('times', () => [t.place.stat('l').mtime, t.place.lstat('f').mtime])
      t.moves(['l', 'f'], () => t.wants('ok').lutimens('l', 9n, 11n), 'l: mtime ctime, f: none')
      t.says('times', () => [t.place.lstat('l').atime, t.place.lstat('l').mtime])
      put(t.place, 'to-new', 'made')
      t.sees('to-new', 'new')
      t.wants('ok').unlink('l')
      t.sees('f')
      t.wants('ok').symlink('new', 'l')
      t.says('content', () => text(t.place, 'l'))
    },
  },
  {
    title: 'a link of somebody else in a sticky directory',
    needs: ['root'],
    given(place) {
      put(place, 'f', 'content')
      place.chmod('f', 0o666)
      for (const owner of [0, 1000, 1001]) {
        place.mkdir(`d${owner}`)
        place.chown(`d${owner}`, owner, owner)
        place.chmod(`d${owner}`, 0o1777)
        for (const linkOwner of [0, 1000, 1001]) {
          place.symlink('../f', `d${owner}/l${linkOwner}`)
          place.lchown(`d${owner}/l${linkOwner}`, linkOwner, linkOwner)
        }
      }
    },
    trial(t) {
      // fs.protected_symlinks decides; it does so alike in every filesystem.
      for (const dir of [0, 1000, 1001])
        for (const owner of [0, 1000, 1001])
          t.as(1000, 1000, () => {
            t.calls.stat(`d${dir}/l${owner}`)
            t.calls.readlink(`d${dir}/l${owner}`)
            t.calls.open(`d${dir}/l${owner}`, O.WRONLY)?.close()
          })
    },
  },
]

export const symlink: readonly Case[] = [targets, sizes, ...otherKinds, ...follow]
