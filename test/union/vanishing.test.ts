// Who asks first for a name that is gone: the kernel takes down all that it knew below it for that one.

import t from 'tap'
import { ABSENT, Parked } from '../../lib/fuse/filesystem.ts'
import { CALLER, viewOf } from './view-of.ts'

const FILES = 300
const OURS = { ...CALLER, pid: process.pid }
const PROGRAM = { ...CALLER, pid: 1 }

/** The clock, which goes when a test says so: what is measured are single milliseconds. */
let now = performance.now()
Object.defineProperty(performance, 'now', { value: () => now })

/** A view that showed many files in `large`, and few in `small`, and shows neither any more. */
async function without(t: Parameters<typeof viewOf>[0], device = 99) {
  const files = (dir: string, count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`${dir}/f${i}`, '']))
  const { layers, view } = await viewOf(t, {
    layers: [
      { name: 'app', ro: { ...files('large', FILES), ...files('small', 3) } },
      { name: 'low', ro: {} },
    ],
  })
  for (let i = 0; i < FILES; i++) view.id(`large/f${i}`)
  for (let i = 0; i < 3; i++) view.id(`small/f${i}`)
  view.view.device = device
  t.teardown(() => {
    view.view.device = -1
  })
  view.restack(layers.stack('low'))
  const ask = (caller: typeof CALLER, name: string) =>
    view.view.lookup(caller, view.view.root.id, name).node
  return { ask }
}

t.test('a program is answered a moment after our own thread', async (t) => {
  const { ask } = await without(t)
  t.throws(() => ask(PROGRAM, 'large'), Parked)
  t.equal(ask(PROGRAM, 'small'), ABSENT, 'not where little was below')
  t.equal(ask(OURS, 'large'), ABSENT)
  t.throws(() => ask(PROGRAM, 'large'), Parked)
  now += 1
  t.throws(() => ask(PROGRAM, 'large'), Parked)
  now += 2
  t.equal(ask(PROGRAM, 'large'), ABSENT)
  t.equal(ask(PROGRAM, 'large'), ABSENT)
})

t.test('where nobody asks for us, programs are answered all the same', async (t) => {
  const { ask } = await without(t)
  t.throws(() => ask(PROGRAM, 'large'), Parked)
  now += 99
  t.throws(() => ask(PROGRAM, 'large'), Parked)
  now += 2
  t.equal(ask(PROGRAM, 'large'), ABSENT)
  const native = await without(t, -1)
  t.equal(native.ask(PROGRAM, 'large'), ABSENT, 'at once over fuse-native')
})
