// Container images that become layers, held against what another tool unpacks, and those that must not.

import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { layerPlaces } from '../../lib/daemon/store-path.ts'
import { create, richSource, type StoreAsked, storeAsked } from '../archive/store-asked.ts'
import { type Part, tarOf } from '../layer/tar-of.ts'
import { describeTree, placeOf } from '../snapshot/fixture.ts'
import { type ImageWish, type Packing, sha256, writeImage } from './image-of.ts'
import { needing, realRegistry } from './real-registry.ts'

const dir = (name: string, mode = 0o755): Part => ({ name: `${name}/`, kind: '5', mode })
const file = (name: string, data: string, more: Partial<Part> = {}): Part => ({
  name,
  data,
  ...more,
})

const LOWEST = [
  dir('bin'),
  dir('usr'),
  dir('usr/lib'),
  { name: 'lib', kind: '2', link: 'usr/lib' },
  dir('etc', 0o750),
  file('etc/old', 'old'),
  file('etc/kept', 'kept', { mode: 0o4755, pax: { 'SCHILY.xattr.user.origin': 'an image' } }),
  dir('opaque'),
  file('opaque/hidden', 'hidden'),
  dir('gone'),
  file('gone/with', 'it'),
  file('twice', 'lower'),
  file('becomes-dir', 'file'),
  dir('becomes-file'),
  file('becomes-file/x', 'x'),
]

const MIDDLE = [
  dir('etc', 0o700),
  file('etc/.wh.old', ''),
  file('.wh.gone', ''),
  dir('opaque'),
  file('opaque/.wh..wh..opq', ''),
  file('opaque/new', 'new'),
  file('.wh..wh.plnk', 'of aufs'),
  { name: 'etc/again', kind: '1', link: 'etc/kept' },
  dir('becomes-dir'),
  file('becomes-dir/y', 'y'),
  file('becomes-file', 'file'),
]

const TOP = [
  file('twice', 'upper'),
  file('lib/implied', 'goes where the link leads'),
  file('gone', 'a file now'),
  { name: 'also', kind: '1', link: 'twice' },
]

async function roOf({ control }: StoreAsked, name: string): Promise<string> {
  const { id, ro } = await control.layer(name)
  return layerPlaces(control.store.places, id).ro(ro.version)
}

const layers = (...all: (readonly Part[])[]): [Packing, Buffer][] =>
  all.map((parts, at) => [(['gzip', 'zstd', 'plain'] as const)[at % 3]!, tarOf(parts)])

t.test('the layers of an image lie over each other as they say', async (t) => {
  const store = await storeAsked(t)
  const image = writeImage(join(placeOf(t), 'image'), layers(LOWEST, MIDDLE, TOP))
  const source = { kind: 'image', place: `dir:${image}:v1` } as const
  const made = await store.ask('layer.create', { layer: 'app', source })
  t.same(made.warnings, [])
  const ro = await roOf(store, 'app')
  t.same(readdirSync(ro).sort(), [
    ...['also', 'becomes-dir', 'becomes-file', 'bin', 'etc', 'gone', 'lib', 'opaque', 'twice'],
    'usr',
  ])
  t.same(readdirSync(join(ro, 'etc')).sort(), ['again', 'kept'])
  t.same(readdirSync(join(ro, 'opaque')), ['new'])
  t.equal(readFileSync(join(ro, 'twice'), 'utf8'), 'upper')
  t.equal(readlinkSync(join(ro, 'lib')), 'usr/lib', 'an implied directory does not replace a link')
  t.ok(existsSync(join(ro, 'usr/lib/implied')))
  const inode = (name: string) => statSync(join(ro, name)).ino
  t.equal(inode('etc/again'), inode('etc/kept'), 'a link to a file of a layer below')
  t.equal(inode('also'), inode('twice'))
  t.equal(statSync(join(ro, 'etc/kept')).mode & 0o7777, 0o4755)
  t.equal(statSync(join(ro, 'etc')).mode & 0o777, 0o700)
  t.equal(statSync(join(ro, 'etc/kept')).mtimeMs, 1_700_000_000_000)
  const origin = spawnSync('getfattr', ['--only-values', '-n', 'user.origin', 'etc/kept'], {
    cwd: ro,
    encoding: 'utf8',
  })
  t.equal(origin.stdout, 'an image')
})

