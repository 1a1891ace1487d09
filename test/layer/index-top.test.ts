// The first look into an index, which reads the tree's own directory alone: what it answers, and
// when everything is loaded instead.

import { lstatSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { bytesOf, type RelPath, relPath } from '../../lib/base/path.ts'
import { libc } from '../../lib/host/libc.ts'
import { Stat } from '../../lib/host/stat.ts'
import { AT_FDCWD, must, O, sys } from '../../lib/host/sys.ts'
import { openIndex, publishIndex, type TreeIndex } from '../../lib/layer/index-file.ts'
import { folderOf } from './ground.ts'

const ROOT = '' as RelPath
/** Files of the one directory. */
const FILES = 2000

/** A tree with three names, one of which has many below it; published. */
async function published(t: Test, names = ['app', 'note']): Promise<string> {
  const tree = join(folderOf(t), 'tree')
  mkdirSync(join(tree, 'app'), { recursive: true })
  for (let i = 0; i < FILES; i++) writeFileSync(join(tree, `app/f${i}`), '')
  for (const name of names.slice(1)) writeFileSync(join(tree, name), 'some text')
  symlinkSync('app/f7', join(tree, 'link'))
  await publishIndex(bytesOf(tree), bytesOf(`${tree}.index`))
  return tree
}

function opened(t: Test, tree: string): TreeIndex {
  const root = must(sys.openat(AT_FDCWD, bytesOf(tree), O.RDONLY | O.DIRECTORY), tree)
  t.teardown(() => sys.close(root))
  return openIndex(bytesOf(`${tree}.index`), root)
}

/** Bytes that `act` reads of files. */
function read(act: () => void): number {
  const calls = libc as unknown as Record<string, (...args: unknown[]) => number>
  const originals = ['read', 'pread'].map((name) => [name, calls[name]!] as const)
  let sum = 0
  for (const [name, original] of originals) {
    calls[name] = (...args) => {
      const done = original(...args)
      sum += Math.max(Number(done), 0)
      return done
    }
  }
  try {
    act()
  } finally {
    for (const [name, original] of originals) calls[name] = original
  }
  return sum
}

function listed(index: TreeIndex): string[] {
  const tables = index.tablesAt(ROOT)
  const [start, end] = tables.rows(1)
  return Array.from({ length: end - start }, (_, at) => tables.nameAt(start + at))
}

/** All that is known of a name of the tree's own directory. */
function described(index: TreeIndex, name: string): unknown {
  const tables = index.tablesAt(ROOT)
  const number = tables.child(1, name)
  const stat = new Stat()
  tables.fill(number, stat)
  return { number, bytes: Buffer.from(stat.bytes).toString('hex'), flags: tables.flags(number) }
}

t.test('the names of the tree itself are told, and others refused, without the rest', async (t) => {
  const tree = await published(t)
  const index = opened(t, tree)
  const whole = opened(t, tree)
  whole.tables.numberOf(1)
  const size = lstatSync(`${tree}.index`).size
  const bytes = read(() => {
    t.same(listed(index), ['app', 'link', 'note'])
    for (const name of ['app', 'link', 'note'])
      t.same(described(index, name), described(whole, name))
    t.equal(index.tablesAt(ROOT).child(1, 'nothing'), 0)
    t.equal(index.directory(relPath('app')), whole.directory(relPath('app')))
    t.equal(index.directory(relPath('note')), 0, 'a file is no directory')
    t.same(index.overrideOf(new Stat()), null)
    index.accessed(1)
  })
  t.ok(bytes < 2000, `${bytes} of ${size} bytes`)
  t.ok(read(() => t.not(index.tables.child(index.directory(relPath('app')), 'f99'), 0)) >= size)
})

t.test('where there are many names, all is loaded', async (t) => {
  const names = Array.from({ length: 70 }, (_, i) => `name${i}`)
  const tree = await published(t, ['app', ...names])
  const index = opened(t, tree)
  t.same(listed(index), ['app', 'link', ...names].sort())
})

t.test('an access is kept, whether the rest was loaded after it or not', async (t) => {
  for (const loads of [false, true]) {
    const tree = await published(t)
    const first = opened(t, tree)
    const number = first.tablesAt(ROOT).child(1, 'note')
    first.tablesOf(number).setAccess(number, 1, 0)
    first.accessed(number)
    const [seconds] = first.tablesOf(number).accessOf(number)
    t.ok(Math.abs(seconds - Date.now() / 1000) < 60)
    if (loads) t.same(first.tables.accessOf(number)[0], seconds, 'in the whole')
    first.close()
    t.equal(opened(t, tree).tablesOf(number).accessOf(number)[0], seconds, 'opened again')
    t.equal(opened(t, tree).tables.accessOf(number)[0], seconds, 'opened again, as a whole')
  }
})

t.test(
  'no byte of the index can be changed so that it tells another name or attribute',
  async (t) => {
    const tree = await published(t)
    const path = `${tree}.index`
    const good = readFileSync(path)
    const answers = (index: TreeIndex) => [
      listed(index),
      ...listed(index).map((name) => described(index, name)),
    ]
    const right = answers(opened(t, tree))
    let refused = 0
    let told = 0
    // The header and what the first names touch lie all over the file.
    for (let at = 0; at < good.length; at += at < 300 ? 1 : 263) {
      const bad = Buffer.from(good)
      bad[at]! ^= 0x41
      writeFileSync(path, bad)
      try {
        t.same(answers(opened(t, tree)), right, `byte ${at}`)
        told += 1
      } catch (err) {
        if ((err as { code?: string }).code !== 'SVS_TREE_DAMAGED') throw err
        refused += 1
      }
    }
    t.ok(refused > 100 && told > 10, `${refused} refused, ${told} concern other names`)
  },
)
