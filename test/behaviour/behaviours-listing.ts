// What directories list, also while they change.

import assert from 'node:assert/strict'
import { names, put, removeTree, text } from './act.ts'
import type { Behaviours } from './behaviours.ts'
import type { Listed, OpenDirectory } from './place.ts'
import { MANY, START } from './start.ts'

export const LISTING: Behaviours = {
  'a list names every entry once'(place) {
    const top = Object.keys(START).filter((path) => !path.includes('/'))
    const listed = place.list('').map((entry) => entry.name)
    assert.deepEqual(listed, top.sort())
    assert.equal(new Set(names(place, 'many')).size, MANY)
  },

  'a list tells the kind and the inode number that stat tells'(place) {
    for (const dir of ['', 'dir', 'dir/deep', 'dir/deep/er', 'links', 'alone', 'solid', 'other'])
      for (const { name, kind, ino } of place.list(dir)) {
        const facts = place.lstat(dir === '' ? name : `${dir}/${name}`)
        assert.equal(kind, facts.kind, name)
        assert.equal(ino, facts.ino, name)
      }
  },

  'kinds and inode numbers are also right after first changes'(place) {
    for (const name of ['a', 'b']) place.chmod(`dir/${name}`, 0o600)
    place.rename('dir/c', 'dir/d')
    place.mkdir('dir/new')
    place.symlink('t', 'dir/l')
    for (const { name, kind, ino } of place.list('dir')) {
      const facts = place.lstat(`dir/${name}`)
      assert.deepEqual([kind, ino], [facts.kind, facts.ino], name)
    }
  },

  'a directory that may be read but not searched is listed'(place) {
    place.needs('kernel')
    place.unlink('dir/a')
    put(place, 'dir/new', 'new')
    place.chmod('dir', 0o644)
    assert.deepEqual(names(place, 'dir'), ['b', 'c', 'deep', 'new'])
    place.chmod('dir', 0o755)
  },

  'a list shows at once what is made, renamed and removed'(place) {
    assert.deepEqual(names(place, 'other'), ['p', 'q'])
    put(place, 'other/r', '')
    assert.deepEqual(names(place, 'other'), ['p', 'q', 'r'])
    place.rename('other/p', 'other/s')
    assert.deepEqual(names(place, 'other'), ['q', 'r', 's'])
    place.unlink('other/q')
    assert.deepEqual(names(place, 'other'), ['r', 's'])
    place.mkdir('other/t')
    assert.deepEqual(names(place, 'other'), ['r', 's', 't'])
    place.rmdir('other/t')
    assert.deepEqual(names(place, 'other'), ['r', 's'])
  },

  'a directory can be emptied while it is read'(place) {
    const directory = place.opendir('many')
    const seen = new Set<string>()
    for (let some = directory.some(); some.length > 0; some = directory.some())
      for (const { name } of some) {
        seen.add(name)
        place.unlink(`many/${name}`)
      }
    directory.close()
    assert.equal(seen.size, MANY)
    place.rmdir('many')
  },

  'entries that stay are listed once while others come and go'(place) {
    const directory = place.opendir('many')
    const seen: string[] = []
    for (let some = directory.some(), i = 0; some.length > 0; some = directory.some(), i++) {
      seen.push(...some.map((entry) => entry.name))
      put(place, `many/new-${i}`, '')
      place.unlink(`many/new-${i}`)
      put(place, `many/more-${i}`, '')
    }
    directory.close()
    const old = seen.filter((name) => /^\d+$/.test(name))
    assert.equal(old.length, MANY)
    assert.equal(new Set(old).size, MANY)
  },

  'rewinddir shows what has changed'(place) {
    const directory = place.opendir('other')
    assert.deepEqual(rest(directory), ['p', 'q'])
    assert.deepEqual(rest(directory), [])
    put(place, 'other/new', '')
    place.unlink('other/p')
    directory.rewind()
    assert.deepEqual(rest(directory), ['new', 'q'])
    directory.close()
  },

  'a directory of 10,000 entries lists them all and is removed'(place) {
    place.mkdir('large')
    for (let i = 0; i < 10_000; i++) place.mknod(`large/entry number ${i}`, 0o100644)
    const listed = place.list('large')
    assert.equal(listed.length, 10_000)
    assert.equal(new Set(listed.map((entry: Listed) => entry.ino)).size, 10_000)
    removeTree(place, 'large')
  },

  'two readers of one directory do not disturb each other'(place) {
    const a = place.opendir('many')
    const b = place.opendir('many')
    const first = a.some()
    assert.equal(rest(b).length, MANY)
    assert.equal(rest(a).length + first.length, MANY)
    a.close()
    b.close()
  },

  'lower entries show beside new ones in a directory that was changed'(place) {
    place.chmod('many', 0o700)
    put(place, 'many/zzz', 'last')
    place.unlink('many/000')
    assert.equal(names(place, 'many').length, MANY)
    assert.equal(text(place, 'many/001'), '1\n')
  },
}

const rest = (directory: OpenDirectory): string[] => {
  const all: string[] = []
  for (let some = directory.some(); some.length > 0; some = directory.some())
    all.push(...some.map((entry) => entry.name))
  return all.sort()
}
