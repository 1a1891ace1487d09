// Hard links whose names lie in a tree without an index: what was done through one name is
// never lost under another.

import { linkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { relPath } from '../../lib/base/path.ts'
import type { HandleId, NodeId } from '../../lib/fuse/filesystem.ts'
import { O } from '../../lib/host/sys.ts'
import { replaced } from '../../lib/union/restack.ts'
import { CALLER, type Seen, viewOf } from './view-of.ts'

const forget = (view: Seen, id: NodeId): void => view.view.forget(id, 1000)

t.test('a base file written under one of two known names is kept under the other', async (t) => {
  const { layers, view } = await viewOf(t, { layers: [{ name: 'app' }], base: { a: 'old' } })
  linkSync(join(layers.base!, 'a'), join(layers.base!, 'b'))
  t.equal(view.id('a'), view.id('b'))
  view.write('a', 'new')
  t.equal(view.read('b'), 'new')
  view.unlink('a')
  t.equal(view.read('b'), 'new')
  t.equal(layers.inRw('app', 'b'), 'new')
})

t.test('a base file whose known name went is written under the other', async (t) => {
  const { layers, view } = await viewOf(t, { layers: [{ name: 'app' }], base: { a: 'old' } })
  linkSync(join(layers.base!, 'a'), join(layers.base!, 'b'))
  const id = view.id('a')
  view.open(id, O.RDONLY)
  view.unlink('a')
  view.write('b', 'new')
  view.view.release(CALLER, id, 0 as HandleId)
  forget(view, id)
  t.equal(view.read('b'), 'new')
  t.equal(layers.inRw('app', 'b'), 'new')
})

t.test('a hard-linked file that shows again after it was hidden can be opened', async (t) => {
  const layers = (await viewOf(t, { layers: [{ name: 'low', ro: { 'd/a': 'low' } }] })).layers
  await layers.add({ name: 'top', ro: { 'd/a': 'top' } })
  linkSync(join(layers.dir, 'low/ro/1/d/a'), join(layers.dir, 'low/ro/1/d/b'))
  const view = layers.view(['low', 'top'])
  view.open(view.id('d/a'), O.RDONLY)
  view.restack(layers.stack('top', 'low'))
  t.equal(view.read('d/a'), 'top')
  view.restack(layers.stack('low', 'top'))
  t.equal(view.read('d/a'), 'low')
})

t.test('all known names of a replaced hard link are told', async (t) => {
  const { layers, view } = await viewOf(t, { layers: [{ name: 'app' }] })
  view.write('a', 'one')
  const request = { node: view.id('a'), name: 'b' }
  view.view.link(CALLER, 1 as NodeId, request)
  view.told.length = 0
  replaced(view.view, layers.pool.writable('app')!, [relPath('b')])
  t.same(view.expired.sort(), ['a', 'b'])
})

t.test('a name asked for after the open one went is the same file', async (t) => {
  const { layers } = await viewOf(t, { layers: [{ name: 'app', ro: { 'd/x': 'x' } }] })
  const first = layers.view(['app'])
  first.write('d/a', 'old')
  first.view.link(CALLER, first.id('d'), { node: first.id('d/a'), name: 'b' })
  first.view.destroy()
  const view = layers.view(['app'])
  const id = view.id('d/a')
  view.open(id, O.RDWR)
  view.unlink('d/a')
  t.equal(view.id('d/b'), id)
  view.write('d/b', 'new')
  t.equal(view.readOpen(id), 'new')
})
