// The order of layers in a mount.
// Runs once: no user matters to it.

import t from 'tap'
import { chosenLayers, stackOf } from '../../lib/daemon/stack.ts'
import { storePlaces } from '../../lib/daemon/store-path.ts'
import type { LayerRecord } from '../../lib/snapshot/records.ts'

function layer(name: string, fields: Partial<LayerRecord> = {}): LayerRecord {
  const ro = { version: 1, digest: '', entries: 1, bytes: 0 }
  const plain = { tag: 1, created: 0, ro, versions: [ro], rw: 1, active: true, priority: 0 }
  return { id: `id-${name}`, name, excludes: [], manifest: {}, ...plain, ...fields }
}

const ALL = { only: null, top: null, base: null }
const names = (records: LayerRecord[]) => records.map(({ name }) => name)

t.test('the higher priority is above; of equals, the younger', async (t) => {
  const records = [
    layer('old', { created: 1 }),
    layer('low', { priority: -5, created: 9 }),
    layer('young', { created: 2 }),
    layer('high', { priority: 3 }),
  ]
  t.same(names(chosenLayers(records, ALL)), ['high', 'young', 'old', 'low'])
})

t.test('what is not active is not shown, nor what a mount did not name', async (t) => {
  const records = [layer('a'), layer('b', { active: false }), layer('c')]
  t.same(names(chosenLayers(records, ALL)), ['a', 'c'])
  t.same(names(chosenLayers(records, { ...ALL, only: ['id-b', 'id-c'] })), ['c'])
  t.same(names(chosenLayers(records, { ...ALL, only: [] })), [])
})

t.test('the layer of svsfs run is on top, active or not, and there once', async (t) => {
  const records = [layer('a', { priority: 9 }), layer('b', { active: false }), layer('c')]
  t.same(names(chosenLayers(records, { ...ALL, top: 'id-b' })), ['b', 'a', 'c'])
  t.same(names(chosenLayers(records, { ...ALL, top: 'id-a' })), ['a', 'c'])
})

t.test('places are those of the current sublayers, as bytes', async (t) => {
  const ro = { version: 4, digest: '', entries: 1, bytes: 0 }
  const stack = stackOf(storePlaces('/störe'), [layer('a', { rw: 7, ro })], ALL)
  const [spec] = stack.layers
  const at = Buffer.from('/störe/layers/id-a').toString('latin1')
  t.equal(spec?.rw, `${at}/rw/7`)
  t.equal(spec?.numbers, `${at}/rw/7.numbers`)
  t.same(spec?.ro, [{ path: `${at}/ro/4`, index: `${at}/ro/4.index`, version: 4 }])
})
