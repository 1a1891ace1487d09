// The catalogue: what it refuses, what it keeps, and what an interrupted snapshot leaves.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Level } from 'level'
import t from 'tap'
import { openCatalogue } from '../../lib/snapshot/catalogue.ts'
import { collectGarbage } from '../../lib/snapshot/gc.ts'
import { isPlain } from '../../lib/snapshot/listed.ts'
import { listedState } from '../../lib/snapshot/records.ts'
import { buildState } from '../../lib/snapshot/restore.ts'
import {
  describeTree,
  labOf,
  layerRecord,
  mutate,
  placeOf,
  randomBytes,
  randomOf,
} from './fixture.ts'

const raw = async (dir: string): Promise<Level<string, Buffer>> => {
  const db = new Level<string, Buffer>(dir, { valueEncoding: 'buffer' })
  await db.open()
  return db
}

t.test('records come back with the fields that this version does not know', async (t) => {
  const dir = placeOf(t)
  const catalogue = await openCatalogue(dir)
  const record = { ...layerRecord(), later: { x: 1 } }
  await catalogue.putLayer(record)
  t.same(await catalogue.layers(), [record])
  t.same(await catalogue.layer('l1'), record)
  await catalogue.close()
  const again = await openCatalogue(dir)
  t.same(await again.layers(), [record])
  await again.deleteLayer('l1')
  t.same(await again.layers(), [])
  await again.close()
})

t.test('tags are not given again at once', async (t) => {
  const catalogue = await openCatalogue(placeOf(t))
  t.teardown(() => catalogue.close())
  t.same([await catalogue.nextTag(), await catalogue.nextTag()], [1, 2])
  await catalogue.putLayer({ ...layerRecord(), tag: 3 })
  t.equal(await catalogue.nextTag(), 4)
})

t.test('a catalogue of a later version is refused', async (t) => {
  const dir = placeOf(t)
  await (await openCatalogue(dir)).close()
  const db = await raw(dir)
  await db.put('meta', Buffer.from('{"version":4}'))
  await db.close()
  await t.rejects(openCatalogue(dir), { code: 'SVS_STORE_NEWER' })
})

t.test('a catalogue that is open elsewhere is refused', async (t) => {
  const dir = placeOf(t)
  const catalogue = await openCatalogue(dir)
  t.teardown(() => catalogue.close())
  await t.rejects(openCatalogue(dir), { code: 'SVS_STORE_LOCKED' })
})

t.test('a record that is no record is named', async (t) => {
  const dir = placeOf(t)
  await (await openCatalogue(dir)).close()
  const db = await raw(dir)
  await db.put('layer/x', Buffer.from('{"id":'))
  await db.put('layer/y', Buffer.from('{"id":"y","tag":99999}'))
  await db.close()
  const catalogue = await openCatalogue(dir)
  t.teardown(() => catalogue.close())
  await t.rejects(catalogue.layer('x'), { code: 'SVS_CATALOGUE_DAMAGED', message: /layer\/x/ })
  await t.rejects(catalogue.layer('y'), { code: 'SVS_CATALOGUE_DAMAGED', message: /layer\/y/ })
})

t.test('what a list takes without its schema, the schema passes as it is', async (t) => {
  const lab = await labOf(t)
  const record = await lab.snapshot()
  t.same(await lab.catalogue.listed('l1'), [record])
  t.ok(isPlain(record), 'a record that a snapshot wrote is taken so')
  const odd = [undefined, null, '', 'x', -1, 0.5, 2 ** 53, true, [], {}, { a: 1 }, { a: 'b' }]
  let taken = 0
  for (const at of Object.keys(record) as (keyof typeof record)[]) {
    const inner = isObject(record[at]) ? Object.keys(record[at]) : []
    for (const value of odd) {
      const all = [value, ...inner.map((name) => ({ ...(record[at] as object), [name]: value }))]
      for (const changed of all.map((field) => ({ ...record, [at]: field }))) {
        if (!isPlain(changed)) continue
        taken += 1
        t.same(listedState.parse(changed), changed, `${at}: ${JSON.stringify(value)}`)
      }
    }
  }
  t.ok(taken > 20 && !isPlain(null) && !isPlain([record]))
})

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

