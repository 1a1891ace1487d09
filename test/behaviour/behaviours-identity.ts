// Inode numbers and link counts: one number a file, and the same one for its whole life.

import assert from 'node:assert/strict'
import { O } from '../../lib/host/sys.ts'
import { append, put, using } from './act.ts'
import type { Behaviours } from './behaviours.ts'
import { seeTree } from './walk.ts'

export const IDENTITY: Behaviours = {
  'no two files have one inode number'(place) {
    const owners = new Map<number, string>()
    for (const [path, seen] of seeTree(place)) {
      if (['one', 'two', 'links/three'].includes(path) || path.startsWith('below/')) continue
      assert.equal(owners.get(seen.ino), undefined, `${path} and ${owners.get(seen.ino)}`)
      owners.set(seen.ino, path)
    }
  },

  'a first change keeps the inode number'(place) {
    const acts: [string, () => void][] = [
      ['readme', () => append(place, 'readme', 'x')],
      ['empty', () => place.chmod('empty', 0o600)],
      ['secret', () => place.utimens('secret', 1n, 2n)],
      ['sealed', () => place.chmod('sealed', 0o400)],
      ['tagged', () => place.setxattr('tagged', 'user.x', 'y')],
      ['old', () => place.truncate('old', 3)],
      ['big', () => place.open('big', O.WRONLY | O.TRUNC).close()],
      ['dir', () => place.chmod('dir', 0o700)],
      ['dir/deep', () => put(place, 'dir/deep/new', '')],
      ['link', () => place.lutimens('link', 1n, 2n)],
      ['fifo', () => place.chmod('fifo', 0o600)],
    ]
    for (const [path, act] of acts) {
      const before = place.lstat(path).ino
      act()
      assert.equal(place.lstat(path).ino, before, path)
    }
  },

  'a rename keeps the inode number'(place) {
    for (const [from, to] of [
      ['readme', 'dir/renamed'],
      ['link', 'renamed-link'],
      ['other', 'dir/other'],
      ['dir', 'renamed-dir'],
      ['alone', 'renamed-alone'],
      ['renamed-dir/deep/er', 'er'],
    ] as const) {
      const before = place.lstat(from).ino
      place.rename(from, to)
      assert.equal(place.lstat(to).ino, before, from)
    }
  },

  'what lies in a renamed directory keeps its inode numbers'(place) {
    const before = seeTree(place, 'dir')
    place.rename('dir', 'moved')
    const after = seeTree(place, 'moved')
    assert.deepEqual([...after.keys()], [...before.keys()])
    for (const [path, seen] of before) assert.equal(after.get(path)?.ino, seen.ino, path)
  },

  'a new file never gets the number of one that lives'(place) {
    const living = new Map<number, string>()
    for (const [path, seen] of seeTree(place)) living.set(seen.ino, path)
    for (let i = 0; i < 200; i++) {
      put(place, `new-${i}`, '')
      const { ino } = place.lstat(`new-${i}`)
      assert.equal(living.get(ino), undefined, `new-${i} and ${living.get(ino)}`)
      living.set(ino, `new-${i}`)
      if (i % 3 === 0) {
        place.unlink(`new-${i}`)
        living.delete(ino)
      }
    }
  },

  'a replaced file has another inode number'(place) {
    const before = place.stat('readme').ino
    put(place, 'beside', 'x')
    const beside = place.stat('beside').ino
    place.rename('beside', 'readme')
    assert.equal(place.stat('readme').ino, beside)
    assert.notEqual(beside, before)
  },

  'a descriptor and its name tell one inode number'(place) {
    using(place.open('readme', O.RDWR), (file) => {
      assert.equal(file.stat().ino, place.stat('readme').ino)
      file.write('x')
      assert.equal(file.stat().ino, place.stat('readme').ino)
      place.rename('readme', 'dir/x')
      assert.equal(file.stat().ino, place.stat('dir/x').ino)
    })
  },

  'inode numbers are the same however often they are asked for'(place) {
    const numbers = () => [...seeTree(place)].map(([path, seen]) => `${path} ${seen.ino}`)
    assert.deepEqual(numbers(), numbers())
  },

  'a file has one name more for each link and one less for each unlink'(place) {
    put(place, 'f', 'x')
    for (let i = 1; i <= 10; i++) {
      place.link('f', `f${i}`)
      assert.equal(place.stat('f').nlink, 1 + i)
    }
    place.link('readme', 'r1')
    place.link('r1', 'dir/r2')
    assert.equal(place.stat('readme').nlink, 3)
    place.unlink('readme')
    assert.equal(place.stat('dir/r2').nlink, 2)
    for (let i = 1; i <= 10; i++) place.unlink(`f${i}`)
    assert.equal(place.stat('f').nlink, 1)
  },
}
