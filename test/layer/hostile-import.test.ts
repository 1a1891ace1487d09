// Archives that try to reach out of their tree, or to pass for something else.

import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { AT_FDCWD, O, sys } from '../../lib/host/sys.ts'
import { listXattr } from '../../lib/host/xattr.ts'
import { sourceOf } from '../../lib/layer/import.ts'
import { folderOf, importAs, isRoot } from './ground.ts'
import { type Part, tarOf, writeTar } from './tar-of.ts'

const ESCAPES: Record<string, readonly Part[]> = {
  'an absolute name': [{ name: '/ABSOLUTE/victim', data: 'x' }],
  'a name with ..': [{ name: '../victim', data: 'x' }],
  'a name with .. in the middle': [{ name: 'a/../../victim', data: 'x' }],
  'a name through a link to outside': [
    { name: 'out', kind: '2', link: '..' },
    { name: 'out/victim', data: 'x' },
  ],
  'a name through a link of a link': [
    { name: 'a', kind: '2', link: '.' },
    { name: 'a/out', kind: '2', link: '/' },
    { name: 'a/out/victim', data: 'x' },
  ],
  'a name through a hard link to a link': [
    { name: 'out', kind: '2', link: '..' },
    { name: 'hard', kind: '1', link: 'out' },
    { name: 'hard/victim', data: 'x' },
  ],
  'a hard link to outside': [{ name: 'h', kind: '1', link: '../victim' }],
  'a hard link to an absolute name': [{ name: 'h', kind: '1', link: '/etc/passwd' }],
  'a hard link through a link': [
    { name: 'out', kind: '2', link: '..' },
    { name: 'h', kind: '1', link: 'out/victim' },
  ],
  'an extended header with ..': [{ name: 'innocent', pax: { path: '../victim' }, data: 'x' }],
  'a sparse file with ..': [
    { name: 'innocent', pax: { 'GNU.sparse.name': '../victim' }, data: 'x' },
  ],
}

for (const [what, parts] of Object.entries(ESCAPES)) {
  t.test(`${what} is refused, and nothing is written`, async (t) => {
    const folder = folderOf(t)
    writeFileSync(join(folder, 'victim'), 'untouched')
    const archive = writeTar(join(folder, 'archive'), parts)
    await t.rejects(importAs(folder, 'tree', sourceOf([archive])), {
      code: 'SVS_ARCHIVE_ESCAPES',
      exit: 10,
    })
    t.equal(readFileSync(join(folder, 'victim'), 'utf8'), 'untouched')
    t.equal(lstatSync(join(folder, 'victim')).nlink, 1)
    t.same(readdirSync(folder).sort(), ['archive', 'victim'], 'nothing is left')
  })
}

const BROKEN: Record<string, Buffer> = {
  'a hard link with data': tarOf([
    { name: 'a' },
    { name: 'b', kind: '1', link: 'a', data: 'hidden member' },
  ]),
  'a link whose extended header has a size': tarOf([
    { name: 'b', kind: '2', link: 'a', pax: { size: '512' } },
  ]),
  'an unknown kind': tarOf([{ name: 'a', kind: 'Q' }]),
  'a size beyond numbers': tarOf([{ name: 'a', pax: { size: '9'.repeat(17) } }]),
  'a global header that renames members': tarOf([
    { name: 'g', kind: 'g', data: '17 path=../../a\n\n' },
  ]),
  'an extended header that is none': tarOf([{ name: 'x', kind: 'x', data: 'no record' }]),
  'an extended header without its member': tarOf([{ name: 'x', kind: 'x', data: '10 a=bcde\n' }]),
  'an extended header of 100 MB': tarOf([{ name: 'x', kind: 'x', size: 100_000_000 }]),
  'an owner that is none': tarOf([{ name: 'a', pax: { uid: '4294967295' } }]),
  'a broken time': tarOf([{ name: 'a', pax: { mtime: 'yesterday' } }]),
  'a file that ends early': tarOf([{ name: 'a', data: 'x'.repeat(5000) }]).subarray(0, 3000),
  'a damaged header': damaged(tarOf([{ name: 'a' }, { name: 'b' }])),
}

for (const [what, bytes] of Object.entries(BROKEN)) {
  t.test(`${what} is refused, and nothing is left`, async (t) => {
    const folder = folderOf(t)
    writeFileSync(join(folder, 'archive'), bytes)
    await t.rejects(importAs(folder, 'tree', sourceOf([join(folder, 'archive')])), {
      code: 'SVS_ARCHIVE_INVALID',
      exit: 10,
    })
    t.same(readdirSync(folder), ['archive'])
  })
}

t.test('links that lead out are kept as links, and nobody follows them', async (t) => {
  const folder = folderOf(t)
  mkdirSync(join(folder, 'outside'))
  const archive = writeTar(join(folder, 'archive'), [
    { name: 'out', kind: '2', link: '../outside' },
    { name: 'root', kind: '2', link: '/' },
    { name: 'after', data: 'x' },
  ])
  const { tree } = await importAs(folder, 'tree', sourceOf([archive]))
  t.same(readdirSync(tree), ['after', 'out', 'root'])
  t.same(readdirSync(join(folder, 'outside')), [])
})

t.test('marks never come out of an archive', async (t) => {
  const folder = folderOf(t)
  const archive = writeTar(join(folder, 'archive'), [
    {
      name: 'd/',
      kind: '5',
      mode: 0o755,
      pax: { 'SCHILY.xattr.trusted.overlay.opaque': 'y', 'SCHILY.xattr.user.overlay.opaque': 'y' },
    },
    {
      name: 'f',
      data: 'x',
      pax: { 'SCHILY.xattr.user.svsfs.base': '/x', 'SCHILY.xattr.user.kept': 'yes' },
    },
    { name: 'deleted', kind: '3', mode: 0, device: [0, 0] },
  ])
  const { tree, warnings } = await importAs(folder, 'tree', sourceOf([archive]))
  t.same(readdirSync(tree), ['d', 'f'])
  t.match(warnings.join('\n'), /deleted: is a mark of deletion/)
  const root = sys.openat(AT_FDCWD, tree, O.RDONLY)
  t.same(listXattr(root, 'd'), [])
  t.same(listXattr(root, 'f'), ['user.kept'])
  sys.close(root)
})

t.test('a device in an archive is a device for root alone', async (t) => {
  const folder = folderOf(t)
  const archive = writeTar(join(folder, 'archive'), [
    { name: 'zero', kind: '3', mode: 0o666, uid: 0, gid: 0, device: [1, 5] },
  ])
  const { tree } = await importAs(folder, 'tree', sourceOf([archive]))
  const stat = lstatSync(join(tree, 'zero'))
  t.equal(stat.isCharacterDevice(), isRoot)
  t.equal(stat.isFile(), !isRoot)
})

t.test('what is no archive at all is refused', async (t) => {
  const folder = folderOf(t)
  for (const [name, bytes] of Object.entries({
    gz: Buffer.from('1f8b0800000000000003', 'hex'),
    xz: Buffer.from('fd377a585a000000', 'hex'),
    deb: Buffer.from('!<arch>\nnot a package', 'latin1'),
  })) {
    writeFileSync(join(folder, name), bytes)
    await t.rejects(
      importAs(folder, 'tree', sourceOf([join(folder, name)])),
      { code: 'SVS_ARCHIVE_INVALID' },
      name,
    )
    t.notOk(existsSync(join(folder, 'tree')))
  }
})

/** The second header with one byte changed. */
function damaged(bytes: Buffer): Buffer {
  bytes[512 + 3] = 0x61
  return bytes
}
