// Deltas across files: what is moved, copied, merged or rewritten costs what is new in it, and
// every state comes back.
//
//   SEED, ROUNDS   of the random trees; 3 rounds by default

import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeContent } from '../../lib/snapshot/content.ts'
import { Damage, type DepotReader, sha256 } from '../../lib/snapshot/depot.ts'
import { layOver } from '../../lib/snapshot/over.ts'
import { recodeState } from '../../lib/snapshot/recode.ts'
import { type Content, content as contentSchema, type Part } from '../../lib/snapshot/records.ts'
import { describeTree, type Lab, labOf, randomBytes, randomOf } from './fixture.ts'

const SEED = Number(process.env.SEED ?? 51)
const ROUNDS = Number(process.env.ROUNDS ?? 3)
const KIB = 1024

type Random = (below: number) => number

/** Takes a state, and holds what it makes against what was there. */
async function costOf(lab: Lab): Promise<number> {
  const was = describeTree(lab.dirs.rw)
  const state = await lab.snapshot()
  writeFileSync(join(lab.dirs.rw, 'in-between'), 'x')
  await lab.snapshot()
  await lab.restore(state)
  if (JSON.stringify(describeTree(lab.dirs.rw)) !== JSON.stringify(was))
    throw new Error('a state came back otherwise')
  return state.stored
}

t.test('what comes from other files costs little', async (t) => {
  const lab = await labOf(t)
  const random = randomOf(SEED)
  const [ro] = lab.dirs.ro
  mkdirSync(join(ro!, 'cache'))
  const files = Array.from({ length: 40 }, () => randomBytes(random, 4000 + random(60_000)))
  for (const [at, bytes] of files.entries()) writeFileSync(join(ro!, `cache/${at}`), bytes)

  await t.test('of the read-only part, with a new head, in another directory', async (t) => {
    for (const [at, bytes] of files.entries())
      writeFileSync(join(lab.dirs.rw, `moved-${at}`), Buffer.concat([Buffer.from(`${at}`), bytes]))
    const cost = await costOf(lab)
    t.ok(cost < 60 * KIB, `${cost} bytes`)
  })

  const fresh = randomBytes(random, 900_000)
  await t.test('of the same state', async (t) => {
    writeFileSync(join(lab.dirs.rw, 'a'), fresh)
    writeFileSync(join(lab.dirs.rw, 'b'), fresh.subarray(1000))
    writeFileSync(join(lab.dirs.rw, 'c'), Buffer.concat([fresh.subarray(500_000), fresh]))
    const cost = await costOf(lab)
    t.ok(cost < 1000 * KIB, `${cost} bytes`)
  })

  await t.test('of the state before, all in one file', async (t) => {
    for (const name of readdirSync(lab.dirs.rw)) rmSync(join(lab.dirs.rw, name))
    writeFileSync(join(lab.dirs.rw, 'all'), Buffer.concat([fresh, ...files.slice(5, 20), fresh]))
    const cost = await costOf(lab)
    t.ok(cost < 60 * KIB, `${cost} bytes`)
  })
})

/** Changes a tree as applications do: rewrites, copies, renames, splits, joins, punches. */
function use(random: Random, root: string): void {
  for (let turn = 0; turn < 30; turn++) {
    const names = readdirSync(root)
    const name = names[random(names.length)]
    const path = join(root, `f${random(40)}`)
    const bytes = name === undefined ? Buffer.alloc(0) : readFileSync(join(root, name))
    switch (name === undefined ? 9 : random(9)) {
      case 0:
        renameSync(join(root, name!), path)
        break
      case 1:
        rmSync(join(root, name!))
        break
      case 2:
        writeFileSync(path, bytes)
        break
      case 3:
        writeFileSync(path, Buffer.concat([bytes.subarray(random(bytes.length + 1)), bytes]))
        break
      case 4:
        writeFileSync(
          path,
          Buffer.concat([bytes, Buffer.alloc(random(300_000)), bytes]).subarray(0, 3e6),
        )
        break
      case 5:
        if (bytes.length > 0) bytes[random(bytes.length)]! ^= 1
        writeFileSync(path, bytes)
        break
      case 6:
        writeFileSync(path, '')
        break
      case 7:
        writeFileSync(path, bytes.subarray(0, random(bytes.length + 1)))
        break
      default:
        writeFileSync(path, randomBytes(random, random(60_000)))
    }
  }
}

t.test('random trees come back, state by state, in any order', async (t) => {
  for (let round = 0; round < ROUNDS; round++) {
    const random = randomOf(SEED + round)
    const lab = await labOf(t)
    use(random, lab.dirs.ro[0]!)
    const trees: string[][] = []
    for (let state = 0; state < 9; state++) {
      use(random, lab.dirs.rw)
      trees.push(describeTree(lab.dirs.rw))
      await lab.snapshot()
    }
    const states = await lab.catalogue.snapshots('l1')
    for (const at of [0, 8, 4, 7, 1]) {
      await lab.restore(states[at]!)
      t.same(describeTree(lab.dirs.rw), trees[at], `state ${at} of seed ${SEED + round}`)
    }
  }
})

t.test('going back to a large file of another size does not make it refer to itself', async (t) => {
  const lab = await labOf(t)
  const long = randomBytes(randomOf(55), 34 * KIB * KIB)
  for (const bytes of [long, long.subarray(5000), long]) {
    writeFileSync(join(lab.dirs.rw, 'file'), bytes)
    await lab.snapshot()
  }
  const [first, second] = await lab.catalogue.snapshots('l1')
  await lab.restore(second!)
  t.ok(readFileSync(join(lab.dirs.rw, 'file')).equals(long.subarray(5000)))
  await lab.restore(first!)
  t.ok(readFileSync(join(lab.dirs.rw, 'file')).equals(long))
})

