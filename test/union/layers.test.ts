// Layers over one another: what shows, where a change goes, and that each refers to itself alone.

import t from 'tap'
import { O } from '../../lib/host/sys.ts'
import { CALLER, viewOf } from './view-of.ts'

t.test('a file replaced by one of a higher layer has no name any more', async (t) => {
  const { view } = await viewOf(t, {
    layers: [
      { name: 'top', ro: { 'd/t': 't' } },
      { name: 'low', ro: { 'd/f': 'f' } },
    ],
  })
  view.write('d/f', 'changed')
  const id = view.id('d/f')
  view.open(id, O.RDWR)
  view.write('d/new', 'new')
  view.rename('d/new', 'd/f')
  t.equal(view.view.getattr(CALLER, id, null).attr.nlink, 0)
  t.equal(view.readOpen(id), 'changed')
})

t.test('a file hides a directory of the same name in every layer below', async (t) => {
  const { view } = await viewOf(t, {
    layers: [{ name: 'app', ro: { etc: 'I am a file' } }],
    base: { 'etc/hosts': '127.0.0.1' },
  })
  t.equal(view.read('etc'), 'I am a file')
  t.throws(() => view.id('etc/hosts'), { code: 'ENOTDIR' })
})

t.test('directories of all layers merge, the topmost file wins', async (t) => {
  const { view } = await viewOf(t, {
    layers: [
      { name: 'top', ro: { 'd/same': 'top', 'd/a': '1' } },
      { name: 'low', ro: { 'd/same': 'low', 'd/b': '2' } },
    ],
    base: { 'd/same': 'base', 'd/c': '3' },
  })
  t.same(view.list('d'), ['a', 'b', 'c', 'same'])
  t.equal(view.read('d/same'), 'top')
})

t.test('a change goes to the layer that provides the file', async (t) => {
  const { layers, view } = await viewOf(t, {
    layers: [
      { name: 'top', ro: { 'd/a': '1' } },
      { name: 'low', ro: { 'd/b': '2' } },
    ],
  })
  view.write('d/b', 'changed')
  t.equal(layers.inRw('low', 'd/b'), 'changed')
  t.same(layers.namesInRw('top'), [])
})

t.test('a new file goes to the layer of its directory, in the root to the topmost', async (t) => {
  const { layers, view } = await viewOf(t, {
    layers: [
      { name: 'top', ro: { x: '1' } },
      { name: 'low', ro: { 'd/b': '2' } },
    ],
    base: { 'plain/p': '3' },
  })
  view.write('d/new', 'n')
  view.write('new', 'n')
  view.write('plain/new', 'n')
  t.equal(layers.inRw('low', 'd/new'), 'n')
  t.equal(layers.inRw('top', 'new'), 'n')
  t.equal(layers.inRw('top', 'plain/new'), 'n')
})

t.test('--write-to receives what no layer provides', async (t) => {
  const { layers, view } = await viewOf(t, {
    layers: [
      { name: 'top', ro: { x: '1' } },
      { name: 'low', ro: { y: '2' } },
    ],
    base: { 'plain/p': '3' },
    options: { writeTo: 'low' },
  })
  view.write('plain/p', 'changed')
  t.equal(layers.inRw('low', 'plain/p'), 'changed')
})

t.test('the private layer receives every change, whoever provides the file', async (t) => {
  const { layers, view } = await viewOf(t, {
    layers: [
      { name: 'mine', ro: { x: '1' } },
      { name: 'other', ro: { 'd/b': '2' } },
    ],
    options: { privateTo: 'mine' },
  })
  view.write('d/b', 'changed')
  view.rename('d/b', 'd/c')
  t.equal(layers.inRw('mine', 'd/c'), 'changed')
  t.same(layers.namesInRw('other'), [])
  t.same(view.list('d'), ['c'])
})

t.test('what a higher layer deleted is made anew in that layer, where it shows', async (t) => {
  const { layers, view } = await viewOf(t, {
    layers: [
      { name: 'top', ro: { f: 'top' } },
      { name: 'low', ro: { f: 'low' } },
    ],
    options: { writeTo: 'low' },
  })
  view.unlink('f')
  t.notOk(view.has('f'), 'the whiteout of the top layer hides the lower file')
  view.write('f', 'again')
  t.equal(view.read('f'), 'again')
  t.equal(layers.inRw('top', 'f'), 'again')
})

