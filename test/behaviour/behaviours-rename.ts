// Renames of files and directories, whatever layer they come from.

import assert from 'node:assert/strict'
import { RENAME_EXCHANGE, RENAME_NOREPLACE } from '../../lib/host/sys.ts'
import { append, has, names, put, refuses, removeTree, text } from './act.ts'
import type { Behaviours } from './behaviours.ts'
import { BIG, MANY, pattern } from './start.ts'

export const RENAME: Behaviours = {
  'a file that nobody may write can be renamed'(place) {
    place.rename('sealed', 'renamed')
    assert.equal(text(place, 'renamed'), 'sealed\n')
    assert.equal(place.lstat('renamed').mode, 0o444)
  },

  'a file is renamed within a directory'(place) {
    place.rename('dir/a', 'dir/z')
    assert.deepEqual(names(place, 'dir'), ['b', 'c', 'deep', 'z'])
    assert.equal(text(place, 'dir/z'), 'a\n')
    refuses('ENOENT', () => place.lstat('dir/a'))
  },

  'a file is renamed into another directory'(place) {
    place.rename('big', 'dir/deep/er/big')
    assert.equal(text(place, 'dir/deep/er/big') === pattern(BIG), true)
    assert.equal(has(place, 'big'), false)
  },

  'a rename replaces the file that is there'(place) {
    place.rename('dir/a', 'dir/b')
    assert.equal(text(place, 'dir/b'), 'a\n')
    assert.deepEqual(names(place, 'dir'), ['b', 'c', 'deep'])
    put(place, 'new', 'new')
    place.rename('new', 'readme')
    assert.equal(text(place, 'readme'), 'new')
  },

  'a renamed name can be taken again'(place) {
    place.rename('readme', 'renamed')
    put(place, 'readme', 'second')
    assert.equal(text(place, 'renamed'), 'read me\n')
    assert.equal(text(place, 'readme'), 'second')
    place.rename('renamed', 'readme')
    assert.equal(text(place, 'readme'), 'read me\n')
  },

  'an application may save by writing beside and renaming over'(place) {
    for (let i = 0; i < 10; i++) {
      put(place, 'readme.tmp', `version ${i}`)
      place.rename('readme.tmp', 'readme')
      assert.equal(text(place, 'readme'), `version ${i}`)
    }
    assert.equal(has(place, 'readme.tmp'), false)
  },

  'a directory is renamed with everything in it'(place) {
    place.rename('dir', 'moved')
    assert.deepEqual(names(place, 'moved'), ['a', 'b', 'c', 'deep'])
    assert.equal(text(place, 'moved/deep/er/y'), 'y\n')
    assert.equal(place.readlink('moved/deep/er/up'), '../x')
    assert.equal(place.getxattr('moved/deep', 'user.on')?.latin1Slice(), 'directory')
    assert.equal(place.stat('moved/deep').mode, 0o750)
    assert.equal(has(place, 'dir'), false)
    refuses('ENOENT', () => place.lstat('dir/a'))
  },

  'a directory is renamed into another one'(place) {
    place.rename('dir/deep', 'other/deep')
    assert.deepEqual(names(place, 'other'), ['deep', 'p', 'q'])
    assert.deepEqual(names(place, 'dir'), ['a', 'b', 'c'])
    assert.equal(text(place, 'other/deep/x'), 'x\n')
    put(place, 'other/deep/new', 'new')
    assert.deepEqual(names(place, 'other/deep'), ['er', 'new', 'x'])
  },

  'a directory is renamed up'(place) {
    place.rename('dir/deep/er', 'er')
    assert.deepEqual(names(place, 'er'), ['up', 'y'])
    assert.deepEqual(names(place, 'dir/deep'), ['x'])
  },

  'a directory of many entries is renamed'(place) {
    place.rename('many', 'dir/many')
    assert.equal(names(place, 'dir/many').length, MANY)
    assert.equal(text(place, 'dir/many/017'), '17\n')
    place.unlink('dir/many/017')
    assert.equal(names(place, 'dir/many').length, MANY - 1)
  },

  'a renamed directory can be renamed again and again'(place) {
    place.rename('dir', 'one-more')
    place.rename('one-more', 'other/two-more')
    place.rename('other/two-more', 'three-more')
    place.rename('three-more', 'dir')
    assert.deepEqual(names(place, 'dir'), ['a', 'b', 'c', 'deep'])
    assert.equal(text(place, 'dir/deep/er/y'), 'y\n')
    assert.deepEqual(names(place, 'other'), ['p', 'q'])
  },

  'directories within renamed directories are renamed'(place) {
    place.rename('dir', 'outer')
    place.rename('outer/deep', 'outer/inner')
    place.rename('outer/inner/er', 'outer/out')
    assert.deepEqual(names(place, 'outer'), ['a', 'b', 'c', 'inner', 'out'])
    assert.deepEqual(names(place, 'outer/inner'), ['x'])
    assert.deepEqual(names(place, 'outer/out'), ['up', 'y'])
    assert.equal(text(place, 'outer/inner/x'), 'x\n')
  },

  'a new directory takes the name of a renamed one and starts empty'(place) {
    place.rename('dir', 'moved')
    place.mkdir('dir')
    assert.deepEqual(names(place, 'dir'), [])
    put(place, 'dir/a', 'new a')
    assert.equal(text(place, 'moved/a'), 'a\n')
    assert.equal(text(place, 'dir/a'), 'new a')
    place.mkdir('dir/deep')
    assert.deepEqual(names(place, 'dir/deep'), [])
  },

  'what is deleted in a directory stays deleted through its rename'(place) {
    place.unlink('dir/a')
    place.unlink('dir/deep/x')
    place.rename('dir', 'moved')
    assert.deepEqual(names(place, 'moved'), ['b', 'c', 'deep'])
    assert.deepEqual(names(place, 'moved/deep'), ['er'])
    place.rename('moved', 'dir')
    assert.deepEqual(names(place, 'dir'), ['b', 'c', 'deep'])
  },

  'a renamed directory is changed, and its files keep their changes'(place) {
    place.rename('dir', 'moved')
    append(place, 'moved/a', 'more')
    place.chmod('moved/deep/x', 0o600)
    place.rename('moved/b', 'moved/renamed')
    place.unlink('moved/c')
    assert.equal(text(place, 'moved/a'), 'a\nmore')
    assert.equal(place.stat('moved/deep/x').mode, 0o600)
    assert.deepEqual(names(place, 'moved'), ['a', 'deep', 'renamed'])
  },

  'a renamed directory can be removed whole'(place) {
    place.rename('dir', 'moved')
    removeTree(place, 'moved')
    assert.equal(has(place, 'moved'), false)
    place.mkdir('moved')
    assert.deepEqual(names(place, 'moved'), [])
    place.mkdir('dir')
    assert.deepEqual(names(place, 'dir'), [])
  },

  'a directory replaces an empty one'(place) {
    place.rename('dir', 'empty-dir')
    assert.deepEqual(names(place, 'empty-dir'), ['a', 'b', 'c', 'deep'])
    assert.equal(has(place, 'dir'), false)
    place.mkdir('emptied')
    place.rename('emptied', 'shared')
    assert.deepEqual(names(place, 'shared'), [])
  },

  'a directory replaces one that was emptied'(place) {
    removeTree(place, 'other')
    place.mkdir('other')
    put(place, 'other/r', 'r')
    place.unlink('other/r')
    place.rename('dir', 'other')
    assert.deepEqual(names(place, 'other'), ['a', 'b', 'c', 'deep'])
  },

  'a directory replaces one whose entries were deleted one by one'(place) {
    for (const name of ['p', 'q']) place.unlink(`other/${name}`)
    place.rename('empty-dir', 'other')
    assert.deepEqual(names(place, 'other'), [])
    for (const name of ['000', '001', '002', '003']) place.rename(`many/${name}`, `other/${name}`)
    removeTree(place, 'many')
    place.rename('other', 'many')
    assert.deepEqual(names(place, 'many'), ['000', '001', '002', '003'])
  },

  'a directory does not replace a full one'(place) {
    refuses(['ENOTEMPTY', 'EEXIST'], () => place.rename('dir', 'other'))
    refuses(['ENOTEMPTY', 'EEXIST'], () => place.rename('empty-dir', 'alone'))
    assert.deepEqual(names(place, 'other'), ['p', 'q'])
    assert.deepEqual(names(place, 'dir'), ['a', 'b', 'c', 'deep'])
  },

  'files and directories do not replace each other'(place) {
    refuses('EISDIR', () => place.rename('readme', 'empty-dir'))
    refuses('ENOTDIR', () => place.rename('empty-dir', 'readme'))
    refuses('ENOTDIR', () => place.rename('dir', 'link'))
    assert.equal(text(place, 'readme'), 'read me\n')
  },

  'a directory does not move into itself'(place) {
    refuses('EINVAL', () => place.rename('dir', 'dir/deep/dir'))
    refuses('EINVAL', () => place.rename('dir', 'dir/dir'))
    refuses(['ENOTEMPTY', 'EEXIST'], () => place.rename('dir/deep', 'dir'))
  },

  'a rename to the same name or the same file does nothing'(place) {
    place.rename('readme', 'readme')
    place.rename('dir', 'dir')
    place.rename('one', 'two')
    assert.equal(has(place, 'one'), true)
    assert.equal(place.stat('two').nlink, 3)
    assert.equal(text(place, 'readme'), 'read me\n')
  },

  'a renamed hard link leaves the others'(place) {
    place.rename('links/three', 'dir/third')
    assert.equal(place.stat('dir/third').nlink, 3)
    assert.equal(place.stat('dir/third').ino, place.stat('one').ino)
    place.rename('dir/third', 'readme')
    assert.equal(text(place, 'readme'), 'one file, three names\n')
  },

  'of several hard links the one that is named is renamed'(place) {
    for (const name of ['one', 'two', 'links/three']) place.stat(name)
    place.rename('two', 'dir/second')
    assert.deepEqual(names(place, 'links'), ['three'])
    assert.deepEqual(
      ['one', 'two', 'dir/second'].map((name) => has(place, name)),
      [true, false, true],
    )
    place.rename('links/three', 'readme', RENAME_EXCHANGE)
    assert.equal(text(place, 'links/three'), 'read me\n')
    assert.equal(text(place, 'dir/second'), 'one file, three names\n')
    assert.equal(place.stat('readme').nlink, 3)
  },

  'a rename over one of several hard links lowers their count'(place) {
    place.rename('dir/a', 'two')
    assert.equal(text(place, 'two'), 'a\n')
    assert.equal(place.stat('one').nlink, 2)
    assert.equal(place.stat('two').nlink, 1)
  },

  'RENAME_NOREPLACE spares what is there'(place) {
    refuses('EEXIST', () => place.rename('readme', 'dir/a', RENAME_NOREPLACE))
    refuses('EEXIST', () => place.rename('dir', 'empty-dir', RENAME_NOREPLACE))
    refuses('EEXIST', () => place.rename('readme', 'dangling', RENAME_NOREPLACE))
    place.rename('readme', 'gone', RENAME_NOREPLACE)
    assert.equal(text(place, 'gone'), 'read me\n')
  },

  'RENAME_EXCHANGE swaps two files'(place) {
    place.rename('readme', 'dir/a', RENAME_EXCHANGE)
    assert.equal(text(place, 'readme'), 'a\n')
    assert.equal(text(place, 'dir/a'), 'read me\n')
    refuses('ENOENT', () => place.rename('readme', 'nothing', RENAME_EXCHANGE))
  },

  'RENAME_EXCHANGE swaps two directories'(place) {
    place.rename('dir', 'other', RENAME_EXCHANGE)
    assert.deepEqual(names(place, 'other'), ['a', 'b', 'c', 'deep'])
    assert.deepEqual(names(place, 'dir'), ['p', 'q'])
    assert.equal(text(place, 'other/deep/x'), 'x\n')
    put(place, 'dir/a', 'another a')
    assert.deepEqual(names(place, 'dir'), ['a', 'p', 'q'])
    assert.equal(text(place, 'other/a'), 'a\n')
  },

  'RENAME_EXCHANGE swaps a file and a directory'(place) {
    place.rename('readme', 'dir', RENAME_EXCHANGE)
    assert.equal(text(place, 'dir'), 'read me\n')
    assert.deepEqual(names(place, 'readme'), ['a', 'b', 'c', 'deep'])
    place.rename('dir', 'readme/deep/er', RENAME_EXCHANGE)
    assert.deepEqual(names(place, 'dir'), ['up', 'y'])
    assert.equal(text(place, 'readme/deep/er'), 'read me\n')
  },

  'RENAME_EXCHANGE swaps a new and an old directory'(place) {
    place.mkdir('new')
    put(place, 'new/n', 'n')
    place.rename('new', 'dir', RENAME_EXCHANGE)
    assert.deepEqual(names(place, 'dir'), ['n'])
    assert.deepEqual(names(place, 'new'), ['a', 'b', 'c', 'deep'])
    removeTree(place, 'dir')
    assert.deepEqual(names(place, 'new/deep'), ['er', 'x'])
  },

  'links, fifos and devices are renamed as they are'(place) {
    place.rename('link', 'dir/link')
    place.rename('fifo', 'dir/fifo')
    place.rename('dangling', 'link')
    assert.equal(place.readlink('dir/link'), 'readme')
    assert.equal(place.lstat('dir/fifo').kind, 'fifo')
    assert.equal(place.readlink('link'), 'nowhere')
  },

  'a rename moves the mtime of both directories'(place) {
    place.utimens('dir', 'keep', 1_000n)
    place.utimens('other', 'keep', 1_000n)
    place.rename('dir/a', 'other/a')
    assert.notEqual(place.stat('dir').mtime, 1_000n)
    assert.notEqual(place.stat('other').mtime, 1_000n)
  },

  'a file goes round through three names'(place) {
    place.rename('dir/a', 'dir/t')
    place.rename('dir/b', 'dir/a')
    place.rename('dir/c', 'dir/b')
    place.rename('dir/t', 'dir/c')
    assert.deepEqual(
      ['a', 'b', 'c'].map((name) => text(place, `dir/${name}`)),
      ['b\n', 'c\n', 'a\n'],
    )
  },
}
