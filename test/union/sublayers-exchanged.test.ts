// A sublayer exchanged or closed under a live view: nothing goes on with what was closed.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { relPath } from '../../lib/base/path.ts'
import type { NodeId } from '../../lib/fuse/filesystem.ts'
import { O, sys } from '../../lib/host/sys.ts'
import { publishIndex } from '../../lib/layer/index-file.ts'
import { replaced } from '../../lib/union/restack.ts'
import { CALLER, viewOf } from './view-of.ts'

const BIG = 'x'.repeat(5000)

async function version2(dir: string, content: string | null) {
  const path = join(dir, 'app/ro/2')
  mkdirSync(path, { recursive: true })
  if (content !== null) writeFileSync(join(path, 'f'), content)
  await publishIndex(path, join(dir, 'app/ro/2.index'), new Map())
  return { path, index: join(dir, 'app/ro/2.index'), version: 2 }
}

t.test(
  'a file of changed attributes takes its bytes from the new read-only sublayer',
  async (t) => {
    const { layers, view } = await viewOf(t, { layers: [{ name: 'app', ro: { f: BIG } }] })
    view.chmod('f', 0o600)
    t.equal(view.read('f'), BIG)
    const id = view.id('f')
    const fresh = BIG.replaceAll('x', 'y')
    const ro = [await version2(layers.dir, fresh)]
    view.restack({ layers: [{ ...layers.specs.get('app')!, ro }], base: null })
    t.equal(view.read('f'), fresh)
    t.not(view.id('f'), id)
  },
)

t.test('bytes that the new read-only sublayer lacks are an error, not zeros', async (t) => {
  const { layers, view } = await viewOf(t, { layers: [{ name: 'app', ro: { f: BIG } }] })
  view.chmod('f', 0o600)
  const ro = [await version2(layers.dir, null)]
  view.restack({ layers: [{ ...layers.specs.get('app')!, ro }], base: null })
  t.throws(() => view.read('f'))
  view.unlink('f')
  t.notOk(view.has('f'))
})

t.test('an unlinked file of a deactivated layer touches nothing of that layer', async (t) => {
  const { layers, view } = await viewOf(t, {
    layers: [
      { name: 'app', ro: { f: 'f' } },
      { name: 'other', ro: { g: 'g' } },
    ],
  })
  const id = view.id('f')
  view.open(id, O.RDONLY)
  view.unlink('f')
  view.restack(layers.stack('other'))
  view.chmodOpen(id, 0o640)
  t.equal(view.view.getattr(CALLER, id, null).attr.mode & 0o777, 0o640)
  t.same(layers.namesInRw('other'), [])
  t.equal(view.readOpen(id), 'f')
})

t.test('a directory that was replaced is no way into the one at its path', async (t) => {
  const { layers, view } = await viewOf(t, { layers: [{ name: 'app' }] })
  view.mkdir('d')
  const id = view.id('d')
  const rw = layers.pool.writable('app')!
  sys.renameat(rw.root, 'd', rw.root, 'away')
  replaced(view.view, rw, [relPath('d')])
  mkdirSync(join(layers.dir, 'app/rw/d'))
  replaced(view.view, rw, [relPath('d')])
  const request = { name: 'new', flags: O.RDWR, mode: 0o100644, umask: 0 }
  t.throws(() => view.view.create(CALLER, id, request), { code: 'ESTALE' })
  t.throws(() => view.view.getattr(CALLER, id, null), { code: 'ESTALE' })
  t.same(layers.namesInRw('app', 'd'), [])
})

t.test('a rename between two very deep directories finds both', async (t) => {
  const { layers, view } = await viewOf(t, { layers: [{ name: 'app' }] })
  const chain = (name: string): { id: NodeId; path: string } => {
    let id = 1 as NodeId
    for (let at = 0; at < 300; at++) {
      id = view.view.mkdir(CALLER, id, { name, mode: 0o755, umask: 0 }).node
    }
    return { id, path: `${name}/`.repeat(300) }
  }
  const [from, to] = [chain('a'), chain('b')]
  view.view.create(CALLER, from.id, { name: 'f', flags: O.RDWR, mode: 0o100644, umask: 0 })
  const request = { name: 'f', newParent: to.id, newName: 'g', flags: 0 }
  view.run(() => view.view.rename(CALLER, from.id, request))
  t.same(layers.namesInRw('app', to.path), ['g'])
})

t.test('what a layer without a writable sublayer provides is not changed below it', async (t) => {
  const { layers } = await viewOf(t, {
    layers: [
      { name: 'top', ro: { 'd/f': 'top' } },
      { name: 'low', ro: { 'd/g': 'low' } },
    ],
  })
  const spec = layers.stack('top', 'low')
  const [top, low] = spec.layers
  const view = layers.view(
    [],
    {},
    {
      layers: [{ ...top!, rw: null, numbers: null, work: null }, low!],
      base: null,
    },
  )
  t.throws(() => view.unlink('d/f'), { code: 'EROFS' })
  t.throws(() => view.chmod('d', 0o700), { code: 'EROFS' })
  t.equal(view.read('d/f'), 'top')
})

t.test('a stack that cannot be opened leaves the one before it whole', async (t) => {
  const { layers, view } = await viewOf(t, {
    layers: [{ name: 'app', ro: { f: 'f' } }, { name: 'other' }],
  })
  const [app, other] = layers.stack('app', 'other').layers
  const broken = { ...other!, work: join(layers.dir, 'absent') }
  const stack = { layers: [{ ...app!, excludes: ['*.log'] }, broken], base: null }
  t.throws(() => view.restack(stack), { code: 'ENOENT' })
  view.write('f', 'changed')
  t.equal(layers.inRw('app', 'f'), 'changed')
})

t.test('writing a directory out leaves no node that the kernel does not know', async (t) => {
  const { view } = await viewOf(t, {
    layers: [
      { name: 'mine', ro: { x: '1' } },
      { name: 'other', ro: { 'd/a': '1', 'd/s/b': '2' } },
    ],
    options: { privateTo: 'mine' },
  })
  view.id('d')
  view.rename('d', 'e')
  t.equal(view.view.counts.nodes, 2)
  t.equal(view.read('e/s/b'), '2')
})
