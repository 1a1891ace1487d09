// Who sees a change, and whose sublayer it goes to, where several mounts show the same layers.

import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { HandleId } from '../../lib/fuse/filesystem.ts'
import { O } from '../../lib/host/sys.ts'
import { CALLER, viewOf } from './view-of.ts'

t.test('a private mount renames a merged directory in its own layer alone', async (t) => {
  const { layers, view } = await viewOf(t, {
    layers: [
      { name: 'mine', ro: { 'd/a': 'a' } },
      { name: 'other', ro: { 'd/b': 'b' } },
    ],
    options: { privateTo: 'mine' },
  })
  view.rename('d', 'e')
  t.same(view.list('e'), ['a', 'b'])
  t.equal(view.read('e/b'), 'b')
  t.notOk(view.has('d'))
  t.same(layers.namesInRw('other'), [])
})

t.test('a view of a lower layer alone shows what went through a view of both', async (t) => {
  const { layers, view } = await viewOf(t, {
    layers: [
      { name: 'top', ro: { 'd/t': 't' } },
      { name: 'low', ro: { 'd/gone': '1', 'd/moved': '2' } },
    ],
  })
  view.write('d/t', 'changed')
  const low = layers.view(['low'])
  t.ok(low.has('d/gone') && low.has('d/moved'))
  view.unlink('d/gone')
  t.notOk(low.has('d/gone'))
  view.rename('d/moved', 'd/new')
  t.notOk(low.has('d/moved'))
})

t.test(
  'a file of a writable base keeps its node while it is written through the mount',
  async (t) => {
    const { layers } = await viewOf(t, { layers: [{ name: 'app' }], base: { f: 'one' } })
    const own = layers.stack('app')
    layers.base = join(layers.dir, 'base')
    const spec = { ...own, base: { path: layers.base, writable: true, timeout: 1 } }
    const view = layers.view(['app'], {}, spec)
    const id = view.id('f')
    view.open(id, O.RDWR)
    view.writeOpen(id, 'longer than before')
    t.equal(view.id('f'), id)
    view.writeOpen(id, 'again')
    view.view.release(CALLER, id, 0 as HandleId)
    t.equal(view.id('f'), id)
    t.equal(view.id('f'), id)
    writeFileSync(join(layers.base, 'f'), 'from outside')
    t.not(view.id('f'), id, 'what others change is noticed')
    t.equal(view.read('f'), 'from outside')
  },
)

t.test('a base directory exchanged behind the mount is found anew', async (t) => {
  const { layers, view } = await viewOf(t, {
    layers: [{ name: 'app', ro: { 'm/x': 'x' } }],
    base: { 'd/one': '1', 'm/one': '1' },
  })
  t.same(view.list('d'), ['one'])
  t.same(view.list('m'), ['one', 'x'])
  for (const name of ['d', 'm']) {
    renameSync(join(layers.base!, name), join(layers.base!, `old-${name}`))
    mkdirSync(join(layers.base!, name))
    writeFileSync(join(layers.base!, name, 'two'), '2')
  }
  t.same(view.list('d'), ['two'])
  t.same(view.list('m'), ['two', 'x'])
})

t.test(
  'bytes written through one mount are read through the other after a chmod, too',
  async (t) => {
    const { layers, view } = await viewOf(t, { layers: [{ name: 'app', ro: { f: 'old' } }] })
    const twin = layers.view(['app'])
    view.chmod('f', 0o600)
    t.equal(twin.read('f'), 'old')
    view.write('f', 'new')
    t.equal(twin.read('f'), 'new')
  },
)

t.test('a name that went is gone, also where the layer above cannot take the time', async (t) => {
  const { layers, view } = await viewOf(t, {
    layers: [
      { name: 'top', ro: { 'd/t': 't' } },
      { name: 'low', ro: { 'd/gone': '1' } },
    ],
  })
  rmSync(join(layers.dir, 'top/work'), { recursive: true })
  view.unlink('d/gone')
  t.notOk(view.has('d/gone'))
})
