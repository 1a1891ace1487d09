// Two mounts of one store: what is done through one is seen through the other at once, by name
// and by what is open and mapped there. The same layer, written through both, is one sublayer.

import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { O, RENAME_EXCHANGE } from '../../lib/host/sys.ts'
import { append, has, names, put, text, using, whole } from '../behaviour/act.ts'
import { RealPlace } from '../behaviour/real-place.ts'
import type { Drawing } from '../union/view-of.ts'
import { storeOf } from './store-of.ts'

t.setTimeout(240_000)

const LONG = 'low '.repeat(5000)

const store = await storeOf(t)
const second = join(store.dir, 'second')
const TESTS = ['names', 'attributes', 'bytes', 'open', 'moved', 'unclosed', 'both', 'crowd']
await store.layer('low', tree({ 'd/low': LONG, 'd/other': 'other', 'low/deep/f': 'f' }))
await store.layer('top', tree({ 'd/top': 'top', 'log/all': '' }))
for (const layer of ['low', 'top']) await store.ask('activate', layer)
await store.mount()
mkdirSync(second)
await store.ask('mount', second)

/** The same names for each test. */
function tree(drawing: Drawing): Drawing {
  const all: Record<string, string | null> = {}
  for (const test of TESTS) {
    for (const [path, content] of Object.entries(drawing)) all[`${test}/${path}`] = content
  }
  return all
}

/** What one test works with: its tree in either mount. */
function bothOf(t: Test, test: string): [RealPlace, RealPlace] {
  const places = [store.at, second].map((at) => new RealPlace(`${at}/${test}`))
  t.teardown(() => {
    for (const place of places) place.close()
  })
  return places as [RealPlace, RealPlace]
}

/** Everything that a stat of one file says, but the time of access. */
const facts = (place: RealPlace, path: string) => {
  const { atime: _atime, ctime: _ctime, ...all } = place.lstat(path)
  return all
}

await t.test('names', async (t) => {
  const [one, other] = bothOf(t, 'names')
  for (const place of [one, other]) names(place, 'd')
  for (let i = 0; i < 20; i++) {
    const [here, there] = i % 2 === 0 ? [one, other] : [other, one]
    const name = `d/n${i}`
    t.notOk(has(there, name))
    put(here, name, `${i}`)
    t.equal(text(there, name), `${i}`, 'made')
    here.rename(name, `${name}-moved`)
    t.notOk(has(there, name))
    t.ok(names(there, 'd').includes(`n${i}-moved`), 'renamed')
    here.link(`${name}-moved`, name)
    t.same([there.stat(name).nlink, there.stat(`${name}-moved`).nlink], [2, 2], 'linked')
    here.unlink(name)
    t.equal(there.stat(`${name}-moved`).nlink, 1)
    here.mkdir(name)
    t.same(names(there, name), [])
    here.rmdir(name)
    t.notOk(has(there, name))
    here.unlink('d/other')
    t.notOk(has(there, 'd/other'))
    there.symlink(`${i}`, 'd/other')
    t.equal(here.readlink('d/other'), `${i}`)
  }
})

await t.test('attributes, of files that were below and of those that were not', async (t) => {
  const [one, other] = bothOf(t, 'attributes')
  put(one, 'd/new', 'new')
  for (const path of ['d/new', 'd/low', 'd']) {
    t.same(facts(other, path), facts(one, path))
    one.chmod(path, 0o711)
    t.equal(other.stat(path).mode, 0o711)
    other.utimens(path, 1_000_000_000n, 2_000_000_123n)
    t.equal(one.stat(path).mtime, 2_000_000_123n)
    one.setxattr(path, 'user.a', 'b')
    t.equal(other.getxattr(path, 'user.a')?.toString(), 'b')
    other.removexattr(path, 'user.a')
    t.equal(one.getxattr(path, 'user.a'), null)
    t.same(facts(other, path), facts(one, path))
  }
})

await t.test('bytes, size and time of what was written and closed', async (t) => {
  const [one, other] = bothOf(t, 'bytes')
  for (const [here, there] of [
    [one, other] as const,
    [other, one] as const,
    [one, other] as const,
  ]) {
    for (const path of ['d/low', 'd/fresh']) {
      if (!has(here, path)) put(here, path, '')
      const before = there.stat(path).size
      append(here, path, 'appended')
      t.equal(there.stat(path).size, before + 8)
      t.ok(text(there, path).endsWith('appended'))
      using(here.open(path, O.WRONLY), (file) => file.pwrite('BEGIN', 0))
      t.ok(text(there, path).startsWith('BEGIN'))
      t.same(facts(there, path), facts(here, path))
      here.truncate(path, 3)
      t.equal(there.stat(path).size, 3)
      t.equal(text(there, path), 'BEG')
      here.truncate(path, 5000)
      t.equal(text(there, path), `BEG${'\0'.repeat(4997)}`)
      put(here, path, 'anew')
      t.equal(text(there, path), 'anew')
      t.same(facts(there, path), facts(here, path))
    }
  }
})

