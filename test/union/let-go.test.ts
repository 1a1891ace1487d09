// What a view holds for its kernel, and lets go: nodes, and the descriptors behind them.

import { readdirSync } from 'node:fs'
import t from 'tap'
import type { HandleId, Job, NodeId, Parked } from '../../lib/fuse/filesystem.ts'
import { diskIs } from './disk-type.ts'
import { CALLER, viewOf } from './view-of.ts'

const descriptors = (): number => readdirSync('/proc/self/fd').length

t.test('a node that no answer told of is let go with the next request', async (t) => {
  const { view } = await viewOf(t, { layers: [{ name: 'app', ro: { 'a/b/c': '', 'd/e': '' } }] })
  const root = 1 as NodeId
  t.throws(() => view.view.unlink(CALLER, root, 'a'), { code: 'EISDIR' })
  t.throws(() => view.view.rmdir(CALLER, root, 'd'), { code: 'ENOTEMPTY' })
  t.equal(view.view.resolve('a/b/c' as never)?.name, 'c')
  view.view.getattr(CALLER, root, null)
  t.equal(view.view.counts.nodes, 1)
})

t.test('a node that was forgotten too often is known again when it is looked up', async (t) => {
  const { view } = await viewOf(t, { layers: [{ name: 'app', ro: { 'a/b': 'text' } }] })
  view.view.forget(view.id('a'), 1000)
  const id = view.id('a')
  view.view.getattr(CALLER, id, null)
  t.equal(view.read('a/b'), 'text')
  view.view.forget(1 as NodeId, 2 ** 60)
  t.equal(view.read('a/b'), 'text')
})

t.test('a directory that is removed while it is flushed leaves no descriptor', async (t) => {
  diskIs(t, 'ext4')
  const { view } = await viewOf(t, { layers: [{ name: 'app' }] })
  const before = descriptors()
  view.mkdir('d')
  const id = view.id('d')
  let job: Job | null = null
  try {
    view.view.fsyncdir(CALLER, id, 0 as HandleId, false)
  } catch (err) {
    job = (err as Parked).job
  }
  t.ok(job)
  view.rmdir('d')
  view.view.fsyncdir({ ...CALLER, finished: job }, id, 0 as HandleId, false)
  view.view.forget(id, 1000)
  t.equal(view.view.counts.nodes, 1)
  t.equal(descriptors(), before)
})
