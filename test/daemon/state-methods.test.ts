// States as a person names, marks and deletes them, on stores opened by the test.

import { existsSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Failure } from '../../lib/base/failure.ts'
import { type Answer, type MethodName, type Params, perform } from '../../lib/daemon/api.ts'
import type { Control } from '../../lib/daemon/control.ts'
import { type RecodingOptions, recodeDue } from '../../lib/daemon/recoding.ts'
import { bringBack } from '../../lib/daemon/removal.ts'
import { randomBytes, randomOf } from '../snapshot/fixture.ts'
import { newStore, nobody, type Test, throwAway } from './place.ts'

const ask = <Name extends MethodName>(
  control: Control,
  name: Name,
  params: Params<Name>,
): Promise<Answer<Name>> => perform(control, name, params, nobody) as Promise<Answer<Name>>

async function storeWithLayer(t: Test) {
  const control = await newStore(t)
  await ask(control, 'layer.create', { layer: 'app', source: { kind: 'empty' } })
  const { places } = await ask(control, 'layer.show', { layer: 'app' })
  const write = (name: string, text: string) => writeFileSync(join(places.rw, name), text)
  const take = async (text: string, more = {}) => {
    write('file', text)
    return ask(control, 'snapshot', { layer: 'app', message: text, ...more })
  }
  return { control, places, write, take }
}

t.test('a state without a change is none, unless it is wanted all the same', async (t) => {
  const { control, take } = await storeWithLayer(t)
  const first = await take('one')
  t.match(first, { taken: true, trigger: 'manual', pinned: false, tags: {} })
  t.match(await ask(control, 'snapshot', { layer: 'app' }), { taken: false, id: first.id })
  const second = await ask(control, 'snapshot', { layer: 'app', always: true })
  t.equal(second.taken, true)
  t.not(second.id, first.id)
})

t.test('states are labelled, tagged and pinned, and found by their names', async (t) => {
  const { control, take } = await storeWithLayer(t)
  const a = await take('a', { label: 'first', tags: { release: '1' } })
  const b = await take('b')
  const of = { layer: 'app' }
  await ask(control, 'state.label', { ...of, state: b.id.slice(0, 7), label: 'second' })
  await t.rejects(ask(control, 'state.label', { ...of, state: b.id, label: 'first' }), {
    code: 'SVS_LABEL_TAKEN',
  })
  t.match(await ask(control, 'snapshots', { ...of, state: 'second' }), [{ id: b.id }])
  const tagged = await ask(control, 'state.tag', { ...of, state: 'first', set: { ok: '' } })
  t.same(tagged.tags, { release: '1', ok: '' })
  const fewer = await ask(control, 'state.tag', { ...of, state: '-1', remove: ['release'] })
  t.same([fewer.id, fewer.tags], [a.id, { ok: '' }])
  t.match(await ask(control, 'state.pin', { ...of, state: 'first', pinned: true }), {
    pinned: true,
  })
  await t.rejects(ask(control, 'state.delete', { ...of, state: 'first' }), {
    code: 'SVS_STATE_PINNED',
    message: /app@/,
  })
  await ask(control, 'state.pin', { ...of, state: 'first', pinned: false })
  await ask(control, 'state.delete', { ...of, state: 'first' })
  t.match(await ask(control, 'snapshots', of), [{ id: b.id, label: 'second', current: true }])
  await t.rejects(ask(control, 'snapshots', { ...of, state: 'first' }), {
    code: 'SVS_STATE_NOT_FOUND',
  })
})

t.test('a range is the states from one to another, and one pinned state keeps all', async (t) => {
  const { control, take } = await storeWithLayer(t)
  const ids: string[] = []
  for (const text of ['a', 'b', 'c', 'd']) ids.push((await take(text)).id)
  const list = async (state: string) =>
    (await ask(control, 'snapshots', { layer: 'app', state })).map(({ id }) => id)
  t.same(await list(`${ids[1]}..${ids[2]}`), [ids[2], ids[1]])
  t.same(await list('-2..latest'), [ids[3], ids[2], ids[1]])
  t.same(await list(`..${ids[1]}`), [ids[1], ids[0]])
  t.same(await list(`${ids[2]}..`), [ids[3], ids[2]])
  await t.rejects(list('latest..nothing'), { code: 'SVS_STATE_NOT_FOUND' })
  await ask(control, 'state.pin', { layer: 'app', state: ids[2]!, pinned: true })
  await t.rejects(ask(control, 'state.delete', { layer: 'app', state: '..' }), {
    code: 'SVS_STATE_PINNED',
  })
  t.same((await list('..')).length, 4)
  await ask(control, 'state.delete', { layer: 'app', state: '..-2' })
  t.same(await list('..'), [ids[3], ids[2]])
})

