// Fifos, sockets, devices, nameless files, and facts of the filesystem.

import assert from 'node:assert/strict'
import { O, S } from '../../lib/host/sys.ts'
import { has, names, put, refuses, text, using, whole } from './act.ts'
import type { Behaviours } from './behaviours.ts'

export const SPECIAL: Behaviours = {
  'a fifo and a socket can be made'(place) {
    place.mknod('p', S.IFIFO | 0o644)
    place.mknod('s', S.IFSOCK | 0o644)
    assert.equal(place.lstat('p').kind, 'fifo')
    assert.equal(place.lstat('s').kind, 'socket')
    assert.equal(place.lstat('s').mode, 0o644)
  },

  'mknod makes regular files'(place) {
    place.mknod('f', S.IFREG | 0o640)
    assert.equal(place.lstat('f').kind, 'file')
    assert.equal(place.lstat('f').mode, 0o640)
    put(place, 'f', 'x')
    assert.equal(text(place, 'f'), 'x')
  },

  'devices keep their numbers'(place) {
    place.needs('root')
    assert.equal(place.lstat('null').rdev, 0x103)
    place.mknod('c', S.IFCHR | 0o600, 0x501)
    place.mknod('b', S.IFBLK | 0o600, 0x702)
    assert.deepEqual([place.lstat('c').kind, place.lstat('c').rdev], ['character', 0x501])
    assert.deepEqual([place.lstat('b').kind, place.lstat('b').rdev], ['block', 0x702])
    place.chmod('null', 0o622)
    place.rename('null', 'dir/null')
    assert.equal(place.lstat('dir/null').rdev, 0x103)
    assert.equal(place.lstat('dir/null').mode, 0o622)
  },

  'a device works'(place) {
    place.needs('root', 'kernel')
    using(place.open('null', O.RDWR), (file) => {
      assert.equal(file.write('swallowed'), 9)
      assert.equal(file.read(10).length, 0)
    })
  },

  'a fifo carries bytes from writer to reader'(place) {
    place.needs('kernel')
    const reader = place.open('fifo', O.RDONLY | O.NONBLOCK)
    const writer = place.open('fifo', O.WRONLY | O.NONBLOCK)
    writer.write('through')
    assert.equal(reader.read(100).latin1Slice(), 'through')
    writer.close()
    reader.close()
  },

  'a fifo that is changed stays a fifo'(place) {
    place.chmod('fifo', 0o666)
    place.utimens('fifo', 1n, 2n)
    assert.deepEqual(
      [place.lstat('fifo').kind, place.lstat('fifo').mode, place.lstat('fifo').mtime],
      ['fifo', 0o666, 2n],
    )
    place.link('fifo', 'dir/fifo')
    assert.equal(place.lstat('dir/fifo').nlink, 2)
    place.unlink('fifo')
    assert.equal(place.lstat('dir/fifo').kind, 'fifo')
  },

  'a nameless file works and leaves nothing'(place) {
    const before = names(place, 'dir')
    using(place.tmpfile('dir'), (file) => {
      file.write('nameless')
      assert.equal(whole(file), 'nameless')
      assert.equal(file.stat().nlink, 0)
      assert.deepEqual(names(place, 'dir'), before)
    })
    assert.deepEqual(names(place, 'dir'), before)
  },

  'a nameless file that its owner may not open works'(place) {
    using(place.tmpfile('dir', O.RDWR, 0), (file) => {
      file.write('mine')
      assert.equal(whole(file), 'mine')
      file.linkTo('dir/named')
    })
    assert.equal(place.lstat('dir/named').mode, 0)
    place.chmod('dir/named', 0o600)
    assert.equal(text(place, 'dir/named'), 'mine')
  },

  'a nameless file can be given a name'(place) {
    using(place.tmpfile('dir', O.RDWR, 0o640), (file) => {
      file.write('now named')
      file.linkTo('dir/named')
      assert.equal(file.stat().nlink, 1)
      assert.equal(file.stat().ino, place.stat('dir/named').ino)
    })
    assert.equal(text(place, 'dir/named'), 'now named')
    assert.equal(place.stat('dir/named').mode, 0o640)
  },

  'a nameless file takes a deleted name, and not one that is there'(place) {
    place.unlink('dir/a')
    using(place.tmpfile(''), (file) => {
      file.write('again')
      refuses('EEXIST', () => file.linkTo('dir/b'))
      file.linkTo('dir/a')
      file.linkTo('gone')
    })
    assert.equal(text(place, 'dir/a'), 'again')
    assert.equal(place.stat('gone').nlink, 2)
  },

  'statfs tells the longest name'(place) {
    const facts = place.statfs('')
    assert.equal(facts.namelen, 255)
    assert.ok(facts.blocks > 0 && facts.bsize > 0)
  },

  'access tells what root may do'(place) {
    place.needs('root', 'kernel')
    place.access('secret', 6)
    place.access('run.sh', 1)
    refuses('EACCES', () => place.access('readme', 1))
    refuses('ENOENT', () => place.access('nothing', 0))
    assert.equal(has(place, 'nothing'), false)
  },
}
