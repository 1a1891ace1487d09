// Imports by root: foreign owners, devices, capabilities; and what a user's import makes of the same.
// Needs root: it makes devices and files of other users

import { execFileSync } from 'node:child_process'
import { chownSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { relPath } from '../../lib/base/path.ts'
import { sourceOf } from '../../lib/layer/import.ts'
import { digestOf, folderOf, importAs, oneTime, richTree, setAttribute } from './ground.ts'
import { writeTar } from './tar-of.ts'

/** cap_net_raw=ep, as the kernel stores it. */
const CAPABILITY = Buffer.from('0100000200200000000000000000000000000000', 'hex')

function foreignTree(at: string): string {
  richTree(at)
  writeFileSync(join(at, 'of another'), 'x')
  chownSync(join(at, 'of another'), 1234, 5678)
  writeFileSync(join(at, 'capable'), 'x')
  setAttribute(join(at, 'capable'), 'security.capability', CAPABILITY)
  setAttribute(join(at, 'dir'), 'trusted.note', 'kept')
  execFileSync('mknod', ['-m', '640', join(at, 'disk'), 'b', '259', '300000'])
  execFileSync('mknod', ['-m', '666', join(at, 'null'), 'c', '1', '3'])
  oneTime(at)
  return at
}

t.test('owners, devices and capabilities come out of a directory and of an archive', async (t) => {
  const folder = folderOf(t)
  const source = foreignTree(join(folder, 'source'))
  const before = await digestOf(source)
  const copied = await importAs(folder, 'copied', sourceOf([source]))
  t.equal(copied.digest, before)
  const archive = join(folder, 'archive')
  const keep = ['--format=pax', '--xattrs', '--xattrs-include=*', '--acls', '--sparse']
  execFileSync('tar', ['-C', source, ...keep, '-cf', archive, '.'])
  const unpacked = await importAs(folder, 'unpacked', sourceOf([archive]))
  t.equal(unpacked.digest, before)
  t.same([...copied.warnings, ...unpacked.warnings], [])
})

t.test(
  'a user imports the same digest, with overrides for what the disk cannot hold',
  async (t) => {
    const folder = folderOf(t)
    const archive = writeTar(join(folder, 'archive'), [
      { name: './', kind: '5', mode: 0o755, uid: 0, gid: 0 },
      { name: 'a', mode: 0o6755, uid: 1234, gid: 5678, data: 'x' },
      { name: 'b', kind: '1', link: 'a' },
      { name: 'c', mode: 0o044, uid: 1234, gid: 5678, data: 'y' },
      { name: 'd/', kind: '5', mode: 0o055, uid: 1234, gid: 5678 },
      { name: 'd/e', kind: '4', mode: 0o660, uid: 0, gid: 6, device: [259, 1000] },
      { name: 'implied/f', mode: 0o644, uid: 0, gid: 0 },
      { name: 'l', kind: '2', link: 'a', uid: 1234, gid: 5678, mode: 0o777 },
    ])
    const asRoot = await importAs(folder, 'root', sourceOf([archive]), { privileged: true })
    // Not privileged: nothing is given to its owner, whoever runs this.
    const asUser = await importAs(folder, 'user', sourceOf([archive]), { privileged: false })
    t.equal(asRoot.overrides.size, 0)
    t.equal(asUser.digest, asRoot.digest)
    t.match(asUser.overrides.get(relPath('d/e')), {
      mode: 0o060660,
      rdev: (259 << 8) | 0xe8 | (3 << 20),
    })
    t.equal(lstatSync(join(asUser.tree, 'd/e')).size, 0)
    t.equal(lstatSync(join(asRoot.tree, 'a')).uid, 1234)
  },
)

t.test('a mark of deletion in a directory is left out and said', async (t) => {
  const folder = folderOf(t)
  const source = join(folder, 'source')
  mkdirSync(source)
  execFileSync('mknod', [join(source, 'gone'), 'c', '0', '0'])
  setAttribute(source, 'trusted.overlay.opaque', 'y')
  const { tree, warnings } = await importAs(folder, 'tree', sourceOf([source]))
  t.same(readdirSync(tree), [])
  t.match(warnings.join('\n'), /gone: is a mark of deletion/)
  t.match(warnings.join('\n'), /attribute trusted.overlay.opaque is a mark/)
})

t.test('what is mounted inside a directory is not imported', async (t) => {
  const folder = folderOf(t)
  const source = join(folder, 'source')
  mkdirSync(join(source, 'mounted'), { recursive: true })
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', join(source, 'mounted')])
  t.teardown(() => execFileSync('umount', [join(source, 'mounted')]))
  writeFileSync(join(source, 'mounted/file'), '')
  const { tree, warnings } = await importAs(folder, 'tree', sourceOf([source]))
  t.same(readdirSync(join(tree, 'mounted')), [])
  t.match(warnings, [/^mounted: /])
})
