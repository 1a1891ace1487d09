// Which nodes a kernel is asked to forget, and what becomes of those that it does.

import t from 'tap'
import type { NodeId } from '../../lib/fuse/filesystem.ts'
import { O } from '../../lib/host/sys.ts'
import { type Seen, viewOf } from './view-of.ts'

const FILES = 40
const drawing = Object.fromEntries(
  Array.from({ length: FILES }, (_, i) => [`d/f${String(i).padStart(2, '0')}`, 'text']),
)
const names = Object.keys(drawing)
const MOST = 10

const pruned = (view: Seen): NodeId[] =>
  view.told.splice(0).flatMap((told) => (told.kind === 'prune' ? told.nodes : []))

t.test('above the bound the oldest nodes are named that nothing is known to use', async (t) => {
  const { view } = await viewOf(t, { layers: [{ name: 'app', ro: drawing }] })
  for (const name of names.slice(0, MOST)) view.id(name)
  t.same(pruned(view), [], 'none is asked for without a bound')
  view.view.bound.most = MOST
  const open = view.id(names[0]!)
  view.open(open, O.RDONLY)
  for (const name of names.slice(MOST, MOST + 5)) view.id(name)
  const asked = pruned(view)
  t.notOk(asked.includes(open), 'not the open one')
  t.notOk(asked.includes(view.id('d')), 'not a directory with names in it')
  t.same(
    asked.slice(0, 3),
    [names[1], names[2], names[3]].map((name) => view.id(name!)),
  )
})

t.test(
  'a kernel that forgets what it is asked to keeps the number of nodes at the bound',
  async (t) => {
    const { view } = await viewOf(t, { layers: [{ name: 'app', ro: drawing }] })
    view.view.bound.most = MOST
    const inos = new Map<string, number>()
    for (const name of [...names, ...names]) {
      const ino = view.ino(name)
      t.equal(inos.get(name) ?? ino, ino, 'its inode number is the one it had')
      inos.set(name, ino)
      for (const id of pruned(view)) view.view.forget(id, 1000)
      t.ok(view.view.counts.nodes <= MOST * 2)
    }
  },
)

t.test('a kernel that forgets nothing is asked for two nodes for each that is made', async (t) => {
  const { view } = await viewOf(t, { layers: [{ name: 'app', ro: drawing }] })
  view.view.bound.most = MOST
  for (const name of names) view.id(name)
  const asked = pruned(view)
  t.ok(asked.length > FILES / 2, `${asked.length} nodes`)
  t.ok(asked.length <= FILES * 2, `${asked.length} nodes`)
})