t.test('names that no state may have are refused', async (t) => {
  const { control, take } = await storeWithLayer(t)
  await take('a')
  for (const label of ['latest', '-1', 'a b', 'a/b', 'a@b', 'a..b', '', 'x'.repeat(65)])
    await t.rejects(
      ask(control, 'state.label', { layer: 'app', state: 'latest', label }),
      { code: 'SVS_BAD_REQUEST' },
      label,
    )
  for (const tag of ['', 'a b', 'a=b', 'a/b'])
    await t.rejects(
      ask(control, 'state.tag', { layer: 'app', state: 'latest', set: { [tag]: 'x' } }),
      { code: 'SVS_BAD_REQUEST' },
      tag,
    )
  t.match(await ask(control, 'snapshots', { layer: 'app' }), [{ label: null, tags: {} }])
})

t.test('a list says what each state needs alone, and what it shares', async (t) => {
  const { control, write, take } = await storeWithLayer(t)
  const noise = Array.from({ length: 20_000 }, () => Math.random().toString(36).slice(2)).join('')
  write('large', noise)
  await take('a')
  await take('b')
  const [b, a] = await ask(control, 'snapshots', { layer: 'app', sizes: true })
  for (const { sizes } of [a!, b!]) {
    t.ok(sizes!.shared > 50_000, 'both have the large file')
    t.ok(sizes!.own > 0 && sizes!.own < 20_000)
  }
  await ask(control, 'state.delete', { layer: 'app', state: '-1' })
  t.equal((await ask(control, 'gc', {})).bytes, a!.sizes!.own, 'what it needed alone goes with it')
})

/** Takes states of a program that is built again and again. */
async function takeRebuilt(rw: string, take: (text: string) => Promise<unknown>, states: number) {
  const noise = randomBytes(randomOf(57), 300_000)
  const program = Buffer.concat([Buffer.from('\x7fELF', 'latin1'), noise])
  for (let state = 0; state < states; state++) {
    writeFileSync(join(rw, 'program'), program)
    await take(`state ${state}`)
    for (let at = 20; at + 4 < program.length; at += 40)
      program.writeInt32LE((program.readInt32LE(at) + 4711) | 0, at)
  }
}

t.test('what recode replaces goes at once', async (t) => {
  const { control, places, take } = await storeWithLayer(t)
  await takeRebuilt(places.rw, take, 2)
  const { recoded, saved, freed } = await ask(control, 'recode', { layer: 'app' })
  t.ok(recoded === 1 && saved > 5000 && freed !== null && freed >= saved, `${saved}, ${freed}`)
  t.match(await ask(control, 'gc', {}), { chunks: 0, bytes: 0 })
  t.match(await ask(control, 'recode', { layer: 'app' }), { recoded: 0, freed: 0 })
  t.match(await ask(control, 'verify', {}), { faults: [] })
})

t.test('a state is recoded by itself when it is a day old, once, and not on battery', async (t) => {
  const { control, places, take } = await storeWithLayer(t)
  await takeRebuilt(places.rw, take, 3)
  const supplies = throwAway(t)
  const due = (options: RecodingOptions) => recodeDue(control, { supplies, ...options })
  t.equal(await due({}), 0, 'too young')
  const now = { age: -60_000 }
  mkdirSync(join(supplies, 'AC'))
  writeFileSync(join(supplies, 'AC/type'), 'Mains\n')
  writeFileSync(join(supplies, 'AC/online'), '0\n')
  t.equal(await due(now), 0, 'on battery')
  writeFileSync(join(supplies, 'AC/online'), '1\n')
  t.equal(await due({ ...now, budget: 0 }), 0, 'no time')
  process.env.SVSFS_RECODE = 'off'
  t.equal(await due(now), 0, 'not wanted')
  delete process.env.SVSFS_RECODE
  t.equal(await due(now), 2, 'both that were built again')
  t.match(await ask(control, 'recode', { layer: 'app' }), { programs: 1, recoded: 0 })
  t.equal(await due(now), 0)
  t.match(await ask(control, 'verify', {}), { faults: [] })
})

