// Hard links of the base after a copy-up: all names stay one file, with the right count, also
// when the view is opened anew, seen through a peer, or moved to another layer.

import { linkSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { HandleId } from '../../lib/fuse/filesystem.ts'
import { O } from '../../lib/host/sys.ts'
import { CALLER, type Layers, type Seen, viewOf } from './view-of.ts'

const NAMES = ['a', 'b', 'd/c']

/** A layer over a base that has one file under three names. */
async function linkedBase(t: Parameters<typeof viewOf>[0], layer = 'app') {
  const drawn = await viewOf(t, { layers: [{ name: layer }], base: { a: 'old', 'd/x': 'x' } })
  const { base } = drawn.layers
  linkSync(join(base!, 'a'), join(base!, 'b'))
  linkSync(join(base!, 'a'), join(base!, 'd/c'))
  return drawn
}

/** The view as a daemon that starts again makes it. */
function remounted(layers: Layers, view: Seen, ...names: string[]): Seen {
  view.view.destroy()
  return layers.view(names.length === 0 ? ['app'] : names)
}

const nlink = (view: Seen, path: string): number =>
  view.view.getattr(CALLER, view.id(path), null).attr.nlink

function link(view: Seen, from: string, dir: string, name: string): void {
  view.run(() => view.view.link(CALLER, view.id(dir), { node: view.id(from), name }))
}

t.test(
  'a base file written under one name shows it under the others after a remount',
  async (t) => {
    const { layers, view } = await linkedBase(t)
    const ino = view.ino('a')
    view.write('a', 'new')
    t.equal(nlink(view, 'a'), 3)
    const again = remounted(layers, view)
    for (const name of ['d/c', 'b', 'a']) {
      t.equal(again.read(name), 'new', name)
      t.equal(again.ino(name), ino)
      t.equal(nlink(again, name), 3)
    }
    again.write('b', 'newer')
    const third = remounted(layers, again)
    for (const name of NAMES) t.equal(third.read(name), 'newer', name)
    t.equal(nlink(third, 'a'), 3)
  },
)

t.test('names of a base file that are deleted are counted after a remount', async (t) => {
  const { layers, view } = await linkedBase(t)
  view.unlink('a')
  t.equal(nlink(view, 'b'), 2)
  const again = remounted(layers, view)
  t.equal(nlink(again, 'b'), 2)
  again.write('b', 'new')
  t.equal(nlink(again, 'd/c'), 2)
  const third = remounted(layers, again)
  third.unlink('d/c')
  t.equal(nlink(third, 'b'), 1)
  t.equal(third.read('b'), 'new')
})

t.test('a copy lives as long as the base has a name for it, and then goes', async (t) => {
  const { layers, view } = await linkedBase(t)
  view.write('a', 'new')
  view.unlink('a')
  const again = remounted(layers, view)
  t.equal(again.read('d/c'), 'new')
  t.equal(nlink(again, 'd/c'), 2)
  again.unlink('d/c')
  again.unlink('b')
  t.same(readdirSync(join(layers.dir, 'app/rw.links')), [])
  t.same(again.list(''), ['d'])
})

t.test(
  'what is written through an open file that lost its name shows under the others',
  async (t) => {
    const { view } = await linkedBase(t)
    const id = view.id('a')
    view.open(id, O.RDONLY)
    view.unlink('a')
    view.run(() => view.writeOpen(id, 'new'))
    t.equal(view.view.getattr(CALLER, id, null).attr.nlink, 2)
    t.equal(view.id('b'), id)
    t.equal(view.read('b'), 'new')
    view.view.release(CALLER, id, 0 as HandleId)
    t.equal(view.read('d/c'), 'new')
  },
)

t.test('a read-only view shows the copy under every name, and changes nothing', async (t) => {
  const { layers, view } = await linkedBase(t)
  view.write('a', 'new')
  const before = layers.namesInRw('app')
  view.view.destroy()
  const again = layers.view(['app'], { readOnly: true })
  for (const name of ['b', 'd/c', 'a']) {
    t.equal(again.read(name), 'new', name)
    t.equal(nlink(again, name), 3)
  }
  t.equal(again.id('a'), again.id('b'))
  t.same(layers.namesInRw('app'), before)
})

t.test('links are found again where the index is lost, by the marks of the copies', async (t) => {
  const { layers, view } = await linkedBase(t)
  view.write('a', 'new')
  view.view.destroy()
  rmSync(join(layers.dir, 'app/rw.links'), { recursive: true })
  const again = layers.view(['app'])
  t.equal(again.read('b'), 'new')
  t.equal(nlink(again, 'b'), 3)
})

t.test('a copy made through one mount is what another shows under every name', async (t) => {
  const { layers, view } = await linkedBase(t)
  const peer = layers.view(['app'])
  t.equal(peer.read('b'), 'old')
  view.write('a', 'new')
  t.equal(peer.read('b'), 'new')
  t.equal(peer.id('d/c'), peer.id('b'))
  t.equal(nlink(peer, 'a'), 3)
})

t.test('a name made through one mount is the same node in another', async (t) => {
  const { layers, view } = await viewOf(t, { layers: [{ name: 'app', ro: { d: null } }] })
  const peer = layers.view(['app'])
  view.write('one', 'text')
  const id = peer.id('one')
  t.notOk(peer.has('d/two'))
  link(view, 'one', 'd', 'two')
  t.equal(peer.id('d/two'), id)
  t.equal(nlink(peer, 'one'), 2)
  peer.told.length = 0
  view.unlink('one')
  t.ok(
    peer.told.some((one) => one.kind === 'inode' && one.node === id),
    'the count is asked for again',
  )
  t.equal(nlink(peer, 'd/two'), 1)
})

t.test('a file with names that nobody looked up gets one more in a higher layer', async (t) => {
  const { layers, view } = await viewOf(t, {
    layers: [
      { name: 'top', ro: { 'd/t': 't' } },
      { name: 'low', ro: { 'd/f': 'text', e: null } },
    ],
  })
  link(view, 'd/f', 'e', 'g')
  view.unlink('d/t')
  const again = remounted(layers, view, 'top', 'low')
  link(again, 'd/f', 'd', 't')
  t.equal(nlink(again, 'd/t'), 3)
  const third = remounted(layers, again, 'top', 'low')
  third.write('e/g', 'new')
  for (const name of ['d/f', 'd/t', 'e/g']) {
    t.equal(third.read(name), 'new', name)
    t.equal(nlink(third, name), 3)
    t.equal(third.id(name), third.id('d/f'))
  }
})

t.test('a rename to a higher layer takes the other names of the file along', async (t) => {
  const { layers, view } = await viewOf(t, {
    layers: [
      { name: 'top', ro: { 'd/t': 't' } },
      { name: 'low', ro: { 'd/f': 'text', e: null } },
    ],
  })
  link(view, 'd/f', 'e', 'g')
  view.unlink('d/t')
  const again = remounted(layers, view, 'top', 'low')
  again.rename('d/f', 'd/t')
  const third = remounted(layers, again, 'top', 'low')
  third.write('d/t', 'new')
  t.equal(third.read('e/g'), 'new')
  t.equal(nlink(third, 'e/g'), 2)
})

t.test('a private mount changes all names of a linked file in its own layer', async (t) => {
  const { layers, view } = await viewOf(t, {
    layers: [{ name: 'mine' }, { name: 'other', ro: { a: 'old' } }],
  })
  link(view, 'a', '', 'b')
  view.view.destroy()
  const mine = layers.view(['mine', 'other'], { privateTo: 'mine' })
  mine.write('a', 'new')
  t.equal(mine.read('b'), 'new')
  t.equal(mine.id('a'), mine.id('b'))
  t.equal(layers.view(['other']).read('b'), 'old')
  const again = remounted(layers, mine, 'mine', 'other')
  t.equal(again.read('b'), 'new')
})

t.test('a base file with its names in a renamed directory stays one file', async (t) => {
  const { layers, view } = await linkedBase(t)
  view.rename('d', 'e')
  view.write('e/c', 'new')
  const again = remounted(layers, view)
  for (const name of ['a', 'b', 'e/c']) t.equal(again.read(name), 'new', name)
  t.equal(nlink(again, 'a'), 3)
})

t.test('a base file that is replaced keeps its other names', async (t) => {
  const { layers, view } = await linkedBase(t)
  view.write('y', 'y')
  view.rename('y', 'a')
  t.equal(nlink(view, 'b'), 2)
  const again = remounted(layers, view)
  t.equal(again.read('a'), 'y')
  t.equal(again.read('b'), 'old')
  t.equal(nlink(again, 'd/c'), 2)
})

t.test('a layer that is switched off takes its copy along', async (t) => {
  const { layers, view } = await linkedBase(t)
  await layers.add({ name: 'other' })
  view.write('a', 'new')
  t.equal(view.read('b'), 'new')
  view.restack(layers.stack('other'))
  for (const name of NAMES) t.equal(view.read(name), 'old', name)
  t.equal(nlink(view, 'b'), 3)
  view.restack(layers.stack('other', 'app'))
  for (const name of NAMES) t.equal(view.read(name), 'new', name)
  t.equal(nlink(view, 'b'), 3)
})

t.test(
  'names are counted once where one layer deletes them and another has the copy',
  async (t) => {
    const { layers, view } = await viewOf(t, {
      layers: [{ name: 'top' }, { name: 'low', ro: { 'd/l': 'l' } }],
      base: { 'd/a': 'old' },
    })
    for (const name of ['b', 'c'])
      linkSync(join(layers.base!, 'd/a'), join(layers.base!, `d/${name}`))
    const id = view.id('d/a')
    view.open(id, O.RDONLY)
    view.unlink('d/a')
    view.run(() => view.writeOpen(id, 'new'))
    view.view.release(CALLER, id, 0 as HandleId)
    t.equal(view.read('d/b'), 'new')
    t.equal(nlink(view, 'd/c'), 2)
    const again = remounted(layers, view, 'top', 'low')
    t.equal(nlink(again, 'd/b'), 2)
  },
)
