// What is deleted stays deleted, and a name that was deleted starts anew.

import assert from 'node:assert/strict'
import { O, S } from '../../lib/host/sys.ts'
import { has, names, put, refuses, removeTree, text, using, whole } from './act.ts'
import type { Behaviours } from './behaviours.ts'
import { ABSENT, BIG, MANY } from './start.ts'

export const DELETION: Behaviours = {
  'a deleted file stays deleted after re-creating its directory'(place) {
    removeTree(place, 'dir')
    place.mkdir('dir')
    assert.deepEqual(names(place, 'dir'), [])
    refuses('ENOENT', () => place.lstat('dir/a'))
    place.mkdir('dir/deep')
    assert.deepEqual(names(place, 'dir/deep'), [])
  },

  'a deleted file is gone from the list and for every call'(place) {
    place.unlink('dir/a')
    assert.deepEqual(names(place, 'dir'), ['b', 'c', 'deep'])
    refuses('ENOENT', () => place.open('dir/a'))
    refuses('ENOENT', () => place.unlink('dir/a'))
    refuses('ENOENT', () => place.rename('dir/a', 'x'))
  },

  'a deleted file made again holds only what is new'(place) {
    place.unlink('big')
    using(place.open('big', O.RDWR | O.CREAT), (file) => assert.equal(whole(file), ''))
    assert.equal(place.stat('big').size, 0)
    put(place, 'big', 'x')
    assert.equal(text(place, 'big'), 'x')
    place.truncate('big', BIG)
    assert.equal(text(place, 'big').slice(1, 100), '\0'.repeat(99))
  },

  'a deleted name is taken by every kind'(place) {
    const kinds: [string, () => void][] = [
      ['file', () => put(place, 'dir/b', 'file')],
      ['directory', () => place.mkdir('dir/b')],
      ['symlink', () => place.symlink('t', 'dir/b')],
      ['fifo', () => place.mknod('dir/b', S.IFIFO | 0o600)],
      ['hard link', () => place.link('readme', 'dir/b')],
      ['renamed file', () => place.rename('empty', 'dir/b')],
    ]
    for (const [, make] of kinds) {
      place.unlink('dir/b')
      assert.equal(has(place, 'dir/b'), false)
      make()
      assert.deepEqual(names(place, 'dir'), ['a', 'b', 'c', 'deep'])
      if (place.lstat('dir/b').kind === 'directory') {
        place.rmdir('dir/b')
        put(place, 'dir/b', '')
      }
    }
  },

  'what was never there or deleted before is absent'(place) {
    for (const path of ABSENT) assert.equal(has(place, path), false, path)
  },

  'an absent name can be made as a file'(place) {
    for (const path of ABSENT) {
      put(place, path, `new ${path}`)
      assert.equal(text(place, path), `new ${path}`)
    }
    for (const path of ABSENT) place.unlink(path)
    for (const path of ABSENT) assert.equal(has(place, path), false, path)
  },

  'an absent name can be made as a directory, which is empty'(place) {
    for (const path of ABSENT) {
      place.mkdir(path)
      assert.deepEqual(names(place, path), [], path)
      put(place, `${path}/f`, 'x')
      assert.deepEqual(names(place, path), ['f'], path)
      refuses('ENOTEMPTY', () => place.rmdir(path))
      place.unlink(`${path}/f`)
      place.rmdir(path)
      assert.equal(has(place, path), false)
    }
  },

  'an absent name can be taken by a rename'(place) {
    place.rename('readme', 'gone')
    place.rename('dir', 'gone-dir')
    place.rename('link', 'gone-link')
    assert.equal(text(place, 'gone'), 'read me\n')
    assert.deepEqual(names(place, 'gone-dir'), ['a', 'b', 'c', 'deep'])
    assert.equal(place.readlink('gone-link'), 'readme')
    place.rename('gone', 'readme')
    place.rename('gone-dir', 'dir')
    for (const path of ['gone', 'gone-dir']) assert.equal(has(place, path), false, path)
  },

  'an absent name can be taken by a link'(place) {
    place.link('readme', 'gone')
    place.symlink('readme', 'dir/gone')
    place.link('one', 'dir/deep/gone')
    assert.equal(text(place, 'gone'), 'read me\n')
    assert.equal(text(place, 'dir/deep/gone'), 'one file, three names\n')
    assert.equal(place.readlink('dir/gone'), 'readme')
  },

  'a whole tree is removed and made again'(place) {
    for (let round = 0; round < 3; round++) {
      for (const name of names(place, '')) {
        if (place.lstat(name).kind === 'directory') removeTree(place, name)
        else place.unlink(name)
      }
      assert.deepEqual(names(place, ''), [])
      place.mkdir('dir')
      place.mkdir('dir/deep')
      put(place, 'dir/deep/x', `round ${round}`)
      put(place, 'readme', 'new')
    }
    assert.deepEqual(names(place, 'dir'), ['deep'])
    assert.equal(text(place, 'dir/deep/x'), 'round 2')
  },

  'an emptied directory can be removed'(place) {
    for (const name of names(place, 'many')) place.unlink(`many/${name}`)
    assert.deepEqual(names(place, 'many'), [])
    place.rmdir('many')
    assert.equal(has(place, 'many'), false)
  },

  'an opaque directory hides what lies below through every change'(place) {
    place.chmod('alone', 0o755)
    put(place, 'alone/new', 'x')
    assert.deepEqual(names(place, 'alone'), ['new', 'seen', 'sub'])
    assert.deepEqual(names(place, 'alone/sub'), ['s'])
    place.rename('alone', 'moved')
    assert.deepEqual(names(place, 'moved'), ['new', 'seen', 'sub'])
    assert.deepEqual(names(place, 'moved/sub'), ['s'])
    place.mkdir('alone')
    assert.deepEqual(names(place, 'alone'), [])
  },

  'a file takes the name of a removed directory, and a directory that of a file'(place) {
    removeTree(place, 'dir')
    put(place, 'dir', 'a file now')
    assert.equal(text(place, 'dir'), 'a file now')
    refuses('ENOTDIR', () => place.lstat('dir/a'))
    place.unlink('dir')
    place.mkdir('dir')
    assert.deepEqual(names(place, 'dir'), [])
    place.unlink('readme')
    place.mkdir('readme')
    put(place, 'readme/inside', 'x')
    assert.deepEqual(names(place, 'readme'), ['inside'])
  },

  'a directory with a whiteout beneath shows its own files alone'(place) {
    assert.deepEqual(names(place, 'solid'), ['inside'])
    refuses('ENOENT', () => place.lstat('solid/wrong'))
    place.chmod('solid', 0o700)
    put(place, 'solid/wrong', 'right')
    assert.deepEqual(names(place, 'solid'), ['inside', 'wrong'])
  },

  'half of a directory is deleted and the rest stays'(place) {
    for (let i = 0; i < MANY; i += 2) place.unlink(`many/${String(i).padStart(3, '0')}`)
    const left = names(place, 'many')
    assert.equal(left.length, MANY / 2)
    for (const name of left) assert.equal(text(place, `many/${name}`), `${Number(name)}\n`)
  },
}
