// A state that goes to another store and comes back: the same tree, the same payload.
//
//   SEED=7 ROUNDS=500 node dist/test/archive/round-trip.test.js     a longer random run

import { execFileSync } from 'node:child_process'
import { chownSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { inspectArchive } from '../../lib/archive/inspect.ts'
import { renumberingOf } from '../../lib/archive/owners.ts'
import type { SnapshotRecord } from '../../lib/snapshot/records.ts'
import { readTree } from '../../lib/snapshot/tree.ts'
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

async function ownersOf({ catalogue }: Lab, { id }: SnapshotRecord): Promise<Map<string, number>> {
  const owners = new Map<string, number>()
  for await (const { entry } of readTree(catalogue, await catalogue.pieces(id)))
    owners.set(entry.path, entry.uid)
  return owners
}

t.test('an owner of the same name has the number of here, and the payload stays', async (t) => {
  const [here, there] = await pair(t)
  const file = join(here.dirs.rw, 'settings')
  writeFileSync(file, 'colour = red\n')
  const own = process.geteuid!()
  const uid = own === 0 ? 3 : own
  if (own === 0) chownSync(file, uid, 0)
  const one = await here.snapshot()
  writeFileSync(join(here.dirs.rw, 'born'), 'new')
  const two = await here.snapshot()
  const first = await exportFrom(here, [one])
  const second = await exportFrom(here, [two], { from: one })
  const users = new Map([[one.owners.users[uid]!, 70_001]])
  const known = { accounts: { users, groups: new Map<string, number>() } }

  const [imported] = await importInto(there, first.path, known)
  t.equal((await ownersOf(there, imported!.snapshot)).get('settings'), 70_001)
  t.equal((await ownersOf(there, imported!.snapshot)).get(''), own === 0 ? 0 : 70_001)
  const [later] = await importInto(there, second.path, known)
  t.equal((await ownersOf(there, later!.snapshot)).get('settings'), 70_001)
  const { snapshot } = imported!
  t.equal((await exportFrom(there, [snapshot])).payload, first.payload)
  const again = await exportFrom(there, [later!.snapshot], { from: snapshot })
  t.equal(again.payload, second.payload, 'of the difference as well')

  const [, numeric] = await pair(t)
  const [kept] = await importInto(numeric, first.path, { accounts: null })
  t.equal((await ownersOf(numeric, kept!.snapshot)).get('settings'), uid)
})

t.test('owners never become one, and nobody becomes root', (t) => {
  const users = new Map([
    ['root', 0],
    ['ann', 1005],
    ['bob', 1001],
    ['toor', 7],
  ])
  const accounts = { users, groups: new Map<string, number>() }
  const cases: [Record<string, string>, number[], [number, number][]][] = [
    [
      { 1001: 'ann', 1005: 'bob' },
      [1001, 1005],
      [
        [1001, 1005],
        [1005, 1001],
      ],
    ],
    [{ 1001: 'ann', 1005: 'eve' }, [1001, 1005], []],
    [{ 1001: 'ann', 1002: 'ann' }, [1001, 1002], []],
    [{ 1002: 'ann', 1005: 'bob', 1001: 'eve' }, [1001, 1002, 1005], []],
    [{ 1001: 'root', 0: 'toor' }, [0, 1001], []],
    [{ 1001: 'ann' }, [1002], []],
  ]
  for (const [names, used, wanted] of cases) {
    const found = renumberingOf({ users: names, groups: {} }, { users: used, groups: [] }, accounts)
    t.same([...found.users], wanted, JSON.stringify(names))
  }
  t.end()
})

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