await t.test('descriptors and mappings that were open before, also before a copy-up', async (t) => {
  const [one, other] = bothOf(t, 'open')
  const file = other.open('d/low', O.RDONLY)
  const writer = one.open('d/low', O.RDWR)
  t.equal(whole(file), LONG)
  writer.pwrite('first', 4096)
  writer.sync()
  t.equal(file.pread(5, 4096).toString(), 'first', 'a descriptor from before the copy-up')
  const mapped = other.open('d/low', O.RDWR)
  const bytes = mapped.map(LONG.length)
  t.equal(bytes.toString('latin1', 4096, 4101), 'first')
  writer.pwrite('again', 8192)
  writer.sync()
  t.equal(bytes.toString('latin1', 8192, 8197), 'again', 'a mapping')
  writer.pwrite('longer', LONG.length)
  writer.sync()
  t.equal(file.stat().size, LONG.length + 6)
  t.equal(file.pread(6, LONG.length).toString(), 'longer')
  writer.truncate(10)
  t.equal(file.stat().size, 10)
  t.equal(whole(file), LONG.slice(0, 10))
  writer.truncate(LONG.length)
  bytes.write('by the mapping', 100, 'latin1')
  mapped.close()
  t.equal(writer.pread(14, 100).toString(), 'by the mapping', 'after msync')
  writer.allocate(3, 100, 14)
  t.equal(file.pread(14, 100).toString(), '\0'.repeat(14), 'a hole')
  for (const each of [file, writer]) each.close()
})

await t.test(
  'what is open goes on with its file when the other mount renames or removes it',
  async (t) => {
    const [one, other] = bothOf(t, 'moved')
    const file = other.open('low/deep/f', O.RDWR)
    other.list('d')
    one.rename('low/deep/f', 'd/moved')
    one.rename('low/deep', 'd/deep')
    file.pwrite('by the descriptor', 0)
    t.equal(text(other, 'd/moved'), 'by the descriptor', 'one file by either name')
    t.equal(text(one, 'd/moved'), 'by the descriptor', 'though it was not closed')
    t.equal(file.stat().ino, one.stat('d/moved').ino)
    put(one, 'low/over', 'over')
    one.rename('low/over', 'd/moved')
    t.equal(file.stat().nlink, 0, 'replaced')
    t.equal(whole(file), 'by the descriptor')
    file.close()
    const held = other.open('d/moved', O.RDWR)
    one.unlink('d/moved')
    t.equal(held.stat().nlink, 0, 'removed')
    held.pwrite('goes on', 0)
    t.equal(held.pread(7, 0).toString(), 'goes on')
    held.close()
    one.rename('d/low', 'd/top', RENAME_EXCHANGE)
    t.equal(text(other, 'd/low'), 'top')
    t.equal(text(other, 'd/top'), LONG)
  },
)

await t.test(
  'what is opened is what was written through the other mount, closed or not',
  async (t) => {
    const [one, other] = bothOf(t, 'unclosed')
    const writer = one.open('d/low', O.RDWR)
    writer.pwrite('not closed', 0)
    t.equal(text(other, 'd/low').slice(0, 10), 'not closed')
    // Again and again: the answer to an open must not outrun what its own kernel is told.
    for (let more = 100; more <= 4000; more += 100) {
      writer.pwrite('longer', LONG.length + more)
      t.equal(text(other, 'd/low').length, LONG.length + more + 6)
    }
    writer.close()
  },
)

await t.test('a layer written through both mounts is one', async (t) => {
  const [one, other] = bothOf(t, 'both')
  for (let i = 0; i < 50; i++) {
    append(i % 2 === 0 ? one : other, 'log/all', `${i}\n`)
  }
  const all = Array.from({ length: 50 }, (_, i) => `${i}\n`).join('')
  t.equal(text(one, 'log/all'), all)
  t.equal(text(other, 'log/all'), all)
  const files = [one, other].map((place) => place.open('d/low', O.RDWR))
  for (const [i, file] of files.entries()) file.pwrite(`${i}`.repeat(4096), i * 4096)
  for (const file of files) file.close()
  for (const place of [one, other]) {
    t.equal(text(place, 'd/low').slice(0, 8192), '0'.repeat(4096) + '1'.repeat(4096))
  }
})

/** Opens a file again and again, and leaves what it writes there to the kernel's cache. */
const WRITER = `
const { closeSync, openSync, writeSync } = require('node:fs')
const open = []
for (let round = 0; round < 300; round++) {
  const fd = openSync(process.argv[1], 'r+')
  for (let page = 0; page < 4; page++)
    writeSync(fd, Buffer.alloc(4096), 0, 4096, ((round * 7 + page * 13) % 64) * 4096)
  open.push(fd)
  if (open.length > 20 || round % 2 === 0) closeSync(open.shift())
}`

await t.test(
  'programs that write and open one file through both never wait for ever',
  async (t) => {
    const paths = [store.at, second].map((at) => `${at}/crowd/d/low`)
    const ends = [...paths, ...paths].map((path) => {
      // What hangs is in a call of the kernel's, which only this signal ends.
      const child = spawn(process.execPath, ['-e', WRITER, path], {
        timeout: 60_000,
        killSignal: 'SIGKILL',
      })
      return new Promise((resolve) =>
        child.once('exit', (status, signal) => resolve(signal ?? status)),
      )
    })
    t.same(await Promise.all(ends), [0, 0, 0, 0])
  },
)
