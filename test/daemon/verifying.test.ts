// Verifying and repairing stores whose catalogue was damaged byte by byte, behind their back.

import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Level } from 'level'
import t from 'tap'
import { type Answer, type MethodName, type Params, perform } from '../../lib/daemon/api.ts'
import { type Control, openControl } from '../../lib/daemon/control.ts'
import { randomBytes, randomOf } from '../snapshot/fixture.ts'
import { nobody, type Test, throwAway } from './place.ts'

const ask = <Name extends MethodName>(
  control: Control,
  name: Name,
  params: Params<Name>,
): Promise<Answer<Name>> => perform(control, name, params, nobody) as Promise<Answer<Name>>

interface Place {
  readonly root: string
  readonly rw: string
  readonly open: () => Promise<Control>
  /** Changes the database while nobody has the store. */
  readonly damage: (
    change: (key: string, value: Buffer) => Buffer | null | undefined,
  ) => Promise<string[]>
}

const random = randomOf(71)

async function storeIn(t: Test): Promise<Place> {
  const dir = throwAway(t)
  const root = join(dir, 'store')
  const open = () => openControl({ root, doing: 'a test', create: true })
  const control = await open()
  await ask(control, 'layer.create', { layer: 'app', source: { kind: 'empty' } })
  const { places } = await ask(control, 'layer.show', { layer: 'app' })
  await control.close()
  const damage: Place['damage'] = async (change) => {
    const changed: string[] = []
    for (const at of ['catalogue', 'catalogue/values']) {
      const db = new Level<string, Buffer>(join(root, at), { valueEncoding: 'buffer' })
      await db.open()
      for (const [key, value] of await db.iterator().all()) {
        const name = at === 'catalogue' ? key : key.replace(/^.*\//, 'chunk/')
        const to = change(name, Buffer.from(value))
        if (to === undefined) continue
        changed.push(name)
        if (to === null) await db.del(key)
        else await db.put(key, to)
      }
      await db.close()
    }
    return changed
  }
  return { root, rw: places.rw, open, damage }
}

/** Runs `use` on the store, open in this process. */
async function within<T>(place: Place, use: (control: Control) => Promise<T>): Promise<T> {
  const control = await place.open()
  try {
    return await use(control)
  } finally {
    await control.close()
  }
}

const flip = (bytes: Buffer): Buffer => {
  bytes[bytes.length >> 1]! ^= 0x40
  return bytes
}

/** Two states: `kept` is in both and live, `lost` in the first only. */
async function twoStates(place: Place): Promise<string[]> {
  const write = (name: string) => writeFileSync(join(place.rw, name), randomBytes(random, 60_000))
  return within(place, async (control) => {
    write('kept')
    write('lost')
    const first = await ask(control, 'snapshot', { layer: 'app' })
    rmSync(join(place.rw, 'lost'))
    const second = await ask(control, 'snapshot', { layer: 'app' })
    return [first.id, second.id]
  })
}

const verify = (place: Place, repair = false) =>
  within(place, (control) => ask(control, 'verify', { repair }))

t.test('a whole store is found whole, and nothing of it is changed', async (t) => {
  const place = await storeIn(t)
  await twoStates(place)
  const found = await verify(place)
  t.match(found, { states: 2, contents: 2, faults: [], left: 0 })
  t.ok(found.chunks >= 4 && found.bytes > 120_000)
  t.same(await verify(place, true), found)
})

t.test('a flipped byte or a lost chunk names the states and paths that it hurts', async (t) => {
  for (const harm of [flip, () => null]) {
    const place = await storeIn(t)
    const [first, second] = await twoStates(place)
    const harmed = await place.damage((key, value) =>
      key.startsWith('chunk/') && value.length > 50_000 ? harm(value) : undefined,
    )
    t.equal(harmed.length, 2)
    const found = await verify(place)
    t.equal(found.left, 2)
    t.same(found.faults.map(({ at }) => at).sort(), harmed.sort())
    const hurt = found.faults.map(({ hurts }) =>
      hurts.map(({ state, paths }) => `${state} ${paths}`),
    )
    const wanted = [[`${first} kept`, `${second} kept`], [`${first} lost`]]
    t.same(hurt.map((each) => each.sort()).sort(), wanted.map((each) => each.sort()).sort())
  }
})

t.test('a repair gets back what the live tree has, and says what is lost', async (t) => {
  const place = await storeIn(t)
  const [first, second] = await twoStates(place)
  await place.damage((key, value) =>
    key.startsWith('chunk/') && value.length > 50_000 ? flip(value) : undefined,
  )
  const live = readFileSync(join(place.rw, 'kept'))
  const done = await verify(place, true)
  t.equal(done.left, 1, 'what is nowhere else stays lost')
  t.ok(done.faults.some(({ repaired }) => repaired))
  const left = done.faults.filter(({ repaired }) => !repaired)
  t.same(
    left.flatMap(({ hurts }) => hurts.map(({ state, paths }) => [state, paths])),
    [[first, ['lost']]],
  )
  await within(place, async (control) => {
    writeFileSync(join(place.rw, 'kept'), 'spoilt')
    await ask(control, 'restore', { layer: 'app', state: second! })
    t.ok(readFileSync(join(place.rw, 'kept')).equals(live))
  })
})

t.test('lists and records that can be made again are', async (t) => {
  const harms = [
    [/^chunk\//, flip],
    [/^label\//, flip],
    [/^(chunk|id|label)\//, () => null],
  ] as const
  for (const [keys, harm] of harms) {
    const place = await storeIn(t)
    await within(place, async (control) => {
      for (let file = 0; file < 5; file++) writeFileSync(join(place.rw, `f${file}`), `text ${file}`)
      await ask(control, 'snapshot', { layer: 'app', label: 'all' })
    })
    // All chunks there are: the lists, their stamps, and the small files' bytes.
    const lost = await place.damage((key, value) => (keys.test(key) ? harm(value) : undefined))
    t.ok(lost.length > 0)
    t.ok((await verify(place)).left > 0)
    t.equal((await verify(place, true)).left, 0)
    await within(place, async (control) => {
      rmSync(join(place.rw, 'f3'))
      await ask(control, 'restore', { layer: 'app', state: 'all' })
      t.equal(readFileSync(join(place.rw, 'f3'), 'utf8'), 'text 3')
    })
  }
})

t.test('a content that only the read-only part still has comes from there', async (t) => {
  const place = await storeIn(t)
  const bytes = randomBytes(random, 60_000)
  const from = throwAway(t)
  writeFileSync(join(from, 'file'), bytes)
  await within(place, async (control) => {
    const source = { kind: 'from' as const, paths: [from] }
    await ask(control, 'layer.create', { layer: 'lib', source })
    const { places } = await ask(control, 'layer.show', { layer: 'lib' })
    writeFileSync(join(places.rw, 'file'), bytes)
    await ask(control, 'snapshot', { layer: 'lib' })
    writeFileSync(join(places.rw, 'file'), 'other')
  })
  const lost = await place.damage((key) => (key.startsWith('content/') ? null : undefined))
  t.equal(lost.length, 1)
  t.match(await verify(place), { left: 1, faults: [{ kind: 'content' }] })
  t.match(await verify(place, true), { left: 0, faults: [{ repaired: true }] })
})

t.test('a read-only part that was changed is told with the files that need it', async (t) => {
  const place = await storeIn(t)
  const bytes = randomBytes(random, 60_000)
  const from = throwAway(t)
  writeFileSync(join(from, 'file'), bytes)
  await within(place, async (control) => {
    const source = { kind: 'from' as const, paths: [from] }
    await ask(control, 'layer.create', { layer: 'lib', source })
    const { places } = await ask(control, 'layer.show', { layer: 'lib' })
    writeFileSync(join(places.rw, 'file'), Buffer.concat([bytes, Buffer.from('more')]))
    await ask(control, 'snapshot', { layer: 'lib' })
    writeFileSync(join(places.ro, 'file'), flip(Buffer.from(bytes)))
  })
  const found = await verify(place)
  t.match(found.faults, [{ kind: 'read-only', hurts: [{ layer: 'lib', paths: ['file'] }] }])
})

t.test('a byte flipped anywhere in the catalogue is found, or hurts nobody', async (t) => {
  const rounds = Number(process.env.ROUNDS ?? 12)
  for (let round = 0; round < rounds; round++) {
    const place = await storeIn(t)
    await twoStates(place)
    let target = 3 + random(12)
    await place.damage((key, value) => {
      if (/^(meta|counter|swept)/.test(key) || value.length === 0 || target-- !== 0)
        return undefined
      value[random(value.length)]! ^= 1 << random(8)
      return value
    })
    const found = await verify(place).catch((err: { code?: string }) => err.code)
    if (typeof found === 'string' || found === undefined) {
      t.equal(found, 'SVS_CATALOGUE_DAMAGED', 'a layer that cannot be read is said at once')
      continue
    }
    if (found.left > 0) continue
    // Told whole: then every state can be had.
    await within(place, async (control) => {
      for (const { id } of await ask(control, 'snapshots', { layer: 'app' }))
        await ask(control, 'restore', { layer: 'app', state: id })
    })
  }
  t.pass(`${rounds} rounds`)
})
