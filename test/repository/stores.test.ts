// Layers and states between stores, over a directory and over a real registry.

import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { create, richSource, type StoreAsked, storeAsked } from '../archive/store-asked.ts'
import { describeTree, randomBytes, randomOf } from '../snapshot/fixture.ts'
import { Line } from './line.ts'
import { needing, realRegistry } from './real-registry.ts'

const version = 'test'
const taken = { allowUnsigned: true }
const whole = { withBase: true, version }

/** Bytes of all blobs of a layout, and how many there are. */
function blobsIn(dir: string): { count: number; bytes: number } {
  const names = readdirSync(join(dir, 'blobs/sha256'))
  const sizes = names.map((name) => statSync(join(dir, 'blobs/sha256', name)).size)
  return { count: names.length, bytes: sizes.reduce((sum, size) => sum + size, 0) }
}

/** A store with a layer of some megabytes and two states. */
async function storeWithStates(t: Parameters<typeof storeAsked>[0]): Promise<StoreAsked> {
  const here = await storeAsked(t)
  const from = richSource(t)
  writeFileSync(join(from, 'large'), randomBytes(randomOf(3), 2_400_000))
  await create(here, from)
  writeFileSync(join(await here.rw('app'), 'media'), randomBytes(randomOf(5), 1_000_000))
  await here.ask('snapshot', { layer: 'app', label: 'one' })
  writeFileSync(join(await here.rw('app'), 'notes'), 'two')
  await here.ask('snapshot', { layer: 'app', label: 'two' })
  return here
}

t.test('states travel over a directory that other tools read too', async (t) => {
  const [here, there] = [await storeWithStates(t), await storeAsked(t)]
  const dir = join(here.dir, 'layers')
  const { text } = await here.ask('key.create', { key: 'office' })
  await there.ask('key.create', { key: 'home' })
  const first = await here.ask('push', { layer: 'app', state: 'one', place: dir, ...whole })
  t.match(first, { fresh: true, place: `dir:${dir}:app`, signers: ['office'] })
  const before = blobsIn(dir)
  const second = await here.ask('push', { layer: 'app', place: `${dir}:two`, ...whole })
  t.ok(second.sent < 60_000, `the second state brings what is new alone: ${second.sent}`)
  t.ok(second.there > 3_000_000, `and rests on ${second.there} bytes`)
  t.equal(
    blobsIn(dir).bytes - before.bytes,
    second.sent + (second.size - second.sent - second.there),
  )
  const again = await here.ask('push', { layer: 'app', place: `${dir}:two`, ...whole })
  t.match(again, { fresh: false, sent: 0, digest: second.digest })

  await t.rejects(there.ask('pull', { place: `dir:${dir}:two` }), { code: 'SVS_ARCHIVE_UNSIGNED' })
  t.same(await there.ask('layer.list', {}), [])
  await there.ask('key.trust', { text })
  await t.rejects(there.ask('pull', { place: `dir:${dir}:none` }), {
    code: 'SVS_REPOSITORY_NOT_FOUND',
    message: /no none in dir:/,
  })
  const pulled = await there.ask('pull', { place: `dir:${dir}:two`, restore: true })
  t.equal(pulled.payload, second.payload)
  t.equal(readFileSync(join(await there.rw('app'), 'notes'), 'utf8'), 'two')
  t.same(describeTree(await there.rw('app')), describeTree(await here.rw('app')))
  const [line] = (await there.ask('repo.list', { place: `dir:${dir}:two` })).tags
  t.match(line, { kind: 'state', layer: 'app', payload: second.payload, state: { label: 'two' } })

  const state = pulled.states[0]!.id
  const file = join(there.dir, 'again.vpa')
  const exported = await there.ask('export', { layer: 'app', state, withBase: true, file, version })
  t.equal(exported.payload, second.payload, 'exported again it is the same')
  t.same(exported.signers, ['office', 'home'], 'the first signature beside a new one')
  const back = await there.ask('push', { layer: 'app', state, place: `${dir}:two`, ...whole })
  t.ok(back.fresh && back.sent < 10_000, 'a signature more is an artifact more, and little else')
})

t.test(
  'states travel over a registry, and nothing twice',
  needing('docker-registry'),
  async (t) => {
    const registry = await realRegistry(t)
    const line = await Line.to(t, registry.port)
    const [here, there] = [await storeWithStates(t), await storeAsked(t)]
    const place = `${line.host}/team/app`
    const one = await here.ask('push', {
      layer: 'app',
      state: 'one',
      place: `${place}:one`,
      ...whole,
    })
    t.ok(line.passed().up > 3_000_000)
    const two = await here.ask('push', { layer: 'app', place: `${place}:two`, ...whole })
    t.ok(two.sent < 60_000, `only what is new is sent: ${two.sent}`)
    t.ok(line.passed().up < 120_000)
    const other = await here.ask('push', {
      layer: 'app',
      place: `${line.host}/other:two`,
      ...whole,
    })
    t.ok(
      other.mounted > 3_000_000 && line.passed().up < 150_000,
      'another repository lends its blobs',
    )

    const first = await there.ask('pull', { place: `${place}:one`, ...taken })
    t.equal(first.payload, one.payload)
    t.ok(line.passed().down > 3_000_000)
    const pulled = await there.ask('pull', { place: `${place}:two`, restore: true, ...taken })
    t.ok(pulled.fetched < 60_000, `only what is not here is fetched: ${pulled.fetched}`)
    t.ok(line.passed().down < 150_000)
    t.same(describeTree(await there.rw('app')), describeTree(await here.rw('app')))
    const twice = await there.ask('pull', { place: `${place}:two`, ...taken })
    t.match(twice, { fetched: 0, states: [{ fresh: false }] })
    t.ok(line.passed().down < 10_000, 'a second time the manifest alone')

    if (needing('skopeo').skip === false) {
      // Past the line, which this thread serves.
      const copied = join(there.dir, 'copied')
      const skopeo = ['--insecure-policy', 'copy', '--src-tls-verify=false']
      const ran = spawnSync('skopeo', [
        ...skopeo,
        `docker://${registry.host}/team/app:two`,
        `oci:${copied}:two`,
      ])
      t.equal(ran.status, 0, String(ran.stderr))
      const elsewhere = await there.ask('pull', { place: `dir:${copied}:two`, ...taken })
      t.match(elsewhere, { payload: two.payload, fetched: 0 }, 'as another tool carries it')
    }

    // With nothing to borrow, all of it has to be sent.
    rmSync(here.control.store.places.repositories)
    line.cutAfter('up', 1_000_000)
    const cut = await here.ask('push', {
      layer: 'app',
      states: 2,
      place: `${line.host}/cut:all`,
      ...whole,
      withBase: false,
    })
    t.ok(cut.fresh && line.cuts === 1, 'a line that is cut does not end a push')
    line.cutAfter('down', 1_000_000)
    const empty = await storeAsked(t)
    t.equal((await empty.ask('pull', { place: `${line.host}/cut:all`, ...taken })).states.length, 2)
    t.equal(line.cuts, 2, 'nor a pull')
    const tags = await there.ask('repo.list', { place })
    t.match(tags.tags, [
      { tag: 'one', kind: 'state' },
      { tag: 'two', kind: 'state' },
    ])
  },
)
