// Imports keep everything that a file has, from wherever it comes.

import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { bytesOf, relPath } from '../../lib/base/path.ts'
import { findTool, type Tool } from '../../lib/host/tool.ts'
import { sourceOf } from '../../lib/layer/import.ts'
import { digestOf, folderOf, importAs, isRoot, oneTime, richTree, setAttribute } from './ground.ts'
import { writeTar } from './tar-of.ts'

t.test('a directory comes out as it went in', async (t) => {
  const folder = folderOf(t)
  const source = richTree(join(folder, 'source'))
  const before = await digestOf(source)
  const { tree, digest, overrides, warnings } = await importAs(folder, 'tree', {
    kind: 'directory',
    path: bytesOf(source),
  })
  t.equal(digest, before)
  // A directory that its owner may not change is opened for a user, who has no other way in.
  const opened = new Map([[relPath('closed'), { mode: 0o042555 }]])
  t.same(overrides, isRoot ? new Map() : opened)
  t.same(warnings, [])
  t.equal(lstatSync(join(tree, 'dir/file')).ino, lstatSync(join(tree, 'another name')).ino)
  t.equal(lstatSync(join(tree, 'tagged')).mode & 0o7777, 0o4750)
  t.ok(lstatSync(join(tree, 'holes')).blocks < 100, 'holes stay holes')
  t.equal(lstatSync(join(tree, 'closed'), { bigint: true }).mtimeNs % 1_000_000_000n, 123456789n)
})

const COMPRESSIONS = { none: null, gzip: 'gzip', xz: 'xz', zstd: 'zstd', bzip2: 'bzip2' } as const

for (const [name, tool] of Object.entries(COMPRESSIONS)) {
  const skip = tool !== null && !isInstalled(tool) && `${tool} is not installed`
  t.test(`a tar archive of it comes out the same (compression: ${name})`, { skip }, async (t) => {
    const folder = folderOf(t)
    const source = richTree(join(folder, 'source'))
    const before = await digestOf(source)
    const archive = join(folder, 'archive')
    const keep = ['--format=pax', '--xattrs', '--acls', '--sparse', '--numeric-owner']
    const flags = tool === null ? keep : [...keep, `--${tool}`]
    execFileSync('tar', ['-C', source, ...flags, '-cf', archive, '.'])
    const { digest, tree } = await importAs(folder, 'tree', sourceOf([bytesOf(archive)]))
    t.equal(digest, before)
    t.ok(lstatSync(join(tree, 'holes')).blocks < 100, 'holes stay holes')
  })
}

t.test('the formats of tar before pax are read too', async (t) => {
  const folder = folderOf(t)
  const source = join(folder, 'source')
  const long = `${'directory/'.repeat(12)}${'long'.repeat(30)}`
  mkdirSync(join(source, long, '..'), { recursive: true })
  writeFileSync(join(source, long), 'deep')
  symlinkSync('target/'.repeat(30), join(source, 'link'))
  writeFileSync(join(source, 'holes'), 'x')
  execFileSync('truncate', ['-s', '4M', join(source, 'holes')])
  for (let at = 0; at < 40; at += 2)
    execFileSync('dd', [
      'if=/dev/zero',
      `of=${join(source, 'holes')}`,
      'bs=64k',
      `seek=${at}`,
      'count=1',
      'conv=notrunc',
      'status=none',
    ])
  const archive = join(folder, 'archive')
  execFileSync('tar', ['-C', source, '--format=gnu', '--sparse', '-cf', archive, '.'])
  const { tree } = await importAs(folder, 'tree', sourceOf([bytesOf(archive)]))
  t.equal(readFileSync(join(tree, long), 'utf8'), 'deep')
  t.equal(readlinkSync(join(tree, 'link')), 'target/'.repeat(30))
  t.same(readFileSync(join(tree, 'holes')), readFileSync(join(source, 'holes')))
})

t.test('an archive without its directories gives the same tree each time', async (t) => {
  const folder = folderOf(t)
  const archive = writeTar(join(folder, 'archive'), [{ name: 'a/b/c', data: 'x' }])
  const first = await importAs(folder, 'one', sourceOf([archive]))
  await new Promise((resolve) => setTimeout(resolve, 20))
  t.equal((await importAs(folder, 'two', sourceOf([archive]))).digest, first.digest)
  t.equal(lstatSync(join(first.tree, 'a')).mode & 0o7777, 0o755)
})

t.test('nothing makes an empty tree, the same each time', async (t) => {
  const folder = folderOf(t)
  const first = await importAs(folder, 'one', sourceOf([]))
  t.same(readdirSync(first.tree), [])
  t.equal((await importAs(folder, 'two', { kind: 'empty' })).digest, first.digest)
})

t.test('what is left out of a directory is said', async (t) => {
  const folder = folderOf(t)
  const source = join(folder, 'source')
  mkdirSync(join(source, 'store/secret'), { recursive: true })
  writeFileSync(join(source, 'file'), '')
  setAttribute(join(source, 'file'), 'user.overlay.opaque', 'y')
  const { tree, warnings } = await importAs(
    folder,
    'source/into',
    { kind: 'directory', path: source },
    { leaveOut: [join(source, 'store')] },
  )
  t.same(readdirSync(tree), ['file', 'into', 'store'])
  t.same(readdirSync(join(tree, 'store')), [])
  t.same(readdirSync(join(tree, 'into')), [], 'the new tree is not copied into itself')
  t.match([...warnings].sort(), [
    /^file: attribute user.overlay.opaque is a mark/,
    /^into: /,
    /^store: /,
  ])
})