t.test('programs are stored better by recode, and stay what they are', async (t) => {
  const lab = await labOf(t)
  const random = randomOf(56)
  const old = Buffer.concat([Buffer.from('\x7fELF', 'latin1'), randomBytes(random, 300_000)])
  const made = Buffer.from(old)
  for (let at = 20; at + 4 < made.length; at += 40)
    made.writeInt32LE((made.readInt32LE(at) + 4711) | 0, at)
  writeFileSync(join(lab.dirs.ro[0]!, 'program'), old)
  writeFileSync(join(lab.dirs.rw, 'program'), made)
  const snapshot = await lab.snapshot()
  const job = { catalogue: lab.catalogue, snapshot, ro: lab.dirs.ro, temporary: lab.dir }
  const late = await recodeState({ ...job, budget: 0 })
  t.match(late, { recoded: 0, unfinished: true })
  const done = await recodeState({ ...job, budget: null })
  t.match(done, { programs: 1, recoded: 1, unfinished: false })
  t.ok(done.saved > 15_000, `${done.saved} bytes saved`)
  t.match(await recodeState({ ...job, budget: null }), { programs: 0, saved: 0 })
  rmSync(join(lab.dirs.rw, 'program'))
  await lab.restore(snapshot)
  t.ok(readFileSync(join(lab.dirs.rw, 'program')).equals(made))
})

t.test('runs that cannot be are damage by name', (t) => {
  const runs: [string, Part][] = [
    ['out of order', { codec: 'over', length: 100, runs: [50, 10, 20, 10], frame: 20 }],
    ['beyond the part', { codec: 'over', length: 100, runs: [50, 60], frame: 60 }],
    ['without a length', { codec: 'over', length: 100, runs: [50], frame: 50 }],
    ['longer than the frame', { codec: 'over', length: 100, runs: [0, 50], frame: 20 }],
    ['shorter than the frame', { codec: 'over', length: 100, runs: [0, 50], frame: 2 ** 45 }],
    ['longer than what is stored', { codec: 'over', length: 100, runs: [0, 50], frame: 50 }],
  ]
  for (const [name, part] of runs)
    t.throws(() => layOver(Buffer.alloc(100), part, Buffer.alloc(9)), Damage, name)
  t.end()
})

/** A depot of what a test puts in. */
function depotOf(contents: Record<string, Content>, chunks: readonly Buffer[]): DepotReader {
  const byId = new Map(chunks.map((bytes) => [sha256(bytes), bytes]))
  return {
    chunk: async (id) => byId.get(id) ?? null,
    content: async (_, id) => contents[id] ?? null,
  }
}

t.test('hostile records are damage by name', async (t) => {
  const id = 'e'.repeat(64)
  const other = 'd'.repeat(64)
  const noise = randomBytes(randomOf(58), 5000)
  const at = (content: string, offset: number, length: number) => ({
    source: 'content' as const,
    content,
    offset,
    length,
    digest: '' as const,
  })
  const whole = (parts: Content['parts']): Content => ({ size: 100, depth: 0, stored: 0, parts })
  const chunks = [sha256(noise)]
  const huge = 2 ** 45
  const cases: Record<string, Content['parts']> = {
    'a slice of itself': [{ codec: 'slice', length: 100, references: [at(id, 0, 100)] }],
    'a slice of what slices it': [{ codec: 'slice', length: 100, references: [at(other, 0, 100)] }],
    'a slice of nothing': [{ codec: 'slice', length: 100, references: [] }],
    'a delta of itself': [{ codec: 'zstd', length: 100, chunks, references: [at(id, 0, 100)] }],
    'a slice beyond any size': [{ codec: 'slice', length: huge, references: [at(other, 0, huge)] }],
    'a part beyond any size': [{ codec: 'patch', length: huge, chunks }],
    'a window beyond any size': [
      { codec: 'zstd', length: 100, chunks, references: [at(other, 0, huge)] },
    ],
    'noise as zstd': [{ codec: 'zstd', length: 100, chunks }],
    'noise as brotli': [{ codec: 'brotli', length: 100, chunks }],
    'noise as a patch': [{ codec: 'patch', length: 100, chunks }],
    'noise of another length': [{ codec: 'raw', length: 100, chunks }],
    'a part over itself': [{ codec: 'over', length: 100, references: [at(id, 0, 100)] }],
    'a part over what lies over it': [
      { codec: 'over', length: 100, references: [at(other, 0, 100)] },
    ],
    'a part over nothing': [{ codec: 'over', length: 100, references: [] }],
    'a part over another length': [{ codec: 'over', length: 100, references: [at(other, 0, 99)] }],
    'a part over more than any': [
      { codec: 'over', length: huge, references: [at(other, 0, huge)] },
    ],
    'more references than any': [
      {
        codec: 'patch',
        length: 100,
        chunks,
        references: Array.from({ length: 9000 }, () => at(other, 0, 1)),
      },
    ],
  }
  for (const [name, parts] of Object.entries(cases)) {
    t.ok(contentSchema.safeParse(whole(parts)).success, `${name}: the schema lets it pass`)
    const back = whole([{ codec: 'slice', length: 100, references: [at(id, 0, 100)] }])
    const depot = depotOf({ [id]: whole(parts), [other]: back }, [noise])
    const sources = { depot, scope: '', ro: [], temporary: '/tmp' }
    await t.rejects(
      makeContent(sources, id, () => {}),
      Damage,
      name,
    )
  }
})