t.test('excluded files go to the scratch area, and come back from there', async (t) => {
  const { layers, view } = await viewOf(t, {
    layers: [
      {
        name: 'app',
        ro: { 'home/cache/old': 'o', 'home/prefs': 'p' },
        excludes: ['home/cache/**'],
      },
    ],
  })
  view.write('home/cache/page', 'cached')
  view.write('home/cache/old', 'newer')
  view.write('home/prefs', 'set')
  t.equal(view.read('home/cache/page'), 'cached')
  t.equal(view.read('home/cache/old'), 'newer')
  t.same(layers.namesInRw('app', 'home'), ['prefs'])
  view.unlink('home/cache/old')
  t.same(view.list('home/cache'), ['page'])
  view.rename('home/cache/page', 'home/kept')
  t.equal(layers.inRw('app', 'home/kept'), 'cached', 'renamed out, it belongs to the layer')
  t.same(view.list('home/cache'), [])
})

t.test('a merged directory is renamed by one mark in each layer', async (t) => {
  const { layers, view } = await viewOf(t, {
    layers: [
      { name: 'top', ro: { 'd/a': '1', 'd/sub/x': 'x' } },
      { name: 'low', ro: { 'd/b': '2', 'd/sub/y': 'y' } },
    ],
    base: { 'd/c': '3' },
  })
  const ino = view.ino('d')
  view.rename('d', 'e')
  t.same(view.list('e'), ['a', 'b', 'c', 'sub'])
  t.same(view.list('e/sub'), ['x', 'y'])
  t.notOk(view.has('d'))
  t.same(layers.namesInRw('top', 'e'), [], 'nothing was copied')
  t.same(layers.namesInRw('low', 'e'), [])
  t.equal(view.ino('e'), ino)

  const again = layers.view(['top', 'low'])
  t.same(again.list('e'), ['a', 'b', 'c', 'sub'], 'a view made anew shows the same')
  t.equal(again.read('e/sub/y'), 'y')
  t.equal(again.ino('e'), ino)

  again.restack(layers.stack('low'))
  t.same(again.list('e'), ['b', 'sub'], 'the lower layer stands by itself')
})

t.test('a file renamed in its own layer keeps its number and copies nothing', async (t) => {
  const { layers, view } = await viewOf(t, { layers: [{ name: 'app', ro: { 'd/f': 'text' } }] })
  const ino = view.ino('d/f')
  view.rename('d/f', 'g')
  t.equal(view.read('g'), 'text')
  t.equal(view.ino('g'), ino)
  t.equal(layers.view(['app']).read('g'), 'text')
  t.equal(layers.view(['app']).ino('g'), ino)
  view.write('g', 'other')
  t.equal(layers.view(['app']).read('g'), 'other')
})

t.test('a directory deleted and made again is empty', async (t) => {
  const { layers, view } = await viewOf(t, {
    layers: [{ name: 'app', ro: { 'd/a': '1' } }],
    base: { 'd/b': '2' },
  })
  view.unlink('d/a')
  view.unlink('d/b')
  view.rmdir('d')
  t.notOk(view.has('d'))
  view.mkdir('d')
  t.same(view.list('d'), [])
  t.same(layers.view(['app']).list('d'), [])
})

t.test(
  'renaming a directory over hidden names of other layers lets none of them show',
  async (t) => {
    const { layers, view } = await viewOf(t, {
      layers: [
        { name: 'top', ro: { 'd/a': '1', 'e/own': 'o' } },
        { name: 'low', ro: { 'e/old': '2' } },
      ],
    })
    view.unlink('e/own')
    view.unlink('e/old')
    view.rmdir('e')
    view.rename('d', 'e')
    t.same(view.list('e'), ['a'])
    t.same(layers.view(['top', 'low']).list('e'), ['a'])
  },
)

t.test('two views of one layer show each change of the other at once', async (t) => {
  const { layers, view } = await viewOf(t, { layers: [{ name: 'app', ro: { 'd/f': 'text' } }] })
  const twin = layers.view(['app'])
  t.notOk(twin.has('d/new'))
  twin.id('d/f')
  view.write('d/new', 'n')
  t.equal(twin.read('d/new'), 'n')
  t.match(twin.expired, ['new'])
  view.write('d/f', 'changed')
  t.equal(twin.read('d/f'), 'changed')
  view.unlink('d/f')
  t.notOk(twin.has('d/f'))
})
