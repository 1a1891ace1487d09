// Open files while their names change: renamed, removed, replaced, changed for the first time.

import assert from 'node:assert/strict'
import { O } from '../../lib/host/sys.ts'
import { has, names, put, refuses, removeTree, text, using, whole } from './act.ts'
import type { Behaviours } from './behaviours.ts'
import { BIG, MANY, pattern } from './start.ts'

export const OPEN: Behaviours = {
  'an open file lives on after its name is removed'(place) {
    const file = place.open('readme', O.RDWR)
    place.unlink('readme')
    assert.equal(whole(file), 'read me\n')
    file.pwrite('still', 0)
    assert.equal(whole(file), 'stillme\n')
    assert.equal(file.stat().nlink, 0)
    assert.equal(has(place, 'readme'), false)
    file.close()
  },

  'a file opened for reading lives on after its name is removed'(place) {
    const file = place.open('big')
    place.unlink('big')
    assert.equal(whole(file) === pattern(BIG), true)
    assert.equal(file.stat().nlink, 0)
    assert.equal(file.stat().size, BIG)
    file.close()
  },

  'a removed open file still takes every change'(place) {
    const file = place.open('dir/a', O.RDWR)
    place.unlink('dir/a')
    file.pwrite('0123456789', 0)
    file.truncate(5)
    file.chmod(0o600)
    file.utimens(1_000_000_001n, 2_000_000_002n)
    file.setxattr('user.x', 'y')
    file.sync()
    const facts = file.stat()
    assert.equal(whole(file), '01234')
    assert.deepEqual(
      [facts.nlink, facts.size, facts.mode, facts.mtime, facts.atime],
      [0, 5, 0o600, 2_000_000_002n, 1_000_000_001n],
    )
    assert.equal(file.getxattr('user.x')?.latin1Slice(), 'y')
    file.close()
    assert.deepEqual(names(place, 'dir'), ['b', 'c', 'deep'])
  },

  'a removed file that is opened for reading can be changed by its descriptor'(place) {
    const file = place.open('dir/a')
    place.unlink('dir/a')
    file.chmod(0o640)
    assert.equal(file.stat().mode, 0o640)
    assert.equal(whole(file), 'a\n')
    file.close()
  },

  'a new file takes a removed name while the old one is open'(place) {
    const old = place.open('readme', O.RDWR)
    place.unlink('readme')
    put(place, 'readme', 'another')
    old.pwrite('OLD', 0)
    assert.equal(whole(old), 'OLDd me\n')
    assert.equal(text(place, 'readme'), 'another')
    assert.notEqual(old.stat().ino, place.stat('readme').ino)
    old.close()
    assert.equal(text(place, 'readme'), 'another')
  },

  'an open file follows its rename'(place) {
    const file = place.open('readme', O.RDWR)
    place.rename('readme', 'dir/renamed')
    file.pwrite('READ', 0)
    assert.equal(text(place, 'dir/renamed'), 'READ me\n')
    assert.equal(file.stat().ino, place.stat('dir/renamed').ino)
    file.close()
    assert.equal(text(place, 'dir/renamed'), 'READ me\n')
  },

  'a file opened for reading sees what is written after its rename'(place) {
    const file = place.open('readme')
    place.rename('readme', 'renamed')
    put(place, 'renamed', 'new content')
    assert.equal(whole(file), 'new content')
    file.close()
  },

  'an open file that is replaced keeps its own bytes'(place) {
    const old = place.open('readme', O.RDWR)
    place.rename('dir/a', 'readme')
    assert.equal(whole(old), 'read me\n')
    old.pwrite('mine', 0)
    assert.equal(text(place, 'readme'), 'a\n')
    assert.equal(whole(old), 'mine me\n')
    assert.equal(old.stat().nlink, 0)
    old.close()
  },

  'an open file follows the rename of its directory'(place) {
    const file = place.open('dir/deep/x', O.RDWR)
    place.rename('dir', 'moved')
    file.pwrite('X', 0)
    assert.equal(text(place, 'moved/deep/x'), 'X\n')
    refuses('ENOENT', () => place.open('dir/deep/x'))
    file.close()
  },

  'a file written after the rename of its directory is changed in the new place'(place) {
    const file = place.open('dir/deep/x')
    place.rename('dir/deep', 'deep')
    put(place, 'deep/x', 'second')
    assert.equal(whole(file), 'second')
    file.close()
    assert.deepEqual(names(place, 'deep'), ['er', 'x'])
  },

  'open files follow an exchange'(place) {
    const a = place.open('dir/a', O.RDWR)
    const b = place.open('dir/b', O.RDWR)
    place.rename('dir/a', 'dir/b', 2)
    a.pwrite('A', 0)
    b.pwrite('B', 0)
    assert.equal(text(place, 'dir/a'), 'B\n')
    assert.equal(text(place, 'dir/b'), 'A\n')
    a.close()
    b.close()
  },

  'chmod of a file that is open for reading shows on the descriptor'(place) {
    const file = place.open('readme')
    place.chmod('readme', 0o600)
    assert.equal(file.stat().mode, 0o600)
    assert.equal(file.stat().ino, place.stat('readme').ino)
    file.close()
  },

  'truncation of a file that is open shows on the descriptor'(place) {
    const file = place.open('big')
    assert.equal(file.pread(4, 0).latin1Slice(), pattern(4))
    place.truncate('big', 10)
    assert.equal(whole(file), pattern(10))
    assert.equal(file.stat().size, 10)
    file.close()
  },

  'a second name of an open file sees what the first one writes'(place) {
    const file = place.open('one', O.RDWR)
    place.unlink('one')
    file.pwrite('ONE', 0)
    assert.equal(text(place, 'two'), 'ONE file, three names\n')
    assert.equal(text(place, 'links/three'), 'ONE file, three names\n')
    assert.equal(file.stat().nlink, 2)
    file.close()
  },

  'a directory that is open and removed lists nothing'(place) {
    const directory = place.opendir('empty-dir')
    place.rmdir('empty-dir')
    assert.deepEqual(directory.some(), [])
    directory.close()
    assert.equal(has(place, 'empty-dir'), false)
  },

  'a tree is removed while a file in it is open'(place) {
    const file = place.open('dir/deep/er/y', O.RDWR)
    removeTree(place, 'dir')
    file.pwrite('Y', 0)
    assert.equal(whole(file), 'Y\n')
    place.mkdir('dir')
    assert.deepEqual(names(place, 'dir'), [])
    file.close()
    assert.deepEqual(names(place, 'dir'), [])
  },

  'thirty files stay open at once, each with its own bytes'(place) {
    const files = Array.from({ length: MANY }, (_, i) =>
      place.open(`many/${String(i).padStart(3, '0')}`, O.RDWR),
    )
    for (const [i, file] of files.entries()) file.pwrite(`#${i}#`, 0)
    files.forEach((_, i) => {
      if (i % 2 === 0) place.unlink(`many/${String(i).padStart(3, '0')}`)
    })
    files.forEach((file, i) => {
      assert.equal(file.pread(100, 0).latin1Slice().slice(0, `#${i}#`.length), `#${i}#`)
      file.close()
    })
    using(place.open('many/029'), (file) => assert.equal(whole(file), '#29#'))
  },
}
