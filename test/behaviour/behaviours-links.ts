// Symbolic links and hard links, also of files that were never changed before.

import assert from 'node:assert/strict'
import { O } from '../../lib/host/sys.ts'
import { append, has, names, put, refuses, text, using } from './act.ts'
import type { Behaviours } from './behaviours.ts'

export const LINKS: Behaviours = {
  'a symbolic link holds its target and leads there'(place) {
    place.symlink('dir/a', 'new-link')
    assert.equal(place.readlink('new-link'), 'dir/a')
    assert.equal(text(place, 'new-link'), 'a\n')
    assert.equal(place.lstat('new-link').kind, 'symlink')
    assert.equal(place.lstat('new-link').size, 5)
    assert.equal(place.stat('new-link').kind, 'file')
  },

  'a symbolic link may hold any bytes and any length up to the limit'(place) {
    for (const target of [
      'x',
      '\xff\xfe',
      'two words',
      '/absolute',
      '../..',
      `/${'t'.repeat(4000)}`,
    ]) {
      place.symlink(target, 'l')
      assert.equal(place.readlink('l'), target)
      place.unlink('l')
    }
    refuses('ENOENT', () => place.symlink('', 'l'))
  },

  'writing through a link changes the target and not the link'(place) {
    append(place, 'link', 'more\n')
    assert.equal(text(place, 'readme'), 'read me\nmore\n')
    assert.equal(place.readlink('link'), 'readme')
  },

  'O_CREAT through a dangling link makes its target'(place) {
    put(place, 'dangling', 'now somewhere')
    assert.equal(text(place, 'nowhere'), 'now somewhere')
    assert.equal(place.lstat('dangling').kind, 'symlink')
  },

  'a link that leads to itself is ELOOP'(place) {
    refuses('ELOOP', () => place.open('loop'))
    refuses('ELOOP', () => place.stat('loop'))
    refuses('ELOOP', () => place.stat('loop/x'))
    assert.equal(place.lstat('loop').kind, 'symlink')
  },

  'O_NOFOLLOW refuses a link'(place) {
    refuses('ELOOP', () => place.open('link', O.RDONLY | O.NOFOLLOW))
    place.open('readme', O.RDONLY | O.NOFOLLOW).close()
  },

  'a path leads through a link to a directory'(place) {
    assert.equal(text(place, 'link-dir/x'), 'x\n')
    put(place, 'link-dir/new', 'through')
    assert.equal(text(place, 'dir/deep/new'), 'through')
    assert.equal(text(place, 'dir/deep/er/up'), 'x\n')
  },

  'readlink of what is no link is EINVAL'(place) {
    refuses('EINVAL', () => place.readlink('readme'))
    refuses('EINVAL', () => place.readlink('dir'))
  },

  'a removed link leaves its target'(place) {
    place.unlink('link')
    place.unlink('link-dir')
    assert.equal(text(place, 'readme'), 'read me\n')
    assert.deepEqual(names(place, 'dir/deep'), ['er', 'x'])
  },

  'a hard link is the same file under another name'(place) {
    place.link('readme', 'dir/linked')
    assert.equal(place.stat('readme').ino, place.stat('dir/linked').ino)
    assert.equal(place.stat('readme').nlink, 2)
    append(place, 'dir/linked', 'more\n')
    assert.equal(text(place, 'readme'), 'read me\nmore\n')
    place.unlink('readme')
    assert.equal(place.stat('dir/linked').nlink, 1)
    assert.equal(text(place, 'dir/linked'), 'read me\nmore\n')
  },

  'hard links that were there before have one inode number and one count'(place) {
    const facts = ['one', 'two', 'links/three'].map((name) => place.stat(name))
    assert.equal(new Set(facts.map((each) => each.ino)).size, 1)
    assert.deepEqual(
      facts.map((each) => each.nlink),
      [3, 3, 3],
    )
  },

  'hard links that were there before survive the first write'(place) {
    append(place, 'two', 'changed\n')
    for (const name of ['one', 'two', 'links/three'])
      assert.equal(text(place, name), 'one file, three names\nchanged\n', name)
    const facts = ['one', 'two', 'links/three'].map((name) => place.stat(name))
    assert.equal(new Set(facts.map((each) => each.ino)).size, 1)
    assert.deepEqual(
      facts.map((each) => each.nlink),
      [3, 3, 3],
    )
  },

  'hard links that were there before survive chmod and a rename'(place) {
    place.chmod('links/three', 0o640)
    place.rename('one', 'renamed')
    append(place, 'renamed', 'x')
    assert.equal(place.stat('two').mode, 0o640)
    assert.equal(text(place, 'two'), 'one file, three names\nx')
    assert.equal(place.stat('renamed').nlink, 3)
    assert.equal(place.stat('renamed').ino, place.stat('two').ino)
  },

  'removing one of three hard links leaves a count of two'(place) {
    place.unlink('one')
    assert.equal(place.stat('two').nlink, 2)
    assert.equal(place.stat('links/three').nlink, 2)
    append(place, 'two', '+')
    assert.equal(text(place, 'links/three'), 'one file, three names\n+')
    place.unlink('two')
    assert.equal(place.stat('links/three').nlink, 1)
    place.unlink('links/three')
    assert.deepEqual(names(place, 'links'), [])
  },

  'a fourth hard link joins three that were there before'(place) {
    place.link('two', 'other/four')
    assert.equal(place.stat('one').nlink, 4)
    assert.equal(place.stat('other/four').ino, place.stat('links/three').ino)
    put(place, 'other/four', 'rewritten')
    assert.equal(text(place, 'one'), 'rewritten')
  },

  'hard links below are one file, whichever name is used first'(place) {
    append(place, 'below/deep/three', 'changed\n')
    const all = ['below/one', 'below/two', 'below/deep/three']
    for (const name of all) assert.equal(text(place, name), 'one file, also below\nchanged\n', name)
    const facts = all.map((name) => place.stat(name))
    assert.equal(new Set(facts.map((each) => each.ino)).size, 1)
    assert.deepEqual(
      facts.map((each) => each.nlink),
      [3, 3, 3],
    )
  },

  'removing hard links below counts down to none'(place) {
    place.unlink('below/one')
    assert.equal(place.stat('below/two').nlink, 2)
    append(place, 'below/two', '+')
    assert.equal(text(place, 'below/deep/three'), 'one file, also below\n+')
    using(place.open('below/two'), (file) => {
      place.unlink('below/two')
      assert.equal(file.stat().nlink, 1)
      place.unlink('below/deep/three')
      assert.equal(file.stat().nlink, 0)
    })
    assert.deepEqual(names(place, 'below/deep'), [])
  },

  'a hard link below that is replaced is counted no more'(place) {
    put(place, 'new', 'new')
    place.rename('new', 'below/two')
    assert.equal(place.stat('below/one').nlink, 2)
    place.rename('below/one', 'moved')
    assert.equal(place.stat('below/deep/three').nlink, 2)
    assert.equal(place.stat('moved').ino, place.stat('below/deep/three').ino)
    append(place, 'below/deep/three', '+')
    assert.equal(text(place, 'moved'), 'one file, also below\n+')
  },

  'an open file sees a write through another hard link'(place) {
    using(place.open('one'), (file) => {
      assert.equal(file.pread(3, 0).latin1Slice(), 'one')
      using(place.open('two', O.RDWR), (other) => other.pwrite('ONE', 0))
      assert.equal(file.pread(3, 0).latin1Slice(), 'ONE')
    })
  },

  'a directory cannot be linked'(place) {
    refuses('EPERM', () => place.link('dir', 'second'))
    assert.equal(has(place, 'second'), false)
  },

  'a symbolic link can have two names'(place) {
    place.link('link', 'other/link')
    assert.equal(place.lstat('other/link').kind, 'symlink')
    assert.equal(place.readlink('other/link'), 'readme')
    assert.equal(place.lstat('link').nlink, 2)
    assert.equal(place.lstat('link').ino, place.lstat('other/link').ino)
  },

  'a chain of forty links is followed, a longer one is ELOOP'(place) {
    place.symlink('readme', 'chain-0')
    for (let i = 1; i <= 41; i++) place.symlink(`chain-${i - 1}`, `chain-${i}`)
    assert.equal(text(place, 'chain-39'), 'read me\n')
    refuses('ELOOP', () => place.open('chain-41'))
  },
}
