// What an index says of each file, against the disk; and indexes made wrong on purpose.

import { execFileSync } from 'node:child_process'
import {
  linkSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import t, { type Test } from 'tap'
import { Failure } from '../../lib/base/failure.ts'
import { bytesOf, joinPath, parentPath, type RelPath, relPath, shown } from '../../lib/base/path.ts'
import { Stat } from '../../lib/host/stat.ts'
import { AT_FDCWD, must, O, S, sys } from '../../lib/host/sys.ts'
import { listXattr } from '../../lib/host/xattr.ts'
import { openIndex, publishIndex } from '../../lib/layer/index-file.ts'
import { readHeader } from '../../lib/layer/index-format.ts'
import { HAS, type IndexTables } from '../../lib/layer/index-tables.ts'
import { walk } from '../../lib/layer/walk.ts'
import { dice } from '../fuse/mutate.ts'
import { folderOf, isRoot, richTree } from './ground.ts'

const FIELDS = [
  ...['mode', 'nlink', 'uid', 'gid', 'ino', 'size', 'blocks', 'blksize', 'dev', 'rdev'],
  ...['atime', 'atimeNsec', 'mtime', 'mtimeNsec', 'ctime', 'ctimeNsec'],
] as const

/** Of the fuzz test. */
const ROUNDS = Number(process.env.ROUNDS ?? 600)
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)

function setTime(tree: string, name: string, seconds: number, nsec: number): void {
  const dir = must(sys.openat(AT_FDCWD, bytesOf(tree), O.PATH))
  must(sys.utimensat(dir, name, seconds, nsec, seconds, 999_999_999), name)
  sys.close(dir)
}

/** richTree, and what is at the ends of every column. */
function odd(t: Test): string {
  const tree = richTree(join(folderOf(t), 'tree'))
  writeFileSync(join(tree, 'large'), 'x')
  truncateSync(join(tree, 'large'), 2 ** 43 + 5)
  writeFileSync(Buffer.from(`${tree}/${'\xfe'.repeat(255)}`, 'latin1'), '')
  symlinkSync('t'.repeat(4000), join(tree, 'long link'))
  mkdirSync(join(tree, 'empty'))
  mkdirSync(join(tree, 'many'))
  for (let n = 0; n < 300; n++) writeFileSync(join(tree, `many/${n}`), '')
  mkdirSync(join(tree, 'dir/below/deeper'))
  linkSync(join(tree, 'dir/file'), join(tree, 'dir/below/deeper/third'))
  const times = { 'year 1901': -(2 ** 31), 'year 1960': -3e8, 'year 2446': 2 ** 33 + 2 ** 32 }
  for (const [name, time] of Object.entries({ ...times, 'year 36812': 2 ** 40 })) {
    writeFileSync(join(tree, name), '')
    setTime(tree, name, time, 1)
  }
  if (!isRoot) return tree
  execFileSync('mknod', [join(tree, 'char'), 'c', '511', '1048575'])
  execFileSync('mknod', [join(tree, 'block'), 'b', '7', '300'])
  execFileSync('chown', ['-h', '4294967294:1234567', join(tree, 'link')])
  execFileSync('setcap', ['cap_net_raw=ep', join(tree, 'listed')])
  return tree
}

function opened(t: Test, tree: string): { tables: IndexTables; root: number } {
  const root = must(sys.openat(AT_FDCWD, bytesOf(tree), O.RDONLY | O.DIRECTORY), tree)
  t.teardown(() => sys.close(root))
  return { tables: openIndex(bytesOf(`${tree}.index`), root).tables, root }
}

const facts = (stat: Stat) =>
  Object.fromEntries(FIELDS.map((field) => [field, stat[field as 'mode']]))

