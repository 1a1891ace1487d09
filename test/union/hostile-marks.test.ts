// Sublayers that others made, or damaged: marks that lead out of their tree, in circles or
// nowhere, indexes and number logs of random bytes. A view answers with an errno, or without what
// the mark told; it never breaks, and never shows anything from outside its layers.

import { linkSync, mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Errno } from '../../lib/base/errno.ts'
import { Failure } from '../../lib/base/failure.ts'
import { type RelPath, relPath } from '../../lib/base/path.ts'
import { ROOT_NODE } from '../../lib/fuse/filesystem.ts'
import { AT_FDCWD, must, O, S, sys } from '../../lib/host/sys.ts'
import { setXattr } from '../../lib/host/xattr.ts'
import { openIndex, publishIndex } from '../../lib/layer/index-file.ts'
import { ownPrefix } from '../../lib/layer/marks.ts'
import type { LayerSpec } from '../../lib/union/spec.ts'
import { dice } from '../fuse/mutate.ts'
import { CALLER, draw, Layers, type Seen } from './view-of.ts'

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
const prefix = ownPrefix()

const PATHS = [
  '..',
  '../..',
  '../../secret',
  '.',
  '',
  '/',
  '//',
  '/.',
  '/..',
  '/../..',
  '/../secret',
  '/dir/../../secret',
  '/./dir',
  '/dir//inner',
  'dir/inner',
  '\0',
  '..\0x',
  '/dir\0/../..',
  '/link',
  '/link/secret',
  'link',
  '/file',
  '/file/under',
  '/dir',
  '/dir/inner',
  '/gone',
  '/gone/deeper',
  'gone',
  'fifo',
  '/fifo',
  '\xff\xfe',
  `/${'x'.repeat(300)}`,
  'x'.repeat(300),
  `/${'d/'.repeat(1500)}`,
  `/${'../'.repeat(300)}secret`,
]

/** What no view may show: names and bytes that lie beside its layers. */
const OUTSIDE = new Set(['secret', 'rw', 'work', 'ro', '1', '1.index', 'rw.numbers', 'beside'])
const SECRET = 'this lies outside of every layer'

function mark(path: string, name: string, value: string): void {
  const fd = must(sys.openat(AT_FDCWD, path, O.PATH), path)
  const done = setXattr(fd, '', `${prefix}.${name}`, Buffer.from(value, 'latin1'))
  sys.close(fd)
  must(done, `${name} of ${path}`)
}

/** Everything that the view shows to this depth; what it says no to is left out. */
function explore(seen: Seen, faults: string[], at = '', depth = 5): void {
  for (const name of attempt(faults, () => seen.list(at)) ?? []) {
    const path = at === '' ? name : `${at}/${name}`
    if (OUTSIDE.has(name)) faults.push(`${path} is shown`)
    const id = attempt(faults, () => seen.id(path))
    if (id === undefined || id === 0) continue
    const { attr } = seen.view.getattr(CALLER, id, null)
    const type = attr.mode & S.IFMT
    attempt(faults, () => seen.view.listxattr(CALLER, id))
    if (type === S.IFDIR && depth > 0) explore(seen, faults, path, depth - 1)
    if (type !== S.IFREG) continue
    if (attempt(faults, () => seen.read(path))?.includes(SECRET)) faults.push(`${path} is read`)
  }
}

/** What it answers; nothing where it throws what a program can be told. */
function attempt<T>(faults: string[], act: () => T): T | undefined {
  try {
    return act()
  } catch (err) {
    if (!(err instanceof Errno || err instanceof Failure)) faults.push(String((err as Error).stack))
    return undefined
  }
}

function change(seen: Seen, faults: string[]): void {
  attempt(faults, () => seen.write('dir/new', 'made'))
  attempt(faults, () => seen.write('dir/inner/deep', 'made'))
  attempt(faults, () => seen.chmod('meta', 0o600))
  attempt(faults, () => seen.write('meta', 'written'))
  attempt(faults, () => seen.rename('dir', 'moved'))
  attempt(faults, () => seen.rename('meta', 'moved/meta'))
  attempt(faults, () => seen.unlink('moved/meta'))
  attempt(faults, () => seen.view.open(CALLER, seen.id('other'), O.RDWR, false))
  attempt(faults, () => seen.rmdir('moved'))
}