t.test(
  'an image of a registry is fetched, for this machine, and is what skopeo has put there',
  needing('docker-registry', 'skopeo'),
  async (t) => {
    const store = await storeAsked(t)
    const { host } = await realRegistry(t)
    const image = writeImage(join(placeOf(t), 'image'), layers(LOWEST, MIDDLE), {
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    })
    const copied = spawnSync('skopeo', [
      ...['--insecure-policy', 'copy', '--all', '--dest-tls-verify=false'],
      ...[`oci:${image}:v1`, `docker://${host}/team/image:v1`],
    ])
    t.equal(copied.status, 0, String(copied.stderr))
    const place = `${host}/team/image:v1`
    await store.ask('layer.create', { layer: 'app', source: { kind: 'image', place } })
    const local = { kind: 'image', place: `dir:${image}:v1` } as const
    await store.ask('layer.create', { layer: 'same', source: local })
    const digestOf = async (name: string) => (await store.control.layer(name)).ro.digest
    t.equal(await digestOf('app'), await digestOf('same'))
    t.match((await store.ask('repo.list', { place: `${host}/team/image` })).tags, [
      { tag: 'v1', kind: 'image', what: /^image for linux\// },
    ])
    const other = writeImage(join(placeOf(t), 'image'), layers(LOWEST), { architecture: 'z80' })
    await t.rejects(
      store.ask('layer.create', {
        layer: 'z',
        source: { kind: 'image', place: `dir:${other}:v1` },
      }),
      { code: 'SVS_REPOSITORY_NOT_FOUND', message: /no image for linux\// },
    )
  },
)

t.test('images that reach out, or are not what they say, leave nothing behind', async (t) => {
  const store = await storeAsked(t)
  const outside = placeOf(t)
  const refused = async (code: string, parts: (readonly Part[])[], wish: ImageWish = {}) => {
    const image = writeImage(join(placeOf(t), 'image'), layers(...parts), wish)
    const source = { kind: 'image', place: `dir:${image}:v1` } as const
    await t.rejects(store.ask('layer.create', { layer: 'evil', source }), { code })
    t.same(await store.ask('layer.list', {}), [])
    t.same(readdirSync(store.control.store.places.layers), [])
    t.same(readdirSync(outside), [])
  }
  const link = { name: 'out', kind: '2', link: outside }
  await refused('SVS_ARCHIVE_ESCAPES', [[link, file('out/x', 'x')]])
  await refused('SVS_ARCHIVE_ESCAPES', [[dir('a')], [file('../x', 'x')]])
  await refused('SVS_ARCHIVE_ESCAPES', [[dir('a')], [file('a/.wh...', '')]])
  await refused('SVS_ARCHIVE_ESCAPES', [[dir('a')], [file('a/.wh.', '')]])
  await refused('SVS_ARCHIVE_ESCAPES', [[dir('a')], [{ name: 'y', kind: '1', link: '../../x' }]])
  await refused('SVS_ARCHIVE_INVALID', [[file('x', 'x', { size: 8 ** 11 - 1 })]])
  await refused('SVS_ARCHIVE_INVALID', [[file('x', 'x')]], {
    diffIds: [`sha256:${'a'.repeat(64)}`],
  })
  await refused('SVS_REPOSITORY_INVALID', [[file('x', 'x')]], { diffIds: [] })
  await refusedByLinks(t, store, outside)
})

// Links of a lower layer are followed inside the tree alone, by files, deletions and further names.
async function refusedByLinks(t: Test, store: StoreAsked, outside: string): Promise<void> {
  const lower = [
    { name: 'out', kind: '2', link: outside },
    { name: 'up', kind: '2', link: '../../../../../../..' },
    dir('real'),
    file('real/x', 'x'),
    { name: 'to-real', kind: '2', link: '/real' },
  ]
  const upper = [
    file('out/written', 'x'),
    file('up/root', 'x'),
    file('to-real/.wh.x', ''),
    file('to-real/y', 'y'),
    { name: 'passwd', kind: '1', link: 'out/passwd' },
  ]
  const image = writeImage(join(placeOf(t), 'image'), layers(lower, upper))
  const source = { kind: 'image', place: `dir:${image}:v1` } as const
  const { warnings } = await store.ask('layer.create', { layer: 'links', source })
  t.match(warnings, [/passwd: is a link to out\/passwd, which is not there/])
  t.same(readdirSync(outside), [], 'nothing is written outside')
  const ro = await roOf(store, 'links')
  t.same(readdirSync(join(ro, 'real')), ['y'])
  t.ok(existsSync(join(ro, 'root')), 'above the root is the root')
  t.ok(existsSync(join(ro, outside, 'written')), 'an absolute link starts at the root of the tree')
}

/** A tree as images tell it: they know no holes. */
const plainTree = (root: string): string[] =>
  describeTree(root).map((line) => {
    const fields = JSON.parse(line) as unknown[]
    const [size, blocks, bytes] = fields.slice(-3)
    if (typeof size !== 'number' || typeof blocks !== 'number') return line
    return JSON.stringify([...fields.slice(0, -3), size, sha256(Buffer.from(String(bytes)))])
  })

t.test(
  'a layer and its state become an image that is the same tree in other hands',
  needing('skopeo', 'umoci'),
  async (t) => {
    const store = await storeAsked(t)
    const from = richSource(t)
    writeFileSync(join(from, 'n'.repeat(180)), 'a long name')
    mkdirSync(join(from, 'whole/below'), { recursive: true })
    writeFileSync(join(from, 'whole/below/x'), 'x')
    spawnSync('setfattr', ['-n', 'user.note', '-v', 'kept\nwhole', 'program'], { cwd: from })
    await create(store, from)
    const place = `dir:${join(store.dir, 'images')}`
    const plain = await store.ask('export.image', { layer: 'app', place: `${place}:ro` })
    t.match(plain, { state: null, warnings: [] })
    const source = (tag: string) => ({ kind: 'image', place: `${place}:${tag}` }) as const
    await store.ask('layer.create', { layer: 'again', source: source('ro') })
    const digestOf = async (name: string) => (await store.control.layer(name)).ro.digest
    t.equal(await digestOf('again'), await digestOf('app'), 'the layer comes back as it was')

    const rw = await store.rw('app')
    writeFileSync(join(rw, 'notes'), 'new')
    mkdirSync(join(rw, 'etc'))
    writeFileSync(join(rw, 'etc/app.ini'), 'changed')
    const mark = { root: 'trusted.overlay', user: 'user.overlay' }[
      process.geteuid?.() === 0 ? 'root' : 'user'
    ]
    for (const name of ['alias', 'shut']) spawnSync('mknod', [join(rw, name), 'c', '0', '0'])
    mkdirSync(join(rw, 'whole'))
    writeFileSync(join(rw, 'whole/new'), 'of an opaque directory')
    spawnSync('setfattr', ['-n', `${mark}.opaque`, '-v', 'y', join(rw, 'whole')])
    await store.ask('snapshot', { layer: 'app', label: 'one' })
    const image = await store.ask('export.image', { layer: 'app', place: `${place}:one` })
    t.ok(image.sent < 10_000, 'the read-only part is the layer that is there')
    t.equal(
      (await store.ask('export.image', { layer: 'app', place: `${place}:one` })).digest,
      image.digest,
      'the same tree is the same image',
    )
    await store.ask('layer.create', { layer: 'one', source: source('one') })
    const whole = join(store.dir, 'whole')
    await store.ask('restore.to', { layer: 'app', state: 'one', directory: whole })
    t.same(plainTree(await roOf(store, 'one')), plainTree(whole), 'as restore --to writes it')

    const tool = (program: string, ...words: string[]) => {
      const ran = spawnSync(program, words, { encoding: 'utf8', cwd: store.dir })
      t.equal(ran.status, 0, ran.stderr)
      return ran.stdout
    }
    t.match(JSON.parse(tool('skopeo', 'inspect', `oci:images:one`)), {
      Os: 'linux',
      Labels: { 'svsfs.layer': 'app' },
    })
    if (process.geteuid?.() !== 0) return
    tool('umoci', 'unpack', '--image', 'images:one', 'bundle')
    t.same(plainTree(join(store.dir, 'bundle/rootfs')), plainTree(whole), 'as umoci unpacks it')
  },
)
