// Extended attributes of files and directories; the union's own marks stay out of sight.

import assert from 'node:assert/strict'
import { append, put, refuses, tick, using } from './act.ts'
import type { Behaviours } from './behaviours.ts'
import { LONG_AGO } from './draw.ts'

const CREATE = 1
const REPLACE = 2

const value = (bytes: Buffer | null): string | undefined => bytes?.latin1Slice()

export const XATTRS: Behaviours = {
  'extended attributes that were there before show'(place) {
    assert.deepEqual(place.listxattr('tagged'), ['user.colour', 'user.empty', 'user.\xff'])
    assert.equal(value(place.getxattr('tagged', 'user.colour')), 'blue')
    assert.equal(value(place.getxattr('tagged', 'user.empty')), '')
    assert.equal(value(place.getxattr('tagged', 'user.\xff')), '\0\x01\xff')
    assert.deepEqual(place.listxattr('dir/deep'), ['user.on'])
  },

  'an attribute can be set, replaced and removed'(place) {
    for (const path of ['readme', 'dir', 'dir/deep/er']) {
      place.setxattr(path, 'user.x', 'one')
      assert.equal(value(place.getxattr(path, 'user.x')), 'one')
      place.setxattr(path, 'user.x', 'another value')
      assert.equal(value(place.getxattr(path, 'user.x')), 'another value')
      assert.deepEqual(place.listxattr(path), ['user.x'])
      place.removexattr(path, 'user.x')
      assert.deepEqual(place.listxattr(path), [])
    }
  },

  'an attribute that is not set is ENODATA'(place) {
    assert.equal(place.getxattr('readme', 'user.x'), null)
    refuses('ENODATA', () => place.removexattr('readme', 'user.x'))
    refuses('ENODATA', () => place.setxattr('readme', 'user.x', 'v', REPLACE))
  },

  'XATTR_CREATE refuses an attribute that is set'(place) {
    place.setxattr('readme', 'user.x', 'v', CREATE)
    refuses('EEXIST', () => place.setxattr('readme', 'user.x', 'w', CREATE))
    refuses('EEXIST', () => place.setxattr('tagged', 'user.colour', 'red', CREATE))
    place.setxattr('tagged', 'user.colour', 'red', REPLACE)
    assert.equal(value(place.getxattr('tagged', 'user.colour')), 'red')
  },

  'an attribute of a lower file can be removed and stays removed'(place) {
    place.removexattr('tagged', 'user.colour')
    assert.deepEqual(place.listxattr('tagged'), ['user.empty', 'user.\xff'])
    append(place, 'tagged', 'x')
    assert.equal(place.getxattr('tagged', 'user.colour'), null)
    place.removexattr('dir/deep', 'user.on')
    assert.deepEqual(place.listxattr('dir/deep'), [])
  },

  'attributes survive writes, chmod and renames'(place) {
    place.chmod('tagged', 0o600)
    append(place, 'tagged', 'more')
    place.rename('tagged', 'dir/renamed')
    assert.deepEqual(place.listxattr('dir/renamed'), ['user.colour', 'user.empty', 'user.\xff'])
    assert.equal(value(place.getxattr('dir/renamed', 'user.\xff')), '\0\x01\xff')
    place.rename('dir/deep', 'moved')
    assert.equal(value(place.getxattr('moved', 'user.on')), 'directory')
  },

  'setting an attribute keeps mtime and moves ctime'(place) {
    const before = place.stat('readme')
    tick()
    place.setxattr('readme', 'user.x', 'y')
    assert.equal(place.stat('readme').mtime, LONG_AGO)
    assert.notEqual(place.stat('readme').ctime, before.ctime)
  },

  'values may be large and hold any bytes'(place) {
    const bytes = Buffer.from(Array.from({ length: 2000 }, (_, i) => i % 256))
    place.setxattr('readme', 'user.bytes', bytes)
    assert.deepEqual(place.getxattr('readme', 'user.bytes'), bytes)
    place.setxattr('readme', `user.${'n'.repeat(250)}`, 'longest name')
    assert.equal(place.listxattr('readme').length, 2)
  },

  'user attributes of links and devices are refused'(place) {
    refuses('EPERM', () => place.setxattr('link', 'user.x', 'y'))
    refuses('EPERM', () => place.setxattr('fifo', 'user.x', 'y'))
  },

  'a new file has no attributes'(place) {
    put(place, 'new', 'x')
    place.mkdir('new-dir')
    place.mkdir('gone-dir')
    put(place, 'gone', 'x')
    for (const path of ['new', 'new-dir', 'gone-dir', 'gone']) {
      assert.deepEqual(place.listxattr(path), [], path)
    }
  },

  'marks of the union are never among the attributes'(place) {
    place.chmod('big', 0o600)
    place.rename('dir', 'moved')
    place.mkdir('gone-dir')
    place.chmod('alone', 0o700)
    for (const path of ['big', 'moved', 'moved/deep', 'gone-dir', 'alone'])
      assert.deepEqual(
        place.listxattr(path).filter((name) => /overlay|svsfs/.test(name)),
        [],
        path,
      )
  },

  'an open file gives and takes attributes'(place) {
    using(place.open('tagged'), (file) => {
      assert.equal(value(file.getxattr('user.colour')), 'blue')
      file.setxattr('user.colour', 'green')
      assert.equal(value(file.getxattr('user.colour')), 'green')
    })
    assert.equal(value(place.getxattr('tagged', 'user.colour')), 'green')
  },

  'trusted and security attributes of root are kept'(place) {
    place.needs('root')
    place.setxattr('readme', 'trusted.x', 'y')
    append(place, 'readme', 'more')
    assert.equal(value(place.getxattr('readme', 'trusted.x')), 'y')
    assert.deepEqual(place.listxattr('readme'), ['trusted.x'])
  },
}
