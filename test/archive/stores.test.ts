// Archives from one store to another, as the commands ask for it.

import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { perform } from '../../lib/daemon/api.ts'
import { openControl } from '../../lib/daemon/control.ts'
import { layerPlaces } from '../../lib/daemon/store-path.ts'
import { describeTree } from '../snapshot/fixture.ts'
import { Forgery } from './forge.ts'
import { create, richSource, type StoreAsked, sourceOf, storeAsked } from './store-asked.ts'

const version = 'test'
const taken = { allowUnsigned: true }

t.test(
  'states go to another store in the order in which they follow each other, and are restored there',
  async (t) => {
    const from = sourceOf(t)
    const [here, there] = [await storeAsked(t), await storeAsked(t)]
    for (const store of [here, there]) await create(store, from)
    const files: string[] = []
    for (const [at, text] of ['one', 'two', 'three'].entries()) {
      writeFileSync(join(await here.rw('app'), 'notes'), text)
      await here.ask('snapshot', { layer: 'app' })
      const file = join(here.dir, `${at}.vpa`)
      await here.ask('export', { layer: 'app', from: at === 0 ? null : '-1', file, version })
      files.push(file)
    }
    const [first, second, third] = files as [string, string, string]
    await t.rejects(there.ask('import', { files: [first] }), { code: 'SVS_ARCHIVE_UNSIGNED' })
    await t.rejects(there.ask('import', { files: [third, first], ...taken }), {
      code: 'SVS_ARCHIVE_GAP',
    })
    const evil = join(here.dir, 'evil.vpa')
    await here.ask('export', { layer: 'app', file: evil, version })
    const forgery = await Forgery.of(evil)
    forgery.contents.pop()
    await forgery.write(evil)
    const altered = join(here.dir, 'altered.vpa')
    const bytes = readFileSync(third)
    bytes[bytes.indexOf('chunks/') + 100]! ^= 1
    writeFileSync(altered, bytes)
    for (const last of [evil, altered])
      await t.rejects(there.ask('import', { files: [first, second, last], ...taken }), {
        code: 'SVS_ARCHIVE_DAMAGED',
        message: new RegExp(last),
      })
    t.same(
      await there.ask('snapshots', { layer: 'app' }),
      [],
      'a gap or damage in one leaves nothing of the others behind',
    )
    const done = await there.ask('import', {
      files: [third, first, second],
      restore: true,
      ...taken,
    })
    t.same(
      done.states.map(({ id }) => id),
      (await here.ask('snapshots', { layer: 'app' })).map(({ id }) => id).reverse(),
    )
    t.equal(readFileSync(join(await there.rw('app'), 'notes'), 'utf8'), 'three')
    t.same(describeTree(await there.rw('app')), describeTree(await here.rw('app')))
    const undone = await there.ask('undo', {})
    t.equal(undone.layer, 'app', 'what was there before is kept')
  },
)

t.test('an archive for another read-only part says which, and what is here', async (t) => {
  const [here, there] = [await storeAsked(t), await storeAsked(t)]
  await create(here, sourceOf(t))
  await create(there, sourceOf(t, 'another version\n'))
  writeFileSync(join(await here.rw('app'), 'notes'), 'one')
  await here.ask('snapshot', { layer: 'app' })
  const file = join(here.dir, 'one.vpa')
  await here.ask('export', { layer: 'app', file, version })
  const other = (await there.control.layer('app')).ro.digest.slice(0, 16)
  await t.rejects(there.ask('import', { files: [file], ...taken }), {
    code: 'SVS_ARCHIVE_BASE',
    message: new RegExp(`here is ${other}.*--with-base`),
  })
  await t.rejects(there.ask('import', { files: [file], as: 'none', ...taken }), {
    code: 'SVS_LAYER_NOT_FOUND',
  })
})

t.test('a store that has a key signs, and one that trusts it asks for nothing', async (t) => {
  const from = sourceOf(t)
  const [here, there] = [await storeAsked(t), await storeAsked(t)]
  for (const store of [here, there]) await create(store, from)
  const { text } = await here.ask('key.create', { key: 'office' })
  writeFileSync(join(await here.rw('app'), 'notes'), 'one')
  await here.ask('snapshot', { layer: 'app' })
  const file = join(here.dir, 'one.vpa')
  t.same((await here.ask('export', { layer: 'app', file, version })).signers, ['office'])
  await t.rejects(there.ask('import', { files: [file] }), { code: 'SVS_ARCHIVE_UNSIGNED' })
  await there.ask('key.trust', { text })
  t.equal((await there.ask('import', { files: [file] })).states.length, 1)
  await there.ask('key.revoke', { key: 'office' })
  await t.rejects(there.ask('import', { files: [file], ...taken }), {
    code: 'SVS_SIGNATURE_REVOKED',
  })
  const before = statSync(file).mtimeMs
  await t.rejects(here.ask('export', { layer: 'app', file, version }), { code: 'SVS_PATH_EXISTS' })
  t.equal(statSync(file).mtimeMs, before, 'what is there is not touched')
})