t.test('every field of every file is what the disk says', async (t) => {
  const tree = odd(t)
  await publishIndex(bytesOf(tree), bytesOf(`${tree}.index`))
  const { tables, root } = opened(t, tree)
  const told = new Stat()
  const links = Buffer.alloc(5000)
  const names = new Map<RelPath, string[]>()
  for (const { path, dir, name, stat } of walk(root)) {
    const at = parentPath(path)
    const number = path === '' ? 1 : tables.child(tables.directory(at), name)
    tables.fill(number, told)
    t.same(facts(told), facts(stat), shown(path))
    t.equal(told.position, number)
    t.equal(stat.position, 0, 'the disk gives no number')
    t.equal(tables.numberOf(stat.ino), number)
    if (path !== '') names.set(at, [...(names.get(at) ?? []), name])
    if ((stat.mode & S.IFMT) === S.IFLNK) {
      const length = must(sys.readlinkat(dir, name, links))
      t.equal(tables.target(number), links.latin1Slice(0, length), `target of ${shown(path)}`)
    }
    const attributes = listXattr(dir, name)
    const has = (attribute: string, bit: number) =>
      t.equal((tables.flags(number) & bit) !== 0, attributes.includes(attribute), attribute)
    t.equal((tables.flags(number) & HAS.any) !== 0, attributes.length > 0)
    has('system.posix_acl_access', HAS.accessList)
    has('system.posix_acl_default', HAS.defaultList)
    has('security.capability', HAS.capability)
  }
  for (const [path, wanted] of names) {
    const [start, end] = tables.rows(tables.directory(path))
    const listed = Array.from({ length: end - start }, (_, at) => tables.nameAt(start + at))
    t.same(listed, wanted, `names in ${shown(path)}`)
  }
})

t.test('what a directory does not hold is absent', async (t) => {
  const tree = odd(t)
  await publishIndex(bytesOf(tree), bytesOf(`${tree}.index`))
  const { tables } = opened(t, tree)
  for (const name of ['', '.', '..', 'di', 'dir/', 'dirr', '\0', '\xff'.repeat(300), 'many/1'])
    t.equal(tables.child(1, name), 0, JSON.stringify(name.slice(0, 9)))
  for (let n = 0; n < 300; n++) t.equal(tables.child(tables.directory(relPath('many')), `${n} `), 0)
  t.equal(tables.child(tables.directory(relPath('empty')), 'a'), 0)
  for (const path of ['dir/file', 'dir/none', 'none/dir', 'empty/a/b'])
    t.equal(tables.directory(relPath(path)), 0, path)
})

t.test('the names of a hard-linked file are known, and what lies above them', async (t) => {
  const tree = odd(t)
  await publishIndex(bytesOf(tree), bytesOf(`${tree}.index`))
  const { tables } = opened(t, tree)
  const number = tables.child(1, 'another name')
  t.same(tables.paths(number), ['another name', 'dir/below/deeper/third', 'dir/file'])
  t.equal(tables.paths(tables.child(1, 'holes')), null)
  const within = (path: string) => tables.linkedWithin(relPath(path))
  for (const path of ['', 'dir', 'dir/below', 'dir/below/deeper', 'dir/file', 'link to the link'])
    t.ok(within(path), path)
  for (const path of ['closed', 'many', 'many/7', 'holes', 'none', 'dir/file/none', 'dir/b'])
    t.notOk(within(path), path)
})

/** Asks everything that the union asks. True where the index was refused as damaged. */
function refused(index: string, root: number): boolean {
  try {
    const { tables } = openIndex(index, root)
    explore(tables)
    return false
  } catch (err) {
    if (err instanceof Failure && err.code === 'SVS_TREE_DAMAGED') return true
    throw err
  }
}

function explore(tables: IndexTables): void {
  const stat = new Stat()
  const { number, inodes } = tables.columns
  const paths: RelPath[] = ['' as RelPath]
  let met = 0
  for (let path = paths.pop(); path !== undefined; path = paths.pop()) {
    const directory = tables.directory(path)
    if (directory === 0) continue
    const [start, end] = tables.rows(directory)
    for (let row = start; row < end; row++) {
      met += 1
      if (met > number.length) throw new Error('a tree that has no end')
      const name = tables.nameAt(row)
      const found = tables.child(directory, name)
      if (/[/\0]/.test(name) || name === '..') throw new Error(`a name ${name}`)
      if (tables.isDirectory(found)) paths.push(joinPath(path, name))
    }
  }
  for (let n = 1; n < inodes.length; n++) {
    tables.fill(n, stat)
    tables.override(n)
    tables.flags(n)
    tables.numberOf(inodes[n]!)
    tables.paths(n)
    if ((stat.mode & S.IFMT) === S.IFLNK) tables.target(n)
  }
  for (const path of ['dir', 'dir/file', 'none/at']) tables.linkedWithin(relPath(path))
}

