// The table of methods: what passes its shapes, and what each does without a daemon.

import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  type Answer,
  METHOD_NAMES,
  type MethodName,
  type Params,
  perform,
} from '../../lib/daemon/api.ts'
import { type Control, openControl } from '../../lib/daemon/control.ts'
import { layerPlaces } from '../../lib/daemon/store-path.ts'
import { directory, newStore, nobody, throwAway } from './place.ts'

const ask = <Name extends MethodName>(control: Control, name: Name, params: Params<Name>) =>
  perform(control, name, params, nobody) as Promise<Answer<Name>>

const EMPTY = { kind: 'empty' } as const

t.test('every method refuses parameters of the wrong kind, by name', async (t) => {
  const control = await newStore(t)
  const wrong: unknown[] = [7, 'text', [], { surprise: 1 }, { layer: 7, path: 7, mountPoint: 7 }]
  for (const name of METHOD_NAMES) {
    for (const params of wrong)
      await t.rejects(
        perform(control, name, params, nobody),
        { code: 'SVS_BAD_REQUEST', exit: 2, message: new RegExp(name) },
        `${name} ${JSON.stringify(params)}`,
      )
  }
})

t.test('a method that is not there is refused, also one that every object has', async (t) => {
  const control = await newStore(t)
  for (const name of ['nonsense', '', 'toString', '__proto__', 'constructor', 'hasOwnProperty'])
    await t.rejects(perform(control, name, {}, nobody), { code: 'SVS_BAD_REQUEST' }, name)
})

t.test('what needs a mount says so where no daemon runs', async (t) => {
  const control = await newStore(t)
  await t.rejects(ask(control, 'mount', { mountPoint: '/mnt' }), { code: 'SVS_NO_DAEMON' })
  await t.rejects(ask(control, 'run.prepare', { layer: 'a' }), { code: 'SVS_NO_DAEMON' })
})

t.test('a layer is made from a directory, listed, shown, renamed and deleted', async (t) => {
  const control = await newStore(t)
  const from = directory(throwAway(t), 'src')
  writeFileSync(join(from, 'tool'), 'x'.repeat(1000))
  const source = { kind: 'from' as const, paths: [from] }
  const made = await ask(control, 'layer.create', { layer: 'tools', source })
  t.match(made, { name: 'tools', active: false, priority: 0, version: 1, entries: 2, bytes: 1000 })
  t.match(made.digest, /^[0-9a-f]{64}$/)
  t.match(await ask(control, 'layer.list', {}), [{ name: 'tools' }])
  const shown = await ask(control, 'layer.show', { layer: 'tools' })
  t.equal(readFileSync(join(shown.places.ro, 'tool'), 'utf8').length, 1000)
  await ask(control, 'layer.rename', { layer: 'tools', to: 'kit' })
  t.match(await ask(control, 'layer.list', {}), [{ name: 'kit', id: made.id }])
  await ask(control, 'layer.delete', { layer: 'kit' })
  t.same(await ask(control, 'layer.list', {}), [])
  t.equal(readFileSync(join(shown.places.ro, 'tool'), 'utf8').length, 1000)
  await ask(control, 'gc', { all: true })
  t.throws(() => readFileSync(join(shown.places.ro, 'tool')), { code: 'ENOENT' })
})

t.test(
  'with a layer go its states, and what they alone held, once it cannot be brought back',
  async (t) => {
    const control = await newStore(t)
    await ask(control, 'layer.create', { layer: 'a', source: { kind: 'empty' } })
    const { places } = await ask(control, 'layer.show', { layer: 'a' })
    writeFileSync(join(places.rw, 'file'), randomBytes(200_000))
    await ask(control, 'snapshot', { layer: 'a' })
    const stored = async () => {
      const found: string[] = []
      for await (const at of control.catalogue.keys({ gte: 'chunk', lt: 'chunl' })) found.push(at)
      return found.length
    }
    t.ok((await stored()) > 0)
    await t.rejects(ask(control, 'layer.delete', { layer: 'a' }), { code: 'SVS_LAYER_HAS_STATES' })
    await ask(control, 'layer.delete', { layer: 'a', withStates: true })
    await ask(control, 'gc', {})
    t.ok((await stored()) > 0, 'it may still be brought back')
    t.match(await ask(control, 'gc', { all: true }), { layers: ['a'] })
    t.equal(await stored(), 0)
  },
)