t.test('a layer goes to another store with its states, and is the same layer there', async (t) => {
  const [here, there] = [await storeAsked(t), await storeAsked(t)]
  await create(here, richSource(t))
  for (const text of ['one', 'two', 'three']) {
    writeFileSync(join(await here.rw('app'), 'notes'), text)
    await here.ask('snapshot', { layer: 'app' })
  }
  const file = join(here.dir, 'app.vsa')
  const one = await here.ask('export', { layer: 'app', states: 2, best: true, file, version })
  t.equal(one.states.length, 2)
  const done = await there.ask('import', { files: [file], restore: true, ...taken })
  t.same(
    done.states.map(({ id }) => id),
    one.states,
  )
  const roOf = async ({ control }: StoreAsked) => {
    const { id, ro } = await control.layer('app')
    return layerPlaces(control.store.places, id).ro(ro.version)
  }
  t.same(describeTree(await roOf(there)), describeTree(await roOf(here)), 'the read-only part')
  t.equal((await there.control.layer('app')).ro.digest, (await here.control.layer('app')).ro.digest)
  t.equal(readFileSync(join(await there.rw('app'), 'notes'), 'utf8'), 'three')
  const again = join(there.dir, 'again.vsa')
  await there.ask('state.delete', { layer: 'app', state: done.restored!.before })
  const second = await there.ask('export', { layer: 'app', states: 2, file: again, version })
  t.equal(second.payload, one.payload, 'exported again it is the same')
  await t.rejects(there.ask('import', { files: [file], ...taken }), { code: 'SVS_LAYER_EXISTS' })
  t.equal((await there.ask('import', { files: [file], as: 'other', ...taken })).layer, 'other')
})

t.test('an import that is killed between two states leaves none of them', async (t) => {
  const worker = fileURLToPath(new URL('kill-worker.js', import.meta.url))
  const here = await storeAsked(t)
  await create(here, sourceOf(t))
  for (const text of ['one', 'two']) {
    writeFileSync(join(await here.rw('app'), 'notes'), text)
    await here.ask('snapshot', { layer: 'app' })
  }
  const file = join(here.dir, 'app.vsa')
  const { states } = await here.ask('export', { layer: 'app', states: 2, file, version })
  const root = join(here.dir, 'other')
  const args = [worker, root, `writing state ${states[1]}`, file]
  t.equal(spawnSync(process.execPath, args, { stdio: 'inherit' }).signal, 'SIGKILL')
  const control = await openControl({ root, doing: 'a test', create: false })
  t.teardown(() => control.close())
  t.same(await control.catalogue.allSnapshots(), [])
  t.same(await control.catalogue.layers(), [])
  t.same(readdirSync(control.store.places.layers), [], 'the opening clears it away')
  await perform(control, 'import', { files: [file], ...taken }, { progress() {}, whenGone() {} })
  const there = await control.catalogue.allSnapshots()
  t.same(
    there.map(({ id }) => id),
    states,
    'it goes through the second time',
  )
})

t.test(
  'a state that brings its read-only part makes the layer, or gives it a version',
  async (t) => {
    const [here, empty, other] = [await storeAsked(t), await storeAsked(t), await storeAsked(t)]
    await create(here, richSource(t))
    await create(other, sourceOf(t, 'another version\n'))
    writeFileSync(join(await here.rw('app'), 'notes'), 'one')
    await here.ask('snapshot', { layer: 'app' })
    const file = join(here.dir, 'one.vpa')
    await here.ask('export', { layer: 'app', withBase: true, file, version })
    const shown = (await other.control.layer('app')).ro.version
    for (const store of [empty, other]) {
      const { states } = await store.ask('import', { files: [file], ...taken })
      t.equal(states.length, 1)
    }
    t.equal((await other.control.layer('app')).ro.version, shown, 'what it shows stays')
    for (const store of [empty, other]) {
      await store.ask('restore', { layer: 'app', state: (await here.ask('snapshots', {}))[0]!.id })
      t.equal(readFileSync(join(await store.rw('app'), 'notes'), 'utf8'), 'one')
      t.equal(
        (await store.control.layer('app')).ro.digest,
        (await here.control.layer('app')).ro.digest,
      )
    }
  },
)

t.test(
  'a layer whose read-only part is not what the archive says leaves nothing behind',
  async (t) => {
    const [here, there] = [await storeAsked(t), await storeAsked(t)]
    await create(here, sourceOf(t))
    const file = join(here.dir, 'app.vsa')
    await here.ask('export', { layer: 'app', states: 0, file, version })
    const changes: ((forgery: Forgery) => void)[] = [
      ({ manifest }) => void (manifest.base.digest = 'b'.repeat(64)),
      ({ manifest }) => void (manifest.base.bytes += 1),
      ({ contents }) => void contents.pop(),
      ({ manifest }) => void manifest.layer.excludes.push('/etc'),
    ]
    for (const change of changes) {
      const forgery = await Forgery.of(file)
      change(forgery)
      await forgery.write(`${file}.evil`)
      await t.rejects(there.ask('import', { files: [`${file}.evil`], ...taken }), {
        code: 'SVS_ARCHIVE_DAMAGED',
      })
      t.same(await there.ask('layer.list', {}), [])
      t.same(readdirSync(there.control.store.places.layers), [])
    }
  },
)