const AT_VERSION = 8
const AT_CRC = 28

function sign(bytes: Buffer): Buffer {
  bytes.writeUInt32LE(crc32(bytes.subarray(AT_CRC + 4), crc32(bytes.subarray(0, AT_CRC))), AT_CRC)
  return bytes
}

t.test(
  `an index that was changed is refused, or its answers have an end (SEED=${seed})`,
  async (t) => {
    const tree = richTree(join(folderOf(t), 'tree'))
    const index = bytesOf(`${tree}.index`)
    await publishIndex(
      bytesOf(tree),
      index,
      new Map([[relPath('holes'), { mode: 0o100644, uid: 5 }]]),
    )
    const whole = readFileSync(index)
    const { root } = opened(t, tree)
    t.notOk(refused(index, root), 'whole')
    const roll = dice(seed)
    let passed = 0
    for (let left = ROUNDS; left > 0; left--) {
      const bytes = Buffer.from(whole)
      for (let changes = 1 + roll(3); changes > 0; changes--) {
        const at = 8 + roll(whole.length - 12)
        if (roll(2) === 0) bytes[at] = roll(256)
        else bytes.writeUInt32LE([0, 1, 2, 7, 0xffff, 0x7fff_ffff, 0xffff_ffff][roll(7)]!, at & ~3)
      }
      // Of version 1, which had no checksum, nothing but the overrides is taken.
      if (bytes.equals(whole) || bytes.readUInt32LE(AT_VERSION) === 1) continue
      writeFileSync(index, bytes)
      if (!refused(index, root)) t.fail(`accepted with a wrong checksum, ${left} left`)
      writeFileSync(index, sign(bytes))
      if (!refused(index, root)) passed += 1
    }
    t.comment(`${passed} of ${ROUNDS} with a right checksum were taken`)
    for (const length of [0, 7, 8, 31, 96, 127, 128, 500, whole.length - 1]) {
      writeFileSync(index, whole.subarray(0, length))
      t.ok(refused(index, root), `${length} bytes`)
    }
    writeFileSync(index, Buffer.concat([whole, Buffer.alloc(1)]))
    t.ok(refused(index, root), 'one byte more')
  },
)

t.test('a higher version is refused', async (t) => {
  const tree = richTree(join(folderOf(t), 'tree'))
  const index = bytesOf(`${tree}.index`)
  await publishIndex(bytesOf(tree), index)
  const bytes = readFileSync(index)
  bytes.writeUInt32LE(3, 8)
  writeFileSync(index, sign(bytes))
  const root = must(sys.openat(AT_FDCWD, bytesOf(tree), O.PATH))
  t.throws(() => openIndex(index, root), { message: /format 3/ })
  sys.close(root)
})

t.test('an index of version 1 is made anew, with what the disk did not hold', async (t) => {
  const tree = richTree(join(folderOf(t), 'tree'))
  const index = bytesOf(`${tree}.index`)
  const overrides = new Map([[relPath('holes'), { mode: 0o100600, gid: 5 }]])
  const { digest, entries } = await publishIndex(bytesOf(tree), index, overrides)
  const { tables, root } = opened(t, tree)
  const number = tables.child(1, 'holes')
  const { files } = readHeader(readFileSync(index)).counts
  const old = Buffer.alloc(96 + files * 12 + 20)
  readFileSync(index).copy(old, 0, 0, 96)
  // Version; bytes of links, of which it had names in their place.
  old.writeUInt32LE(1, 8)
  old.writeUInt32LE(0, 24)
  for (const [at, word] of [number, 0o100600, 0xffff_ffff, 5, 0xffff_ffff].entries())
    old.writeUInt32LE(word, 96 + files * 12 + at * 4)
  writeFileSync(index, old)
  const renewed = openIndex(index, root)
  t.match(renewed, { digest, entries })
  t.equal(renewed.tables.child(1, 'holes'), number)
  t.same(renewed.tables.override(number), { mode: 0o100600, gid: 5 })
  t.equal(readFileSync(index).readUInt32LE(8), 2, 'written down')
})
