// A state that goes to another store and comes back: the same tree, the same payload.
//
//   SEED=7 ROUNDS=500 node dist/test/archive/round-trip.test.js     a longer random run

import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { inspectArchive } from '../../lib/archive/inspect.ts'
import { type Lab, labOf, mutate, randomOf, treeOf } from '../snapshot/fixture.ts'
import { exportFrom, importInto, statesOf } from './lab.ts'

const rounds = Number(process.env.ROUNDS ?? 2)
const seed = Number(process.env.SEED ?? 7)

/** Two labs with the same files in their read-only part. */
async function pair(t: Test): Promise<[Lab, Lab]> {
  const labs: [Lab, Lab] = [await labOf(t), await labOf(t)]
  for (const { dirs } of labs) {
    writeFileSync(join(dirs.ro[0]!, 'program'), Buffer.alloc(300_000, 'as installed, '))
    writeFileSync(join(dirs.ro[0]!, 'settings'), 'colour = blue\n')
  }
  return labs
}

t.test(
  `a random state is the same tree in another store, and the same payload again (seed ${seed})`,
  async (t) => {
    for (let round = 0; round < rounds; round++) {
      const random = randomOf(seed + round)
      const [here, there] = await pair(t)
      mutate(here.dirs.rw, random, 60)
      const one = await here.snapshot('one')
      mutate(here.dirs.rw, random, 30)
      const two = await here.snapshot('two')
      const links = { allowed: { devices: false, links: true } }

      const first = await exportFrom(here, [one])
      const [imported] = await importInto(there, first.path, links)
      t.same(await treeOf(there, imported!.snapshot), await treeOf(here, one), `round ${round}`)

      const second = await exportFrom(here, [two], { from: one })
      const [later] = await importInto(there, second.path, links)
      t.same(
        await treeOf(there, later!.snapshot),
        await treeOf(here, two),
        `round ${round}, after one`,
      )

      const again = await exportFrom(there, [imported!.snapshot])
      t.equal(again.payload, first.payload, `round ${round}: the payload`)
      const whole = await exportFrom(here, [two])
      const wholeThere = await exportFrom(there, [later!.snapshot])
      t.equal(wholeThere.payload, whole.payload, `round ${round}: the payload of the second`)
      const after = await exportFrom(there, [later!.snapshot], { from: imported!.snapshot })
      t.equal(after.payload, second.payload, `round ${round}: the payload of the difference`)
    }
  },
)

t.test('the same state makes the same bytes, but for what says who made the archive', async (t) => {
  const [here] = await pair(t)
  writeFileSync(join(here.dirs.rw, 'settings'), 'colour = red\n')
  const state = await here.snapshot()
  const [one, other] = [await exportFrom(here, [state]), await exportFrom(here, [state])]
  t.equal(other.payload, one.payload)
  const list = (path: string) =>
    execFileSync('unzip', ['-v', path], { encoding: 'utf8' }).split('\n')
  const named = (path: string) => list(path).filter((line) => / (manifest|chunks)/.test(line))
  t.same(named(other.path), named(one.path))
  t.match(list(one.path)[3], /Stored.*manifest\.json$/, 'the manifest comes first')
  t.match(list(one.path)[4], /Stored.*signature$/, 'then the signature')
  const manifest = execFileSync('unzip', ['-p', one.path, 'manifest.json'], { encoding: 'utf8' })
  t.equal(JSON.parse(manifest).states[0].id, state.id, 'any tool shows what it is')
})

t.test(
  'a small change to a large file makes a small archive, with or without what came before',
  async (t) => {
    const [here, there] = await pair(t)
    const bytes = readFileSync(join(here.dirs.ro[0]!, 'program'))
    bytes.write('one', 1000)
    writeFileSync(join(here.dirs.rw, 'program'), bytes)
    const one = await here.snapshot()
    bytes.write('two', 2000)
    writeFileSync(join(here.dirs.rw, 'program'), bytes)
    const two = await here.snapshot()
    const [first, second] = [
      await exportFrom(here, [one]),
      await exportFrom(here, [two], { from: one }),
    ]
    t.ok(first.bytes < 6000 && second.bytes < 6000, `${first.bytes} and ${second.bytes} bytes`)
    await importInto(there, first.path)
    await importInto(there, second.path)
    t.equal((await there.catalogue.snapshots('l1')).length, 2)
  },
)

t.test('an archive that is imported twice changes nothing the second time', async (t) => {
  const [here, there] = await pair(t)
  writeFileSync(join(here.dirs.rw, 'settings'), 'colour = red\n')
  const { path } = await exportFrom(here, [await here.snapshot()])
  const [first] = await importInto(there, path)
  const before = await statesOf(there)
  const [second] = await importInto(there, path)
  t.same([first!.fresh, second!.fresh], [true, false])
  t.equal(await statesOf(there), before)
})

t.test(
  'an archive that comes after a state is refused where that is missing, by its name',
  async (t) => {
    const [here, there] = await pair(t)
    writeFileSync(join(here.dirs.rw, 'settings'), 'colour = red\n')
    const one = await here.snapshot()
    writeFileSync(join(here.dirs.rw, 'settings'), 'colour = green\n')
    const two = await here.snapshot()
    const { path } = await exportFrom(here, [two], { from: one })
    const before = await statesOf(there)
    await t.rejects(importInto(there, path), {
      code: 'SVS_ARCHIVE_GAP',
      message: new RegExp(one.id),
    })
    t.equal(await statesOf(there), before)
  },
)

t.test('inspecting shows what is in an archive, and writes nothing', async (t) => {
  const [here] = await pair(t)
  writeFileSync(join(here.dirs.rw, 'settings'), 'colour = red\n')
  writeFileSync(join(here.dirs.rw, 'born'), 'new')
  const state = await here.snapshot('two files')
  const { path, payload } = await exportFrom(here, [state])
  t.match(await inspectArchive(path), {
    payload,
    kind: 'patch',
    layer: 'app',
    base: { digest: here.layer.ro.digest, included: false },
    states: [{ id: state.id, message: 'two files' }],
    changes: { added: 1, changed: 1, deleted: 0, attributes: 0 },
    made: { host: 'here' },
    signatures: [],
  })
})