t.test('a source that cannot be imported is named', async (t) => {
  const folder = folderOf(t)
  writeFileSync(join(folder, 'text'), 'some text')
  t.throws(() => sourceOf([join(folder, 'absent')]), { code: 'SVS_SOURCE_NOT_FOUND', exit: 3 })
  t.throws(() => sourceOf([join(folder, 'text')]), { code: 'SVS_SOURCE_UNKNOWN', exit: 10 })
  t.throws(() => sourceOf([folder, folder]), { code: 'SVS_SOURCE_MIXED', exit: 2 })
  t.throws(() => sourceOf(['/dev/null']), { code: 'SVS_SOURCE_UNKNOWN' })
})

t.test('packages of one layer become one tree', async (t) => {
  const folder = folderOf(t)
  const base = join(folder, 'base')
  mkdirSync(join(base, 'usr/bin'), { recursive: true })
  mkdirSync(join(base, 'usr/lib/x86'), { recursive: true })
  mkdirSync(join(base, 'run'))
  mkdirSync(join(base, 'var'))
  symlinkSync('usr/bin', join(base, 'bin'))
  symlinkSync('usr/lib', join(base, 'lib'))
  symlinkSync('/run', join(base, 'var/run'))
  const first = packageOf(folder, 'first', {
    'bin/one': '1',
    'lib/x86/one.so': '1',
    'usr/share/both': 'first',
    'var/run/one': '',
  })
  const second = packageOf(folder, 'second', { 'usr/bin/two': '2', 'usr/share/both': 'second' })
  const { tree, warnings } = await importAs(folder, 'tree', sourceOf([first, second]), {
    base,
    folders: ['srv/app', '/srv/app/profile'],
  })
  const files = execFileSync('find', ['.', '-type', 'f', '-printf', '%P\n'], {
    cwd: tree,
    encoding: 'utf8',
  })
  t.same(files.trim().split('\n').sort(), [
    'run/one',
    'usr/bin/one',
    'usr/bin/two',
    'usr/lib/x86/one.so',
    'usr/share/both',
  ])
  t.notOk(existsSync(join(tree, 'bin')), 'the link of the base is not hidden')
  t.equal(readFileSync(join(tree, 'usr/share/both'), 'utf8'), 'second', 'the later package wins')
  t.equal(lstatSync(join(tree, 'srv/app')).mode & 0o7777, 0o700)
  t.equal(lstatSync(join(tree, 'srv/app/profile')).mode & 0o7777, 0o700)
  t.equal(
    lstatSync(join(tree, 'usr/bin')).mtimeMs,
    lstatSync(join(tree, 'usr/bin/one')).mtimeMs,
    'directories have the times of the package',
  )
  t.same(warnings, [])
  t.notOk(existsSync(`${tree}.unpacked`))
})

t.test(
  'owners that the disk cannot hold become overrides',
  { skip: isRoot && 'root holds them all' },
  async (t) => {
    const folder = folderOf(t)
    const archive = writeTar(join(folder, 'archive'), [
      { name: './', kind: '5', mode: 0o755, uid: 0, gid: 0 },
      { name: 'suid', mode: 0o4755, uid: 0, gid: 0, data: 'x' },
      { name: 'closed/', kind: '5', mode: 0o500 },
      { name: 'closed/secret', mode: 0, data: 'y' },
      { name: 'disk', kind: '3', mode: 0o660, uid: 0, gid: 6, device: [8, 1] },
    ])
    const { tree, overrides } = await importAs(folder, 'tree', sourceOf([archive]))
    t.same(overrides.get(relPath('suid')), { uid: 0, gid: 0, mode: 0o104755 })
    t.same(overrides.get(relPath('')), { uid: 0, gid: 0 })
    t.same(overrides.get(relPath('closed')), { mode: 0o040500 })
    t.same(overrides.get(relPath('closed/secret')), { mode: 0o100000 })
    t.match(overrides.get(relPath('disk')), { uid: 0, mode: 0o020660, rdev: 0x801 })
    t.equal(lstatSync(join(tree, 'suid')).mode & 0o7777, 0o755)
    t.equal(readFileSync(join(tree, 'closed/secret'), 'utf8'), 'y')
    t.equal(lstatSync(join(tree, 'disk')).size, 0)
  },
)

/** A .deb with these files, all owned by root inside. */
function packageOf(folder: string, name: string, files: Record<string, string>): string {
  const at = join(folder, name)
  mkdirSync(join(at, 'DEBIAN'), { recursive: true })
  writeFileSync(
    join(at, 'DEBIAN/control'),
    `Package: ${name}\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: test\n`,
  )
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(at, path, '..'), { recursive: true })
    writeFileSync(join(at, path), text)
  }
  oneTime(at)
  execFileSync('chmod', ['-R', 'u=rwX,go=rX', at])
  chmodSync(join(at, 'DEBIAN'), 0o755)
  execFileSync('dpkg-deb', ['--root-owner-group', '--build', at, `${at}.deb`], { stdio: 'ignore' })
  return `${at}.deb`
}

function isInstalled(tool: Tool): boolean {
  try {
    return findTool(tool) !== ''
  } catch {
    return false
  }
}