const TREE = {
  'dir/inner/deep': 'deep',
  'dir/here': 'here',
  file: 'file',
  meta: 'm'.repeat(10_000),
  other: 'other',
}

/** A drop-in of two lower trees below a writable one, as any two directories may be put together. */
function dropIn(layers: Layers): LayerSpec {
  const at = (name: string): string => join(layers.dir, name)
  writeFileSync(at('secret'), SECRET)
  draw(at('beside/secret'), { secret: SECRET })
  draw(at('upper/rw'), { 'dir/own': 'own' })
  mkdirSync(at('upper/work'))
  draw(at('upper/a'), { ...TREE, 'dir/inner/a': 'a' })
  draw(at('upper/b'), { ...TREE, 'dir/inner/b': 'b' })
  return {
    id: '',
    name: '',
    tag: 0,
    rw: at('upper/rw'),
    numbers: null,
    work: at('upper/work'),
    ro: ['a', 'b'].map((name, i) => ({ path: at(`upper/${name}`), index: null, version: i + 1 })),
    scratch: null,
    excludes: [],
  }
}

function withMark(place: (spec: LayerSpec) => void): string[] {
  const layers = new Layers()
  const faults: string[] = []
  try {
    const spec = dropIn(layers)
    layers.base = join(layers.dir, 'base')
    draw(layers.base, { 'dir/inner/base': 'base', 'etc/base': 'base' })
    place(spec)
    const seen = layers.view([], {}, { ...layers.stack(), layers: [spec] })
    explore(seen, faults)
    change(seen, faults)
    explore(seen, faults)
    seen.view.destroy()
    for (const name of ['secret', 'beside/secret/secret']) {
      if (readFileSync(join(layers.dir, name), 'utf8') !== SECRET) faults.push(`${name} is changed`)
    }
  } finally {
    layers.close()
  }
  return faults
}

const roll = dice(seed)
const random = Array.from({ length: 15 }, () =>
  Array.from({ length: roll(20) }, () => './xdir\0\xff'[roll(8)] ?? '').join(''),
)

t.test(`a mark never leads out of its tree, whatever it says (SEED=${seed})`, async (t) => {
  for (const path of [...PATHS, ...random]) {
    for (const name of ['overlay.redirect', 'svsfs.base']) {
      const faults = withMark(({ rw, ro }) => {
        mark(join(rw!, 'dir'), name, path)
        mark(join(ro[0]!.path, 'dir/inner'), name, path)
      })
      t.same(faults, [], `${name} of directories: ${JSON.stringify(path.slice(0, 60))}`)
    }
    const faults = withMark(({ ro }) => {
      for (const file of ['meta', 'other']) {
        mark(join(ro[0]!.path, file), 'overlay.metacopy', path.slice(0, 20))
        mark(join(ro[0]!.path, file), 'overlay.redirect', path)
      }
    })
    t.same(faults, [], `of files: ${JSON.stringify(path.slice(0, 60))}`)
  }
})

t.test('a name with a broken mark is listed with the others, and answers EIO', async (t) => {
  const layers = new Layers()
  t.teardown(() => layers.close())
  const spec = dropIn(layers)
  mark(join(spec.rw!, 'dir'), 'overlay.redirect', '/../..')
  const seen = layers.view([], {}, { ...layers.stack(), layers: [spec] })
  const { handle } = seen.view.opendir(CALLER, ROOT_NODE, 0)
  const names: string[] = []
  seen.view.readdir(CALLER, ROOT_NODE, handle, 0, {
    wantsPlus: true,
    hasRoom: () => true,
    plain: (name) => names.push(`${name}?`) > 0,
    plus: (name) => names.push(name) > 0,
  })
  seen.view.releasedir(CALLER, ROOT_NODE, handle)
  t.same(names.sort(), ['..?', '.?', 'dir?', 'file', 'meta', 'other'])
  t.throws(() => seen.list('dir'), { code: 'EIO' })
})

