// Names and directories: making, finding and refusing them.

import assert from 'node:assert/strict'
import { O, S } from '../../lib/host/sys.ts'
import { has, names, put, refuses, text, tick } from './act.ts'
import type { Behaviours } from './behaviours.ts'
import { LONGEST, ODD_NAMES } from './start.ts'

export const NAMES: Behaviours = {
  'a new file holds what was written'(place) {
    put(place, 'new', 'content')
    assert.equal(text(place, 'new'), 'content')
    assert.deepEqual(names(place, '').includes('new'), true)
  },

  'a new directory is empty and can be filled'(place) {
    place.mkdir('d')
    assert.deepEqual(names(place, 'd'), [])
    put(place, 'd/f', 'x')
    place.mkdir('d/e')
    assert.deepEqual(names(place, 'd'), ['e', 'f'])
  },

  'directories nest deeply'(place) {
    let path = 'dir/deep'
    for (let i = 0; i < 30; i++) place.mkdir((path += `/level-${i}`))
    put(place, `${path}/bottom`, 'down here')
    assert.equal(text(place, `${path}/bottom`), 'down here')
  },

  'an absent name is ENOENT for every call'(place) {
    refuses('ENOENT', () => place.lstat('nothing'))
    refuses('ENOENT', () => place.open('nothing'))
    refuses('ENOENT', () => place.unlink('nothing'))
    refuses('ENOENT', () => place.rmdir('nothing'))
    refuses('ENOENT', () => place.readlink('nothing'))
    refuses('ENOENT', () => place.chmod('nothing', 0o600))
    refuses('ENOENT', () => place.truncate('nothing', 0))
    refuses('ENOENT', () => place.rename('nothing', 'else'))
    refuses('ENOENT', () => place.link('nothing', 'else'))
    refuses('ENOENT', () => place.list('nothing'))
    refuses('ENOENT', () => place.getxattr('nothing', 'user.x'))
  },

  'a name below an absent directory is ENOENT'(place) {
    refuses('ENOENT', () => place.lstat('nothing/x'))
    refuses('ENOENT', () => put(place, 'nothing/x', ''))
    refuses('ENOENT', () => place.mkdir('nothing/x'))
    refuses('ENOENT', () => place.symlink('t', 'nothing/x'))
    refuses('ENOENT', () => place.rename('readme', 'nothing/x'))
    refuses('ENOENT', () => place.link('readme', 'nothing/x'))
  },

  'a name below a file is ENOTDIR'(place) {
    refuses('ENOTDIR', () => place.lstat('readme/x'))
    refuses('ENOTDIR', () => put(place, 'readme/x', ''))
    refuses('ENOTDIR', () => place.mkdir('readme/x'))
    refuses('ENOTDIR', () => place.unlink('readme/x'))
    refuses('ENOTDIR', () => place.rename('dir/a', 'readme/x'))
    refuses('ENOTDIR', () => place.list('readme'))
  },

  'a name that exists cannot be made again'(place) {
    for (const there of ['readme', 'dir', 'link', 'dangling', 'fifo', 'empty-dir', 'dir/deep/x']) {
      refuses('EEXIST', () => place.mkdir(there))
      refuses('EEXIST', () => place.symlink('t', there))
      refuses('EEXIST', () => place.mknod(there, S.IFIFO | 0o600))
      refuses('EEXIST', () => place.link('empty', there))
      refuses('EEXIST', () => place.open(there, O.WRONLY | O.CREAT | O.EXCL))
    }
  },

  'O_EXCL makes a file once'(place) {
    place.open('once', O.WRONLY | O.CREAT | O.EXCL).close()
    refuses('EEXIST', () => place.open('once', O.WRONLY | O.CREAT | O.EXCL))
  },

  'O_CREAT without O_EXCL opens the file that is there'(place) {
    const file = place.open('readme', O.RDWR | O.CREAT, 0o600)
    assert.equal(file.read(100).latin1Slice(), 'read me\n')
    assert.equal(file.stat().mode, 0o644)
    file.close()
  },

  'rmdir removes only an empty directory'(place) {
    refuses('ENOTEMPTY', () => place.rmdir('dir'))
    refuses('ENOTEMPTY', () => place.rmdir('alone'))
    place.rmdir('empty-dir')
    refuses('ENOENT', () => place.lstat('empty-dir'))
  },

  'rmdir of a file and unlink of a directory are refused'(place) {
    refuses('ENOTDIR', () => place.rmdir('readme'))
    refuses('ENOTDIR', () => place.rmdir('link-dir'))
    refuses('EISDIR', () => place.unlink('dir'))
    refuses('EISDIR', () => place.unlink('empty-dir'))
  },

  'a directory cannot be opened for writing'(place) {
    refuses('EISDIR', () => place.open('dir', O.WRONLY))
    refuses('EISDIR', () => place.open('dir', O.RDWR))
    refuses('EISDIR', () => place.open('dir', O.RDWR | O.CREAT))
    refuses('EISDIR', () => place.truncate('dir', 0))
  },

  'O_DIRECTORY opens directories alone'(place) {
    place.open('dir', O.RDONLY | O.DIRECTORY).close()
    refuses('ENOTDIR', () => place.open('readme', O.RDONLY | O.DIRECTORY))
  },

  'names of 255 bytes can be made, found and removed'(place) {
    const name = 'm'.repeat(255)
    put(place, name, 'long')
    place.mkdir(`dir/${name}`)
    put(place, `dir/${name}/${name}`, 'longer')
    assert.equal(text(place, `dir/${name}/${name}`), 'longer')
    place.rename(`dir/${name}/${name}`, `dir/${'k'.repeat(255)}`)
    place.rmdir(`dir/${name}`)
    place.unlink(name)
    place.unlink(`odd/${LONGEST}`)
    assert.equal(has(place, name), false)
    assert.equal(has(place, `odd/${LONGEST}`), false)
  },

  'names of 256 bytes are ENAMETOOLONG for every call'(place) {
    const name = 'l'.repeat(256)
    refuses('ENAMETOOLONG', () => place.lstat(name))
    refuses('ENAMETOOLONG', () => put(place, name, ''))
    refuses('ENAMETOOLONG', () => place.mkdir(`dir/${name}`))
    refuses('ENAMETOOLONG', () => place.symlink('t', name))
    refuses('ENAMETOOLONG', () => place.mknod(name, S.IFIFO | 0o600))
    refuses('ENAMETOOLONG', () => place.unlink(name))
    refuses('ENAMETOOLONG', () => place.rmdir(name))
    refuses('ENAMETOOLONG', () => place.rename('readme', name))
    refuses('ENAMETOOLONG', () => place.rename(name, 'readme'))
    refuses('ENAMETOOLONG', () => place.link('readme', name))
  },

  'paths of 4,095 bytes work'(place) {
    // Eight directories of 250 bytes at a time, from the place's own descriptor.
    const parts: string[] = []
    while (parts.length < 16) {
      parts.push(String.fromCharCode(97 + parts.length).repeat(250))
      place.mkdir(parts.join('/'))
    }
    const name = 'z'.repeat(4095 - parts.join('/').length - 1)
    const path = `${parts.join('/')}/${name}`
    assert.equal(path.length, 4095)
    put(place, path, 'far')
    assert.equal(text(place, path), 'far')
    place.rename(path, `${parts.join('/')}/y`)
    place.chmod(`${parts.join('/')}/y`, 0o600)
    assert.equal(text(place, `${parts.join('/')}/y`), 'far')
  },

  'odd names are found, read, written and removed'(place) {
    for (const name of ODD_NAMES) {
      assert.equal(text(place, `odd/${name}`), 'odd\n')
      put(place, `odd/${name}`, 'changed')
      assert.equal(text(place, `odd/${name}`), 'changed')
    }
    assert.deepEqual(names(place, 'odd'), [...ODD_NAMES].sort())
    for (const name of ODD_NAMES) place.unlink(`odd/${name}`)
    assert.deepEqual(names(place, 'odd'), [])
    for (const name of ODD_NAMES) place.mkdir(`odd/${name}`)
    assert.deepEqual(names(place, 'odd'), [...ODD_NAMES].sort())
  },

  'upper and lower case are different names'(place) {
    put(place, 'README', 'loud')
    assert.equal(text(place, 'readme'), 'read me\n')
    assert.equal(text(place, 'README'), 'loud')
  },

  'every byte but slash and NUL can be a name'(place) {
    place.mkdir('bytes')
    const all: string[] = []
    for (let byte = 1; byte < 256; byte++) {
      const name = String.fromCharCode(byte)
      if (name === '/' || name === '.') continue
      put(place, `bytes/${name}`, name)
      all.push(name)
    }
    assert.deepEqual(names(place, 'bytes'), all)
    for (const name of all) assert.equal(text(place, `bytes/${name}`), name)
  },

  'a name can be made, removed and made again as another kind'(place) {
    for (let round = 0; round < 3; round++) {
      put(place, 'dir/name', 'file')
      place.unlink('dir/name')
      place.mkdir('dir/name')
      place.rmdir('dir/name')
      place.symlink('target', 'dir/name')
      place.unlink('dir/name')
      place.mknod('dir/name', S.IFIFO | 0o600)
      place.unlink('dir/name')
    }
    assert.equal(has(place, 'dir/name'), false)
  },

  'a change in a directory moves its mtime and ctime, and no other does'(place) {
    for (const [act, path] of [
      [() => put(place, 'dir/new', ''), 'dir'],
      [() => place.unlink('dir/new'), 'dir'],
      [() => place.mkdir('dir/deep/er/new'), 'dir/deep/er'],
      [() => place.symlink('t', 'dir/deep/new'), 'dir/deep'],
      [() => place.link('dir/a', 'other/new'), 'other'],
    ] as const) {
      place.utimens(path, 'keep', 1_000n)
      const before = place.stat(path)
      tick()
      act()
      const after = place.stat(path)
      assert.notEqual(after.mtime, before.mtime, `mtime of ${path}`)
      assert.notEqual(after.ctime, before.ctime, `ctime of ${path}`)
    }
    place.utimens('dir', 'keep', 1_000n)
    put(place, 'dir/a', 'changed, but not renamed')
    assert.equal(place.stat('dir').mtime, 1_000n)
  },

  'a file that is changed for the first time leaves its directory as it was'(place) {
    const before = place.stat('dir/deep/er')
    put(place, 'dir/deep/er/y', 'changed')
    place.chmod('dir/deep/er/y', 0o600)
    const after = place.stat('dir/deep/er')
    assert.equal(after.mtime, before.mtime)
    assert.equal(after.mode, before.mode)
    assert.equal(place.stat('dir/deep').mtime, 1_600_000_000_123_456_789n)
    assert.equal(place.getxattr('dir/deep', 'user.on')?.latin1Slice(), 'directory')
  },

  'a path through `..` comes back'(place) {
    assert.equal(text(place, 'dir/deep/../a'), 'a\n')
    assert.equal(text(place, 'dir/deep/er/../../../readme'), 'read me\n')
  },
}
