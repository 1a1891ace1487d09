// Modes, owners, times, permissions.

import assert from 'node:assert/strict'
import { O, S } from '../../lib/host/sys.ts'
import { append, isNow, names, put, refuses, text, tick, using } from './act.ts'
import type { Behaviours } from './behaviours.ts'
import { LONG_AGO } from './draw.ts'
import { BIG, pattern } from './start.ts'

export const ATTRIBUTES: Behaviours = {
  'chmod changes the mode and nothing else'(place) {
    const before = place.stat('big')
    place.chmod('big', 0o4711)
    const after = place.stat('big')
    assert.equal(after.mode, 0o4711)
    assert.deepEqual(
      [after.size, after.mtime, after.uid, after.gid, after.ino, after.nlink],
      [before.size, before.mtime, before.uid, before.gid, before.ino, before.nlink],
    )
    assert.equal(text(place, 'big') === pattern(BIG), true)
  },

  'chmod moves ctime'(place) {
    const before = place.stat('readme')
    tick()
    place.chmod('readme', 0o600)
    assert.notEqual(place.stat('readme').ctime, before.ctime)
    isNow(place.stat('readme').ctime)
  },

  'chmod of a directory keeps what is in it'(place) {
    place.chmod('dir', 0o700)
    place.chmod('dir/deep', 0o1777)
    assert.equal(place.stat('dir').mode, 0o700)
    assert.equal(place.stat('dir/deep').mode, 0o1777)
    assert.deepEqual(names(place, 'dir'), ['a', 'b', 'c', 'deep'])
    assert.deepEqual(names(place, 'dir/deep'), ['er', 'x'])
    assert.equal(place.stat('dir').mtime, LONG_AGO)
  },

  'chmod through a link changes the target'(place) {
    place.chmod('link', 0o601)
    assert.equal(place.stat('readme').mode, 0o601)
    assert.equal(place.lstat('link').mode, 0o777)
  },

  'chown changes user, group, or either alone'(place) {
    place.needs('root')
    place.chown('readme', 1001, 1002)
    assert.deepEqual([place.stat('readme').uid, place.stat('readme').gid], [1001, 1002])
    place.chown('readme', -1, 1003)
    assert.deepEqual([place.stat('readme').uid, place.stat('readme').gid], [1001, 1003])
    place.chown('readme', 1004, -1)
    assert.deepEqual([place.stat('readme').uid, place.stat('readme').gid], [1004, 1003])
    assert.equal(text(place, 'readme'), 'read me\n')
    assert.equal(place.stat('readme').mtime, LONG_AGO)
  },

  'chown of directories, links and special files'(place) {
    place.needs('root')
    for (const name of ['dir', 'link', 'dangling', 'fifo', 'null', 'empty-dir']) {
      place.lchown(name, 11, 22)
      assert.deepEqual([place.lstat(name).uid, place.lstat(name).gid], [11, 22], name)
    }
    assert.equal(place.stat('readme').uid, 0)
    assert.deepEqual(names(place, 'dir'), ['a', 'b', 'c', 'deep'])
  },

  'large user and group numbers are kept'(place) {
    place.needs('root')
    place.chown('readme', 4_000_000_000, 3_000_000_000)
    assert.equal(place.stat('readme').uid, 4_000_000_000)
    assert.equal(place.stat('readme').gid, 3_000_000_000)
  },

  'a first change keeps owner, mode, times and attributes'(place) {
    const before = place.stat('owned')
    place.setxattr('owned', 'user.x', 'y')
    const after = place.stat('owned')
    assert.deepEqual(
      [after.mode, after.uid, after.gid, after.mtime, after.atime, after.size],
      [before.mode, before.uid, before.gid, before.mtime, before.atime, before.size],
    )
    append(place, 'tagged', '+')
    assert.equal(place.getxattr('tagged', 'user.colour')?.latin1Slice(), 'blue')
    assert.equal(place.stat('tagged').mode, 0o644)
  },

  'times are kept to the nanosecond'(place) {
    for (const path of ['readme', 'dir', 'dir/deep/x', 'fifo', 'empty-dir']) {
      place.utimens(path, 1_111_111_111_111_111_111n, 999_999_999_999_999_999n)
      assert.equal(place.stat(path).atime, 1_111_111_111_111_111_111n, path)
      assert.equal(place.stat(path).mtime, 999_999_999_999_999_999n, path)
    }
  },

  'times before 1970 and after 2038 are kept'(place) {
    place.utimens('readme', -1n, -5_000_000_001n)
    assert.deepEqual(
      [place.stat('readme').atime, place.stat('readme').mtime],
      [-1n, -5_000_000_001n],
    )
    place.utimens('dir', 5_000_000_000_000_000_007n, 4_294_967_296_000_000_001n)
    assert.equal(place.stat('dir').atime, 5_000_000_000_000_000_007n)
    assert.equal(place.stat('dir').mtime, 4_294_967_296_000_000_001n)
  },

  'one time can be set and the other kept'(place) {
    place.utimens('readme', 5n, 'keep')
    assert.deepEqual([place.stat('readme').atime, place.stat('readme').mtime], [5n, LONG_AGO])
    place.utimens('readme', 'keep', 7n)
    assert.deepEqual([place.stat('readme').atime, place.stat('readme').mtime], [5n, 7n])
    place.utimens('readme', 'now', 'keep')
    isNow(place.stat('readme').atime)
    assert.equal(place.stat('readme').mtime, 7n)
  },

  'times set through a descriptor outlive its close'(place) {
    using(place.open('readme', O.RDWR), (file) => {
      file.write('R')
      file.utimens(3_000_000_003n, 4_000_000_004n)
    })
    assert.equal(place.stat('readme').mtime, 4_000_000_004n)
    assert.equal(place.stat('readme').atime, 3_000_000_003n)
  },

  'a read after a change moves the access time, and the next does not'(place) {
    place.needs('kernel')
    const read = (flags = O.RDONLY) => using(place.open('new', flags), (file) => file.read(3))
    put(place, 'new', 'new')
    place.utimens('new', LONG_AGO, 'keep')
    tick()
    read()
    const { atime } = place.stat('new')
    isNow(atime)
    tick()
    read()
    assert.equal(place.stat('new').atime, atime)
  },

  'neither a write nor O_NOATIME moves the access time'(place) {
    place.needs('kernel')
    const { atime } = place.stat('dir/a')
    using(place.open('dir/a', O.RDONLY | O.NOATIME), (file) => file.read(1))
    assert.equal(place.stat('dir/a').atime, atime)
    const old = place.stat('dir/b').atime
    using(place.open('dir/b', O.WRONLY), (file) => file.pwrite('+', 1))
    assert.equal(place.stat('dir/b').atime, old)
    assert.equal(text(place, 'dir/b'), 'b+')
  },

  'the times of a link are its own'(place) {
    place.lutimens('link', 1_000_000_001n, 2_000_000_002n)
    assert.equal(place.lstat('link').mtime, 2_000_000_002n)
    assert.equal(place.stat('readme').mtime, LONG_AGO)
    assert.equal(place.readlink('link'), 'readme')
  },

  'a write moves mtime and ctime to the present'(place) {
    append(place, 'readme', 'x')
    isNow(place.stat('readme').mtime)
    isNow(place.stat('readme').ctime)
  },

  'truncation moves mtime, and so does one to the same size'(place) {
    place.truncate('readme', 3)
    isNow(place.stat('readme').mtime)
    place.open('dir/a', O.WRONLY | O.TRUNC).close()
    isNow(place.stat('dir/a').mtime)
  },

  'what is new carries the present time'(place) {
    put(place, 'f', '')
    place.mkdir('d')
    place.symlink('t', 'l')
    place.mknod('p', S.IFIFO | 0o600)
    for (const name of ['f', 'd', 'l', 'p']) {
      isNow(place.lstat(name).mtime)
      isNow(place.lstat(name).atime)
    }
  },

  'a rename keeps mtime'(place) {
    place.rename('readme', 'dir/renamed')
    assert.equal(place.stat('dir/renamed').mtime, LONG_AGO)
    place.rename('other', 'dir/other')
    assert.equal(place.stat('dir/other').mtime, LONG_AGO + 5_000_000_005n)
  },

  'umask takes bits away from what is new'(place) {
    place.umask(0o027, () => {
      place.open('f', O.WRONLY | O.CREAT, 0o666).close()
      place.mkdir('d', 0o777)
      place.mknod('p', S.IFIFO | 0o666)
    })
    assert.deepEqual(
      ['f', 'd', 'p'].map((name) => place.stat(name).mode),
      [0o640, 0o750, 0o640],
    )
    place.umask(0, () => place.open('g', O.WRONLY | O.CREAT, 0o666).close())
    assert.equal(place.stat('g').mode, 0o666)
  },

  'a new file may be closed to its own maker'(place) {
    const file = place.open('closed', O.RDWR | O.CREAT, 0o400)
    file.write('written')
    assert.equal(place.stat('closed').mode, 0o400)
    file.close()
    assert.equal(text(place, 'closed'), 'written')
    place.mkdir('shut', 0o500)
    assert.equal(place.stat('shut').mode, 0o500)
  },

  'setgid on a directory passes its group on'(place) {
    place.needs('root')
    put(place, 'shared/f', '')
    place.mkdir('shared/d')
    place.symlink('t', 'shared/l')
    place.mkdir('shared/d/e')
    for (const name of ['f', 'd', 'l', 'd/e'])
      assert.equal(place.lstat(`shared/${name}`).gid, 2345, name)
    assert.equal(place.stat('shared/d').mode & S.ISGID, S.ISGID)
    assert.equal(place.stat('shared/d/e').mode & S.ISGID, S.ISGID)
    assert.equal(place.stat('shared/f').mode & S.ISGID, 0)
  },

  'what is new belongs to who makes it'(place) {
    place.needs('root')
    place.chmod('empty-dir', 0o777)
    place.as(1234, 2345, () => {
      put(place, 'empty-dir/f', 'mine')
      place.mkdir('empty-dir/d')
      place.symlink('t', 'empty-dir/l')
      place.mknod('empty-dir/p', S.IFIFO | 0o600)
    })
    for (const name of ['f', 'd', 'l', 'p']) {
      const { uid, gid } = place.lstat(`empty-dir/${name}`)
      assert.deepEqual([uid, gid], [1234, 2345], name)
    }
  },

  'modes are enforced for others'(place) {
    place.needs('root', 'kernel')
    place.as(1234, 1234, () => {
      assert.equal(text(place, 'readme'), 'read me\n')
      refuses('EACCES', () => place.open('secret'))
      refuses('EACCES', () => place.open('readme', O.RDWR))
      refuses('EACCES', () => put(place, 'new', ''))
      refuses('EACCES', () => place.unlink('readme'))
      refuses('EACCES', () => place.list('dir/deep'))
      refuses('EACCES', () => place.access('secret', 4))
      refuses('EPERM', () => place.chmod('readme', 0o777))
      refuses('EPERM', () => place.chown('readme', 1234, 1234))
      refuses('EPERM', () => place.utimens('readme', 1n, 1n))
    })
  },

  'an owner may change what a stranger may not'(place) {
    place.needs('root', 'kernel')
    place.as(1234, 1234, () => {
      append(place, 'owned', 'more')
      place.chmod('owned', 0o600)
      place.utimens('owned', 1n, 2n)
      append(place, 'owned', 'last')
    })
    assert.equal(text(place, 'owned'), 'owned\nmorelast')
    assert.deepEqual([place.stat('owned').uid, place.stat('owned').gid], [1234, 2345])
  },

  'in a sticky directory only the owner removes'(place) {
    place.needs('root', 'kernel')
    refuses('EPERM', () => place.as(5555, 5555, () => place.unlink('sticky/mine')))
    refuses('EPERM', () => place.as(5555, 5555, () => place.rename('sticky/mine', 'sticky/yours')))
    place.as(5555, 5555, () => put(place, 'sticky/theirs', ''))
    place.as(1234, 1234, () => place.unlink('sticky/mine'))
    assert.deepEqual(names(place, 'sticky'), ['theirs'])
  },

  'a write by who is not root clears setuid and setgid'(place) {
    place.needs('root')
    place.chmod('raised', 0o6777)
    place.as(1234, 1234, () => append(place, 'raised', 'x'))
    assert.equal(place.stat('raised').mode, 0o777)
    assert.equal(text(place, 'raised'), 'raised\nx')
  },

  'a truncation by who is not root clears setuid and setgid'(place) {
    place.needs('root')
    place.chmod('raised', 0o6777)
    place.as(1234, 1234, () => place.truncate('raised', 2))
    assert.equal(place.stat('raised').mode, 0o777)
    place.chmod('raised', 0o6777)
    place.as(1234, 1234, () => place.open('raised', O.WRONLY | O.TRUNC).close())
    assert.equal(place.stat('raised').mode, 0o777)
  },

  'a write by root keeps setuid and setgid'(place) {
    place.needs('root')
    append(place, 'raised', 'x')
    assert.equal(place.stat('raised').mode, 0o6755)
  },

  'chown clears setuid and setgid of a file that can be run'(place) {
    place.needs('root', 'kernel')
    place.chown('raised', 1234, 1234)
    assert.equal(place.stat('raised').mode, 0o755)
    place.chown('shared', 0, 99)
    assert.equal(place.stat('shared').mode, 0o2775)
  },

  'setuid can be set again after it was cleared'(place) {
    place.needs('root')
    place.chmod('raised', 0o4777)
    place.as(1234, 1234, () => append(place, 'raised', 'x'))
    place.chmod('raised', 0o6755)
    assert.equal(place.stat('raised').mode, 0o6755)
  },

  'a file that nobody may read can still be changed by its owner'(place) {
    place.chmod('readme', 0)
    assert.equal(place.stat('readme').mode, 0)
    place.chmod('readme', 0o644)
    assert.equal(text(place, 'readme'), 'read me\n')
    place.chmod('sealed', 0o600)
    append(place, 'sealed', 'open')
    assert.equal(text(place, 'sealed'), 'sealed\nopen')
  },
}