t.test(
  'the bytes of a metacopy are found through others, and EIO where they are nowhere',
  async (t) => {
    const layers = new Layers()
    t.teardown(() => layers.close())
    const spec = dropIn(layers)
    const [a, b] = spec.ro.map(({ path }) => path) as [string, string]
    truncateSync(join(a, 'meta'), 0)
    truncateSync(join(a, 'meta'), 10_000)
    mark(join(a, 'meta'), 'overlay.metacopy', '')
    draw(spec.rw!, { meta: '', lost: '' })
    for (const name of ['meta', 'lost']) {
      truncateSync(join(spec.rw!, name), 10_000)
      mark(join(spec.rw!, name), 'overlay.metacopy', '')
    }
    const seen = layers.view([], {}, { ...layers.stack(), layers: [spec] })
    t.equal(seen.read('meta'), readFileSync(join(b, 'meta'), 'utf8'))
    t.throws(() => seen.read('lost'), { code: 'EIO' })
    t.equal(seen.has('lost'), true)
  },
)

/** The same bytes with one to three mistakes, or cut short. */
function damaged(bytes: Buffer): Buffer {
  const broken = Buffer.from(roll(4) === 0 ? bytes.subarray(0, roll(bytes.length + 1)) : bytes)
  for (let left = 1 + roll(3); left > 0 && broken.length > 8; left--) {
    const at = roll(broken.length - 4)
    if (roll(2) === 0) broken[at] = roll(256)
    else broken.writeUInt32LE([0, 1, 0x7fff_ffff, 0xffff_ffff][roll(4)]!, at)
  }
  return broken
}

t.test(
  `a damaged index is a failure with a name, or numbers that are wrong (SEED=${seed})`,
  async (t) => {
    const layers = new Layers()
    t.teardown(() => layers.close())
    await layers.add({ name: 'app', ro: TREE })
    const tree = join(layers.dir, 'app/ro/1')
    linkSync(join(tree, 'file'), join(tree, 'dir/second'))
    await publishIndex(
      tree,
      `${tree}.index`,
      new Map([['meta' as RelPath, { mode: 0o600, uid: 5 }]]),
    )
    const whole = readFileSync(`${tree}.index`)
    const root = must(sys.openat(AT_FDCWD, tree, O.PATH | O.DIRECTORY))
    const faults: string[] = []
    for (let left = 1500; left > 0; left--) {
      writeFileSync(`${tree}.index`, damaged(whole))
      attempt(faults, () => {
        const index = openIndex(`${tree}.index`, root)
        for (const ino of [0, 1, statSync(join(tree, 'file')).ino, 2 ** 60]) {
          index.number(ino)
          index.override(ino)
          for (const name of index.names(ino) ?? []) if (name.includes('..')) faults.push(name)
        }
        index.linkedWithin(relPath('dir'))
      })
      if (left % 50 !== 0) continue
      attempt(faults, () => {
        const seen = layers.view(['app'])
        explore(seen, faults)
        attempt(faults, () => seen.write('dir/second', 'changed'))
        seen.view.destroy()
      })
    }
    sys.close(root)
    t.same([...new Set(faults)], [])
  },
)

t.test(`a damaged log of numbers makes no view break (SEED=${seed})`, async (t) => {
  const layers = new Layers()
  t.teardown(() => layers.close())
  await layers.add({ name: 'app', ro: TREE })
  const faults: string[] = []
  for (let left = 60; left > 0; left--) {
    const bytes = Buffer.from(Array.from({ length: roll(200) }, () => roll(256)))
    writeFileSync(join(layers.dir, 'app/rw.numbers'), bytes)
    const seen = layers.view(['app'])
    explore(seen, faults)
    attempt(faults, () => seen.write('dir/here', 'changed'))
    t.equal(seen.read('dir/here'), 'changed')
    t.ok(seen.ino('dir/here') > 0)
    seen.view.destroy()
  }
  t.same([...new Set(faults)], [])
})