t.test('names that a layer may not have are refused, and nothing is left of them', async (t) => {
  const control = await newStore(t)
  const refused = ['', 'a/b', '..', 'a:b', 'a@b', '-a', 'x'.repeat(65), 'a\nb', 'a..b', '\ufffd']
  for (const layer of [...refused, 'x'.repeat(1000)])
    await t.rejects(
      ask(control, 'layer.create', { layer, source: EMPTY }),
      { code: 'SVS_NAME_INVALID', exit: 10 },
      layer,
    )
  await ask(control, 'layer.create', { layer: 'fine', source: EMPTY })
  await t.rejects(ask(control, 'layer.rename', { layer: 'fine', to: '../up' }), {
    code: 'SVS_NAME_INVALID',
  })
  t.match(await ask(control, 'layer.list', {}), [{ name: 'fine' }])
})

t.test('two layers never have one name, also when both are made at once', async (t) => {
  const control = await newStore(t)
  const make = () => ask(control, 'layer.create', { layer: 'twin', source: EMPTY })
  const made = await Promise.allSettled([make(), make()])
  t.same(made.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  await ask(control, 'layer.create', { layer: 'other', source: EMPTY })
  await t.rejects(ask(control, 'layer.rename', { layer: 'other', to: 'twin' }), {
    code: 'SVS_LAYER_EXISTS',
    exit: 4,
  })
})

t.test('an import that fails leaves no layer and no directory behind', async (t) => {
  const control = await newStore(t)
  const file = join(throwAway(t), 'not-an-archive')
  writeFileSync(file, 'just text')
  const source = { kind: 'from' as const, paths: [file] }
  await t.rejects(ask(control, 'layer.create', { layer: 'bad', source }), {
    code: 'SVS_SOURCE_UNKNOWN',
  })
  t.same(await ask(control, 'layer.list', {}), [])
  t.same(readdirSync(control.store.places.layers), [])
})

t.test('activity and priority outlive the process that set them', async (t) => {
  const control = await newStore(t)
  await ask(control, 'layer.create', { layer: 'a', source: EMPTY })
  t.match(await ask(control, 'activate', { layer: 'a' }), { changed: true, mounts: [] })
  t.match(await ask(control, 'activate', { layer: 'a' }), { changed: false })
  await ask(control, 'priority', { layer: 'a', priority: -7 })
  await control.close()
  const { root } = control.store.places
  const again = await openControl({ root, doing: 'a test', create: false })
  t.match(await ask(again, 'layer.list', {}), [{ name: 'a', active: true, priority: -7 }])
  await again.close()
})

t.test('what is not there is not found', async (t) => {
  const control = await newStore(t)
  for (const name of ['activate', 'deactivate', 'reset', 'snapshot', 'layer.show'] as const)
    await t.rejects(ask(control, name, { layer: 'ghost' }), {
      code: 'SVS_LAYER_NOT_FOUND',
      exit: 3,
    })
  await ask(control, 'layer.create', { layer: 'a', source: EMPTY })
  await t.rejects(ask(control, 'restore', { layer: 'a', state: 'latest' }), {
    code: 'SVS_STATE_NOT_FOUND',
  })
  await t.rejects(ask(control, 'umount', { mountPoint: '/proc' }), { code: 'SVS_NOT_MOUNTED' })
})

t.test(
  'a state of a layer that is not mounted is taken, and restored with the way back',
  async (t) => {
    const control = await newStore(t)
    const made = await ask(control, 'layer.create', { layer: 'a', source: EMPTY })
    const rw = layerPlaces(control.store.places, made.id).rw(1)
    writeFileSync(join(rw, 'note'), 'first')
    const first = await ask(control, 'snapshot', { layer: 'a', message: 'one', label: 'one' })
    t.match(first, { taken: true, message: 'one', current: true })
    t.match(await ask(control, 'snapshot', { layer: 'a' }), { taken: false, id: first.id })
    await t.rejects(ask(control, 'snapshot', { layer: 'a', label: 'one' }), {
      code: 'SVS_LABEL_TAKEN',
    })
    writeFileSync(join(rw, 'note'), 'second, longer')
    writeFileSync(join(rw, 'more'), 'x')
    const restored = await ask(control, 'restore', { layer: 'a', state: 'one' })
    t.equal(readFileSync(join(rw, 'note'), 'utf8'), 'first')
    t.throws(() => readFileSync(join(rw, 'more')), { code: 'ENOENT' })
    t.match(restored, { state: { id: first.id }, before: { trigger: 'before-restore' } })
    await ask(control, 'restore', { layer: 'a', state: restored.before.id })
    t.equal(readFileSync(join(rw, 'note'), 'utf8'), 'second, longer')
    t.equal(readFileSync(join(rw, 'more'), 'utf8'), 'x')
  },
)

t.test('a reset gives an empty sublayer, and its state brings back what was there', async (t) => {
  const control = await newStore(t)
  const made = await ask(control, 'layer.create', { layer: 'a', source: EMPTY })
  const places = layerPlaces(control.store.places, made.id)
  writeFileSync(join(places.rw(1), 'note'), 'mine')
  writeFileSync(join(places.scratch(1), 'cached'), 'excluded')
  const { state } = await ask(control, 'reset', { layer: 'a' })
  t.same(readdirSync(places.rw(2)), [])
  t.same(readdirSync(places.scratch(2)), [])
  t.throws(() => readdirSync(places.scratch(1)), { code: 'ENOENT' })
  t.throws(() => readdirSync(places.rw(1)), { code: 'ENOENT' })
  await ask(control, 'restore', { layer: 'a', state: state ?? '' })
  t.equal(readFileSync(join(places.rw(2), 'note'), 'utf8'), 'mine')
})

t.test('a state goes back to the version of the read-only part that it was made on', async (t) => {
  const control = await newStore(t)
  const from = throwAway(t)
  writeFileSync(join(from, 'version'), 'one')
  const source = { kind: 'from' as const, paths: [from] }
  const made = await ask(control, 'layer.create', { layer: 'a', source })
  const places = layerPlaces(control.store.places, made.id)
  writeFileSync(join(places.rw(1), 'note'), 'mine')
  const old = await ask(control, 'snapshot', { layer: 'a' })
  writeFileSync(join(from, 'version'), 'two')
  t.match(await ask(control, 'layer.replace', { layer: 'a', source }), { version: 2 })
  t.equal(readFileSync(join(places.ro(2), 'version'), 'utf8'), 'two')
  t.equal(readFileSync(join(places.ro(1), 'version'), 'utf8'), 'one')
  await ask(control, 'restore', { layer: 'a', state: old.id })
  const shown = await ask(control, 'layer.show', { layer: 'a' })
  t.equal(shown.version, 1)
  t.equal(readFileSync(join(shown.places.rw, 'note'), 'utf8'), 'mine')
})

t.test('what a crash left in work is gone when the store is opened next', async (t) => {
  const control = await newStore(t)
  const made = await ask(control, 'layer.create', { layer: 'a', source: EMPTY })
  const places = layerPlaces(control.store.places, made.id)
  directory(places.work, 'import-2/deep')
  directory(control.store.places.frozen, 'old-1')
  directory(places.root, 'rw/9')
  await control.close()
  const { root } = control.store.places
  const again = await openControl({ root, doing: 'a test', create: false })
  t.same(readdirSync(places.work), [])
  t.same(readdirSync(again.store.places.frozen), [])
  t.same(readdirSync(join(places.root, 'rw')), ['1'])
  await again.close()
})
