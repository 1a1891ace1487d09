// The index of a read-only sublayer: numbers, names of hard-linked files, overrides, the digest.

import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { relPath } from '../../lib/base/path.ts'
import { AT_FDCWD, must, O, sys } from '../../lib/host/sys.ts'
import { openIndex, publishIndex, readTreeFacts } from '../../lib/layer/index-file.ts'

function treeOf(t: Test): { tree: string; index: string; dir: string } {
  const dir = mkdtempSync(join(tmpdir(), 'svsfs-index-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const tree = join(dir, 'tree')
  mkdirSync(join(tree, 'b/deep'), { recursive: true })
  mkdirSync(join(tree, 'a.b'))
  writeFileSync(join(tree, 'a'), 'first')
  writeFileSync(join(tree, 'b/deep/f'), 'deep')
  writeFileSync(join(tree, 'b/z'), 'z')
  linkSync(join(tree, 'b/z'), join(tree, 'c'))
  symlinkSync('b/z', join(tree, 'l'))
  // Nanoseconds of now differ between two trees: give every name one time.
  touch(tree)
  return { tree, index: join(dir, '1.index'), dir }
}

function touch(tree: string): void {
  const time = '2024-05-06 07:08:09.123456789'
  execFileSync('find', [tree, '-exec', 'touch', '-h', '-d', time, '{}', '+'])
}

function openTree(t: Test, tree: string): number {
  const fd = must(sys.openat(AT_FDCWD, tree, O.RDONLY | O.DIRECTORY), tree)
  t.teardown(() => sys.close(fd))
  return fd
}

const inodeOf = (path: string): number => lstatSync(path).ino

// The walk of treeOf: root, a, a.b, b, b/deep, b/deep/f, b/z, c, l
const POSITIONS = { '': 1, a: 2, 'a.b': 3, b: 4, 'b/deep': 5, 'b/deep/f': 6, 'b/z': 7, c: 7, l: 9 }

t.test('a number is the position in the walk, shared by all names of a file', async (t) => {
  const { tree, index } = treeOf(t)
  const facts = await publishIndex(tree, index)
  t.match(facts, { entries: 9, bytes: 5 + 4 + 1, digest: /^[0-9a-f]{64}$/ })
  t.same(readTreeFacts(index), { ...readTreeFacts(index), ...facts })
  const opened = openIndex(index, openTree(t, tree))
  for (const [path, position] of Object.entries(POSITIONS)) {
    t.equal(opened.number(inodeOf(join(tree, path))), position, path)
  }
  t.equal(opened.number(1), 0, 'an inode of another file has none')
})

t.test('names are known for hard-linked files, and for no others', async (t) => {
  const { tree, index } = treeOf(t)
  await publishIndex(tree, index)
  const opened = openIndex(index, openTree(t, tree))
  t.same(opened.names(inodeOf(join(tree, 'c'))), ['b/z', 'c'])
  t.equal(opened.names(inodeOf(join(tree, 'a'))), null)
})

t.test('overrides come back field by field', async (t) => {
  const { tree, index } = treeOf(t)
  await publishIndex(
    tree,
    index,
    new Map([
      [relPath('a'), { uid: 0, gid: 42 }],
      [relPath('c'), { mode: 0o100000 }],
      [relPath(''), { rdev: 0x103 }],
    ]),
  )
  const opened = openIndex(index, openTree(t, tree))
  t.same(opened.override(inodeOf(join(tree, 'a'))), { uid: 0, gid: 42 })
  t.same(opened.override(inodeOf(join(tree, 'b/z'))), { mode: 0o100000 })
  t.same(opened.override(inodeOf(tree)), { rdev: 0x103 })
  t.equal(opened.override(inodeOf(join(tree, 'l'))), null)
})

t.test('a copied tree has the same numbers, digest and overrides', async (t) => {
  const { tree, index, dir } = treeOf(t)
  const linked = new Map(['b/z', 'c'].map((name) => [relPath(name), { uid: 7 }]))
  const facts = await publishIndex(tree, index, linked)
  const copy = join(dir, 'copy')
  execFileSync('cp', ['-a', tree, copy])
  execFileSync('cp', [index, join(dir, '2.index')])
  for (const round of ['walked', 'written anew']) {
    const opened = openIndex(join(dir, '2.index'), openTree(t, copy))
    for (const [path, position] of Object.entries(POSITIONS)) {
      t.equal(opened.number(inodeOf(join(copy, path))), position, `${path} ${round}`)
    }
    t.same(opened.names(inodeOf(join(copy, 'c'))), ['b/z', 'c'])
    t.same(opened.override(inodeOf(join(copy, 'c'))), { uid: 7 })
    t.equal(opened.digest, facts.digest)
  }
  t.equal((await publishIndex(copy, join(dir, '3.index'), linked)).digest, facts.digest)
})

t.test('the digest changes when anything changes', async (t) => {
  const changes: Record<string, (tree: string) => void> = {
    content: (tree) => writeFileSync(join(tree, 'a'), 'fIrst'),
    size: (tree) => truncateSync(join(tree, 'a'), 6),
    mode: (tree) => chmodSync(join(tree, 'a'), 0o600),
    setuid: (tree) => chmodSync(join(tree, 'a'), 0o4755),
    time: (tree) => utimesSync(join(tree, 'a'), 1, 1),
    'time of a directory': (tree) => utimesSync(join(tree, 'b'), 1, 1),
    'a name': (tree) => execFileSync('mv', [join(tree, 'a'), join(tree, 'A')]),
    'target of a link': (tree) => execFileSync('ln', ['-sfn', 'b/y', join(tree, 'l')]),
    'a hard link became a copy': (tree) => {
      rmSync(join(tree, 'c'))
      execFileSync('cp', ['-a', join(tree, 'b/z'), join(tree, 'c')])
    },
    'an attribute': (tree) =>
      execFileSync('setfattr', ['-n', 'user.a', '-v', 'x', join(tree, 'a')]),
    'an empty directory': (tree) => mkdirSync(join(tree, 'new')),
  }
  const { tree, index } = treeOf(t)
  const { digest } = await publishIndex(tree, index)
  for (const [what, change] of Object.entries(changes)) {
    const other = treeOf(t)
    t.equal((await publishIndex(other.tree, other.index)).digest, digest, `same before: ${what}`)
    change(other.tree)
    // What is tested is not the time of the change.
    if (!what.startsWith('time')) touch(other.tree)
    t.not((await publishIndex(other.tree, other.index)).digest, digest, what)
  }
})

t.test('the digest does not tell written zeros from holes', async (t) => {
  const size = 300_001
  const zeros = Buffer.alloc(size)
  zeros.write('data', 200_000)
  const ways: Record<string, (path: string) => void> = {
    written: (path) => writeFileSync(path, zeros),
    'with holes': (path) => {
      writeFileSync(path, '')
      truncateSync(path, size)
      const fd = openSync(path, 'r+')
      writeSync(fd, 'data', 200_000)
      closeSync(fd)
    },
    'with a hole at its end': (path) => {
      writeFileSync(path, zeros.subarray(0, 250_000))
      truncateSync(path, size)
    },
  }
  const digests = await Promise.all(
    Object.values(ways).map(async (way) => {
      const { tree, index } = treeOf(t)
      way(join(tree, 'a'))
      touch(tree)
      return (await publishIndex(tree, index)).digest
    }),
  )
  t.equal(new Set(digests).size, 1, Object.keys(ways).join(', '))
})

t.test(
  'the digest tells where the data lies in a file full of holes, and how long it is',
  async (t) => {
    const digestOf = async (offset: number, size: number) => {
      const { tree, index } = treeOf(t)
      truncateSync(join(tree, 'a'), 0)
      truncateSync(join(tree, 'a'), size)
      const fd = openSync(join(tree, 'a'), 'r+')
      writeSync(fd, 'data', offset)
      closeSync(fd)
      touch(tree)
      return (await publishIndex(tree, index)).digest
    }
    const first = await digestOf(0, 1 << 20)
    t.equal(await digestOf(0, 1 << 20), first)
    t.not(await digestOf(1 << 18, 1 << 20), first, 'elsewhere')
    t.not(await digestOf(1, 1 << 20), first, 'one byte further')
    t.not(await digestOf(0, 1 << 21), first, 'longer')
  },
)

t.test('a terabyte of holes is read at once', async (t) => {
  const { tree, index } = treeOf(t)
  truncateSync(join(tree, 'a'), 2 ** 40)
  const begun = Date.now()
  const facts = await publishIndex(tree, index)
  t.equal(facts.bytes, 2 ** 40 + 4 + 1)
  t.ok(Date.now() - begun < 10_000, 'a terabyte of zeros would take minutes')
})

t.test('overrides count in the digest in place of what the disk holds', async (t) => {
  const { tree, index } = treeOf(t)
  chmodSync(join(tree, 'a'), 0o444)
  const { digest } = await publishIndex(tree, index)
  chmodSync(join(tree, 'a'), 0o644)
  const overridden = await publishIndex(tree, index, new Map([[relPath('a'), { mode: 0o100444 }]]))
  t.equal(overridden.digest, digest)
})

t.test('a broken index is named damage', async (t) => {
  const { tree, index } = treeOf(t)
  await publishIndex(tree, index)
  const root = openTree(t, tree)
  const size = lstatSync(index).size
  for (const length of [0, 10, 70, 100, size - 1]) {
    truncateSync(index, length)
    t.throws(
      () => openIndex(index, root).number(1),
      { code: 'SVS_TREE_DAMAGED' },
      `${length} bytes`,
    )
  }
  writeFileSync(index, Buffer.alloc(500, 0xff))
  t.throws(() => openIndex(index, root), { code: 'SVS_TREE_DAMAGED' })
})

t.test('a tree that lost a file does not get numbers of another', async (t) => {
  const { tree, index, dir } = treeOf(t)
  await publishIndex(tree, index)
  const copy = join(dir, 'copy')
  execFileSync('cp', ['-a', tree, copy])
  rmSync(join(copy, 'a'))
  t.throws(() => openIndex(index, openTree(t, copy)).number(1), { code: 'SVS_TREE_DAMAGED' })
})
