// A published tree is found, listed and described without a call of the disk; what an index says
// is what the disk would.

import { lutimesSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { NodeId } from '../../lib/fuse/filesystem.ts'
import { O, S } from '../../lib/host/sys.ts'
import { publishIndex } from '../../lib/layer/index-file.ts'
import { DiskCalls } from './disk-calls.ts'
import { CALLER, Layers, type Seen } from './view-of.ts'

/** Directories, with as many files each. */
const DIRECTORIES = 10
const FILES = 30

async function layersOf(t: { teardown(act: () => void): void }, ...names: string[]) {
  const layers = new Layers()
  t.teardown(() => layers.close())
  for (const name of names) await layers.add({ name, ro: drawingOf(name) })
  return layers
}

function drawingOf(name: string): Record<string, string> {
  const files = Array.from({ length: DIRECTORIES * FILES }, (_, n) => {
    return [`common/d${n % DIRECTORIES}/${name}${Math.floor(n / DIRECTORIES)}`, '']
  })
  return Object.fromEntries(files)
}

/** What `find -ls` asks: every directory listed with attributes, xattrs of each file, links read. */
function walkAll(seen: Seen): number {
  const { view } = seen
  const found = [seen.id('common')]
  for (const dir of found) {
    const { type } = describe(seen, dir)
    if (type === S.IFLNK) t.equal(view.readlink(CALLER, dir), 'target')
    if (type !== S.IFDIR) continue
    const { handle } = view.opendir(CALLER, dir, 0)
    view.readdir(CALLER, dir, handle, 0, {
      wantsPlus: true,
      hasRoom: () => true,
      plain: () => true,
      plus: (_name, { node }) => found.push(node) > 0,
    })
    view.releasedir(CALLER, dir, handle)
  }
  return found.length - 1
}

function describe({ view }: Seen, node: NodeId): { type: number } {
  for (const name of ['security.capability', 'system.posix_acl_access', 'user.none'])
    view.getxattr(CALLER, node, name)
  view.listxattr(CALLER, node)
  return { type: view.getattr(CALLER, node, null).attr.mode & S.IFMT }
}

/** Names below `common`. */
const ALL = DIRECTORIES * (FILES + 1) + 1

t.test('a walk over a layer asks the disk for no file', async (t) => {
  const layers = await layersOf(t, 'app')
  const tree = join(layers.dir, 'app/ro/1')
  symlinkSync('target', join(tree, 'common/link'))
  await publishIndex(tree, `${tree}.index`)
  const seen = layers.view(['app'])
  const calls = new DiskCalls(t)
  t.equal(walkAll(seen), ALL)
  t.ok(calls.count < 30, `${calls.count} calls for ${ALL} names: ${calls}`)
})

t.test('looking up names costs no call, in one layer and in ten, present or absent', async (t) => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j']
  const layers = await layersOf(t, ...names)
  const seen = layers.view(names)
  for (let d = 0; d < DIRECTORIES; d++) seen.id(`common/d${d}`)
  let absent = 0
  const calls = new DiskCalls(t)
  for (let d = 0; d < DIRECTORIES; d++) {
    const dir = seen.id(`common/d${d}`)
    for (let f = 0; f < FILES; f++) {
      for (const name of names)
        absent += seen.view.lookup(CALLER, dir, `${name}${f}`).node === 0 ? 1 : 0
      if (seen.view.lookup(CALLER, dir, `none${f}`).node !== 0) t.fail('there is none')
    }
  }
  t.equal(absent, 0)
  t.equal(calls.count, 0, String(calls))
})

t.test('names of attributes that no disk takes are refused as it does', async (t) => {
  const layers = await layersOf(t, 'app')
  const seen = layers.view(['app'])
  const id = seen.id('common/d1/app1')
  const ask = (name: string) => () => seen.view.getxattr(CALLER, id, name)
  for (const name of ['user.', 'security.', 'nowhere.a', 'user'])
    t.throws(ask(name), { code: /EINVAL|EOPNOTSUPP/ }, name)
  for (const name of ['user.a', 'system.posix_acl_access', 'security.capability'])
    t.equal(ask(name)(), null, name)
})

t.test('a file that vanished from a published tree is EIO when it is opened', async (t) => {
  const layers = await layersOf(t, 'app')
  const seen = layers.view(['app'])
  rmSync(join(layers.dir, 'app/ro/1/common/d1/app1'))
  rmSync(join(layers.dir, 'app/ro/1/common/d2'), { recursive: true })
  for (const path of ['common/d1/app1', 'common/d2/app1']) {
    const id = seen.id(path)
    t.not(id, 0, 'its name is known')
    t.throws(() => seen.open(id, O.RDONLY), { code: 'EIO' }, path)
    t.throws(() => seen.open(id, O.RDWR), { code: 'EIO' }, `${path}, to write`)
    t.throws(() => seen.chmod(path, 0o600), { code: 'EIO' }, `${path}, its mode`)
  }
  t.equal(seen.read('common/d1/app2'), '', 'the others are there')
})

t.test('an access moves the access time once, also over a copy-up and a remount', async (t) => {
  const layers = new Layers()
  t.teardown(() => layers.close())
  await layers.add({ name: 'app', ro: { 'dir/file': 'text', 'dir/other': 'text' } })
  const tree = join(layers.dir, 'app/ro/1')
  symlinkSync('file', join(tree, 'dir/link'))
  for (const path of ['dir/file', 'dir/other', 'dir/link', 'dir', ''])
    lutimesSync(join(tree, path), 1000, 1000)
  await publishIndex(tree, `${tree}.index`)
  const first = layers.view(['app'])
  const accesses = {
    'dir/file': (seen: Seen) => seen.read('dir/file'),
    'dir/link': (seen: Seen) => seen.view.readlink(CALLER, seen.id('dir/link')),
    dir: (seen: Seen) => seen.list('dir'),
    '': (seen: Seen) => seen.list(''),
  }
  const moved = new Map<string, number>()
  const before = accessOf(first, 'dir/other')
  for (const [path, access] of Object.entries(accesses)) {
    access(first)
    const time = accessOf(first, path)
    t.ok(Math.abs(time - Date.now() / 1000) < 60, `${path || 'the root'} was accessed now`)
    moved.set(path, time)
    access(first)
    t.equal(accessOf(first, path), time, 'not again after that')
  }
  t.equal(accessOf(first, 'dir/other'), before, 'the others were not')
  first.view.destroy()
  const second = layers.view(['app'])
  for (const [path, time] of moved) t.equal(accessOf(second, path), time, `${path}, mounted again`)
  second.chmod('dir/file', 0o600)
  t.equal(accessOf(second, 'dir/file'), moved.get('dir/file'), 'copied up')
  t.equal(accessOf(second, 'dir'), moved.get('dir'), 'the directory of a copy')
})

function accessOf(seen: Seen, path: string): number {
  const { attr } = seen.view.getattr(CALLER, seen.id(path), null)
  return attr.atime + attr.atimeNsec / 1e9
}