t.test('a damaged chunk is named with its state and path, and nothing is changed', async (t) => {
  const lab = await labOf(t)
  writeFileSync(join(lab.dirs.rw, 'whole'), 'small')
  writeFileSync(join(lab.dirs.rw, 'hurt'), randomBytes(randomOf(1), 200_000))
  const snapshot = await lab.snapshot()
  writeFileSync(join(lab.dirs.rw, 'hurt'), 'other')
  const was = describeTree(lab.dirs.rw)
  for await (const at of lab.catalogue.keys({ gte: 'chunk/', lt: 'chunk0' })) {
    const bytes = (await lab.catalogue.chunk(at.slice(6)))!
    if (bytes.length < 100_000) continue
    bytes[5000]! ^= 1
    await lab.catalogue.batch([{ type: 'put', key: at, value: bytes }])
  }
  const failure = { code: 'SVS_CHUNK_DAMAGED', message: new RegExp(`${snapshot.id}.*hurt`) }
  await t.rejects(lab.restore(snapshot), failure)
  t.same(describeTree(lab.dirs.rw), was)
  t.same(await lab.catalogue.plans(), [])
})

t.test('any byte flipped in any chunk is told, or harmless', async (t) => {
  const lab = await labOf(t)
  const random = randomOf(77)
  mutate(lab.dirs.rw, random, 60)
  const was = describeTree(lab.dirs.rw)
  const snapshot = await lab.snapshot()
  const { catalogue, dirs } = lab
  let round = 0
  for await (const at of catalogue.keys({ gte: 'chunk/', lt: 'chunk0' })) {
    if (random(3) > 0 && round > 3) continue
    const bytes = (await catalogue.chunk(at.slice(6)))!
    const bent = Buffer.from(bytes)
    bent[random(bent.length)]! ^= 1 + random(255)
    await catalogue.batch([{ type: 'put', key: at, value: bent }])
    const rw = join(lab.dir, `rw/b${round++}`)
    mkdirSync(rw)
    try {
      await buildState({ catalogue, snapshot, ro: dirs.ro, rw, numbers: null })
      t.same(describeTree(rw), was)
    } catch (err) {
      t.match((err as { code?: string }).code, /^SVS_(CHUNK|CATALOGUE)_DAMAGED$/)
    }
    await catalogue.batch([{ type: 'put', key: at, value: bytes }])
  }
  t.ok(round > 3)
})

t.test(
  'a catalogue of before, without the names of its states, has them once it is opened',
  async (t) => {
    const lab = await labOf(t)
    const state = await lab.snapshot('old')
    await lab.catalogue.putSnapshot({ ...state, label: 'good' })
    await lab.catalogue.close()
    const dir = join(lab.dir, 'catalogue')
    const db = await raw(dir)
    for (const prefix of ['id', 'label']) await db.clear({ gte: `${prefix}/`, lt: `${prefix}0` })
    await db.put('meta', Buffer.from('{"version":1}'))
    await db.close()
    const again = await openCatalogue(dir)
    t.teardown(() => again.close())
    t.equal((await again.snapshot('l1', state.id)).message, 'old')
    t.match(JSON.parse((await again.value('meta'))!.toString()), { version: 3, named: true })
    t.equal(await again.labelled('l1', 'good'), state.id)
  },
)

t.test('a label that is moved or removed leads nowhere else', async (t) => {
  const { catalogue, snapshot } = await labOf(t)
  const state = await snapshot()
  await catalogue.putSnapshot({ ...state, label: 'one' })
  await catalogue.putSnapshot({ ...state, label: 'two' })
  t.equal(await catalogue.labelled('l1', 'one'), null)
  t.equal(await catalogue.labelled('l1', 'two'), state.id)
  await catalogue.deleteSnapshot({ ...state, label: 'two' })
  t.equal(await catalogue.labelled('l1', 'two'), null)
  t.same(await catalogue.idsFrom('l1', '', 9), [])
})

t.test('a process killed while it takes a snapshot leaves it wholly or not at all', async (t) => {
  const dir = placeOf(t)
  const helper = join(fileURLToPath(new URL('.', import.meta.url)), 'take-snapshots.js')
  for (let round = 0; round < 4; round++) {
    const child: ChildProcess = fork(helper, [dir], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    await once(child, 'message')
    await new Promise((resolve) => setTimeout(resolve, 20 + round * 70))
    child.kill('SIGKILL')
    await once(child, 'exit')
    const catalogue = await openCatalogue(join(dir, 'catalogue'))
    try {
      for (const [at, snapshot] of (await catalogue.snapshots('l1')).slice(-2).entries()) {
        const rw = join(dir, `check-${round}-${at}`)
        mkdirSync(rw)
        const made = await buildState({ catalogue, snapshot, ro: [], rw, numbers: null })
        t.equal(made, snapshot.entries)
      }
      await collectGarbage(catalogue)
    } finally {
      await catalogue.close()
    }
  }
  const catalogue = await openCatalogue(join(dir, 'catalogue'))
  t.ok((await catalogue.snapshots('l1')).length >= 4, 'what was done before a kill stays')
  await catalogue.close()
})