t.test(
  'garbage of a store goes: directories without a record, versions without a state',
  async (t) => {
    const { control, places, take } = await storeWithLayer(t)
    const from = join(throwAway(t), 'from')
    mkdirSync(from)
    writeFileSync(join(from, 'x'), 'x')
    await take('on version 1')
    writeFileSync(join(places.rw, 'unsaved'), 'x')
    await ask(control, 'layer.replace', { layer: 'app', source: { kind: 'from', paths: [from] } })
    const [before] = await ask(control, 'snapshots', { layer: 'app' })
    t.match(before, { trigger: 'before-update', message: 'before replace' })
    const { layers } = control.store.places
    const orphan = join(layers, 'ffffffffff')
    const ancient = join(layers, 'eeeeeeeeee')
    for (const dir of [orphan, ancient, join(places.ro, '../9'), join(places.rw, '../7')])
      mkdirSync(dir, { recursive: true })
    utimesSync(ancient, 1, 1)
    const told = await ask(control, 'gc', { dryRun: true })
    t.ok(existsSync(orphan))
    const gone = await ask(control, 'gc', {})
    t.same({ ...told, dryRun: false }, gone, 'a dry run tells what goes')
    t.equal(gone.directories.length, 3)
    t.same(gone.foreign, ['layers/eeeeeeeeee'])
    t.notOk(existsSync(orphan))
    t.ok(existsSync(places.ro), 'a state needs version 1')
    t.ok(existsSync(ancient), 'what is older than the catalogue is left alone')
    await ask(control, 'state.delete', { layer: 'app', state: '..' })
    t.equal((await ask(control, 'gc', {})).directories.length, 1)
    t.notOk(existsSync(places.ro))
    t.match(await ask(control, 'layer.show', { layer: 'app' }), { version: 2, references: {} })
  },
)

t.test(
  'a sublayer kept beside keeps the version of the read-only part that it lies over',
  async (t) => {
    const { control, places, take } = await storeWithLayer(t)
    await take('on version 1')
    const record = await control.layer('app')
    await ask(control, 'layer.replace', { layer: 'app', source: { kind: 'empty' } })
    await ask(control, 'state.delete', { layer: 'app', state: '..' })
    const now = await control.layer('app')
    const kept = { name: 'kept', rw: 5, ro: record.ro, made: 1, head: null }
    await control.catalogue.putLayer({ ...now, sublayers: [kept] })
    await control.catalogue.deleteUndo((await control.catalogue.undos())[0] ?? ({ at: 0 } as never))
    await ask(control, 'gc', {})
    t.ok(existsSync(places.ro))
    await control.catalogue.putLayer(now)
    await ask(control, 'gc', {})
    t.notOk(existsSync(places.ro))
  },
)

t.test('a deleted layer comes back whole, until garbage is removed', async (t) => {
  const { control, places, take } = await storeWithLayer(t)
  const state = await take('kept')
  const { id } = await control.layer('app')
  t.match(await ask(control, 'layer.show', { layer: 'app' }), { states: 1, references: { 1: 1 } })
  const gone = await ask(control, 'layer.delete', { layer: 'app', withStates: true })
  t.same(gone, { layer: 'app', states: 1, kept: true })
  t.match(await control.catalogue.undos(), [{ what: 'delete', layer: id, name: 'app' }])
  await ask(control, 'gc', {})
  await ask(control, 'layer.create', { layer: 'app', source: { kind: 'empty' } })
  await t.rejects(bringBack(control, id, 'app'), { code: 'SVS_LAYER_EXISTS' })
  await bringBack(control, id, 'app', 'old-app')
  t.match(await ask(control, 'snapshots', { layer: 'old-app' }), [{ id: state.id }])
  t.ok(existsSync(join(places.rw, 'file')))
  const forGood = { layer: 'old-app', withStates: true, now: true }
  t.match(await ask(control, 'layer.delete', forGood), { kept: false })
  t.notOk(existsSync(places.rw))
  await t.rejects(bringBack(control, id, 'app'), { code: 'SVS_LAYER_NOT_FOUND' })
})

t.test('a deletion can be taken back whatever was done after it', async (t) => {
  const { control } = await storeWithLayer(t)
  await ask(control, 'layer.create', { layer: 'gone', source: { kind: 'empty' } })
  await ask(control, 'layer.delete', { layer: 'gone' })
  for (let count = 0; count < 13; count++) {
    await ask(control, 'activate', { layer: 'app' })
    await ask(control, 'deactivate', { layer: 'app' })
  }
  t.equal((await ask(control, 'undo.list', {})).length, 21, 'of the rest, the last 20')
  t.match(await ask(control, 'undo', { layer: 'gone' }), { what: 'delete', layer: 'gone' })
  t.match(await ask(control, 'layer.list', {}), [{ name: 'app' }, { name: 'gone' }])
})

t.test('replacements are taken back, one version at a time, with what was changed', async (t) => {
  const { control, write } = await storeWithLayer(t)
  const shown = () => ask(control, 'layer.show', { layer: 'app' })
  const replace = async (text: string) => {
    const from = throwAway(t)
    writeFileSync(join(from, 'program'), text)
    await ask(control, 'layer.replace', { layer: 'app', source: { kind: 'from', paths: [from] } })
  }
  write('settings', 'kept')
  await replace('two')
  await replace('three')
  const third = await ask(control, 'snapshot', { layer: 'app' })
  t.equal(third.taken, true, 'the same changes on another version are another state')
  for (const [version, program] of [
    [2, 'two'],
    [1, null],
  ] as const) {
    t.match(await ask(control, 'undo', {}), { what: 'replace', skipped: [] })
    const { places, ...layer } = await shown()
    t.equal(layer.version, version)
    t.equal(readFileSync(join(places.rw, 'settings'), 'utf8'), 'kept')
    const file = join(places.ro, 'program')
    t.equal(existsSync(file) ? readFileSync(file, 'utf8') : null, program)
  }
  await ask(control, 'restore', { layer: 'app', state: third.id })
  t.equal((await shown()).version, 3, 'and newer ones are not lost')
})

t.test('what cannot be taken back does not keep what came before it from it', async (t) => {
  const { control, places, take } = await storeWithLayer(t)
  const file = async () => {
    const { places } = await ask(control, 'layer.show', { layer: 'app' })
    return readFileSync(join(places.rw, 'file'), 'utf8')
  }
  const one = await take('one')
  await take('two')
  await ask(control, 'restore', { layer: 'app', state: one.id })
  writeFileSync(join(places.rw, 'file'), 'three')
  const { before } = await ask(control, 'restore', { layer: 'app', state: one.id })
  await ask(control, 'state.delete', { layer: 'app', state: before.id })
  const done = await ask(control, 'undo', {})
  t.match(done, { what: 'restore', skipped: [{ what: 'restore', name: 'app', state: before.id }] })
  t.equal(await file(), 'two')
  await ask(control, 'restore', { layer: 'app', state: one.id })
  const [last] = await ask(control, 'snapshots', { layer: 'app' })
  for (const { id } of await ask(control, 'snapshots', { layer: 'app' }))
    if (id !== one.id) await ask(control, 'state.delete', { layer: 'app', state: id })
  await t.rejects(ask(control, 'undo', {}), { code: 'SVS_STATE_NOT_FOUND' }, last?.id ?? '')
  t.equal(await file(), 'one')
})

t.test('a daemon removes garbage by itself, once nothing was deleted for a while', async (t) => {
  const { control, write, take } = await storeWithLayer(t)
  const random = randomOf(3)
  async function large() {
    write('file', randomBytes(random, 100_000).toString('base64'))
    return ask(control, 'snapshot', { layer: 'app' })
  }
  const { id } = await large()
  await take('two')
  const left = async () => {
    try {
      return (await ask(control, 'gc', { dryRun: true })).chunks
    } catch (err) {
      if ((err as Failure).code === 'SVS_STORE_BUSY') return 1
      throw err
    }
  }
  await ask(control, 'state.delete', { layer: 'app', state: id })
  const before = await left()
  t.ok(before > 0, 'a command alone leaves it')
  await control.upkeep.start(20)
  while ((await left()) > 0) await sleep(20)
  // Whether it works just then or not.
  for (const delay of [0, 5, 10, 15, 20]) {
    const next = await large()
    await take('three')
    await sleep(delay)
    await ask(control, 'state.delete', { layer: 'app', state: next.id })
  }
  while ((await left()) > 0) await sleep(20)
  const kept = await ask(control, 'snapshots', { layer: 'app' })
  t.same(new Set(kept.map(({ message }) => message)), new Set(['two', 'three']))
})
