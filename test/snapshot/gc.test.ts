// Garbage: what goes, what stays, and what may happen meanwhile.

import { chmodSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { Catalogue } from '../../lib/snapshot/catalogue.ts'
import { sha256 } from '../../lib/snapshot/depot.ts'
import { DigestSet } from '../../lib/snapshot/digest-set.ts'
import { collectGarbage } from '../../lib/snapshot/gc.ts'
import { key } from '../../lib/snapshot/keys.ts'
import { Pace } from '../../lib/snapshot/pace.ts'
import { recodeState } from '../../lib/snapshot/recode.ts'
import type { Content, SnapshotRecord } from '../../lib/snapshot/records.ts'
import { sizesOf } from '../../lib/snapshot/sizes.ts'
import { verify } from '../../lib/snapshot/verify.ts'
import type { SnapshotWriter } from '../../lib/snapshot/writer.ts'
import { labOf, mutate, randomBytes, randomOf, treeOf } from './fixture.ts'

async function countOf(catalogue: Catalogue, prefix: string): Promise<number> {
  let count = 0
  for await (const _ of catalogue.keys({ gte: `${prefix}/`, lt: `${prefix}0` })) count += 1
  return count
}

t.test('garbage goes, and what states need stays', async (t) => {
  const lab = await labOf(t)
  const random = randomOf(31)
  mutate(lab.dirs.rw, random, 40)
  const first = await lab.snapshot()
  mutate(lab.dirs.rw, random, 40)
  writeFileSync(join(lab.dirs.rw, 'only-here'), randomBytes(random, 50_000))
  const second = await lab.snapshot()
  mutate(lab.dirs.rw, random, 40)
  rmSync(join(lab.dirs.rw, 'only-here'), { force: true })
  const third = await lab.snapshot()
  const was = await treeOf(lab, third)
  t.match(await collectGarbage(lab.catalogue), { chunks: 0, contents: 0, lists: 0, bytes: 0 })
  await lab.catalogue.deleteSnapshots([first, second])
  const before = await countOf(lab.catalogue, 'chunk')
  const told = await collectGarbage(lab.catalogue, { dryRun: true })
  t.equal(await countOf(lab.catalogue, 'chunk'), before, 'a dry run removes nothing')
  const swept = await collectGarbage(lab.catalogue)
  t.same(swept, told, 'and tells what goes')
  t.ok(swept.chunks > 0 && swept.bytes > 50_000)
  t.equal(await countOf(lab.catalogue, 'chunk'), before - swept.chunks)
  t.same(await treeOf(lab, third), was)
})

t.test('states with equal lists keep the stamps of each', async (t) => {
  const lab = await labOf(t)
  const file = join(lab.dirs.rw, 'file')
  writeFileSync(file, 'bytes')
  const states: SnapshotRecord[] = []
  for (let i = 0; i < 2; i++) {
    // Its time of change goes on, and nothing that a state has; what is recent has no stamp.
    chmodSync(file, statSync(file).mode)
    await sleep(200)
    states.push(await lab.snapshot())
  }
  const [one, other] = await Promise.all(states.map(({ id }) => lab.catalogue.pieces(id)))
  t.same(
    one!.map(({ list }) => list),
    other!.map(({ list }) => list),
  )
  t.strictNotSame(one, other, 'the stamps differ')
  t.match(await collectGarbage(lab.catalogue), { chunks: 0 })
})

// The same few contents come and go, so that snapshots rely again and again on what is garbage.
t.test('snapshots taken while garbage is removed have all that they need', async (t) => {
  const lab = await labOf(t)
  const random = randomOf(Number(process.env.SEED ?? 5))
  const pool = Array.from({ length: 6 }, () => randomBytes(random, 20_000 + random(20_000)))
  const kept = new Map<string, { snapshot: SnapshotRecord; was: string[] }>()
  let done = false
  let sweeps = 0
  let removed = 0
  const sweeping = (async () => {
    while (!done) {
      // Gives way at every step, as seldom and as long as chance will have it.
      const pace = new Pace()
      pace.breathe = async () => {
        if (random(3) === 0) await new Promise((resolve) => setTimeout(resolve, random(3)))
      }
      removed += (await collectGarbage(lab.catalogue, { pace })).chunks
      sweeps += 1
    }
  })()
  for (let round = 0; round < 60; round++) {
    for (let file = 0; file < 4; file++)
      writeFileSync(join(lab.dirs.rw, `f${file}`), pool[random(pool.length)]!)
    const snapshot = await lab.snapshot()
    kept.set(snapshot.id, { snapshot, was: await treeOf(lab, snapshot) })
    while (kept.size > 2) {
      const [id, { snapshot: old }] = [...kept][random(kept.size)]!
      await lab.catalogue.deleteSnapshot(old)
      kept.delete(id)
    }
  }
  done = true
  await sweeping
  t.ok(sweeps > 1 && removed > 20, `${sweeps} sweeps removed ${removed} chunks`)
  for (const { snapshot, was } of kept.values()) t.same(await treeOf(lab, snapshot), was)
  t.same((await lab.catalogue.snapshots('l1')).length, kept.size)
})

t.test('a state that is deleted while it is read stays readable until that ends', async (t) => {
  const lab = await labOf(t)
  writeFileSync(join(lab.dirs.rw, 'file'), randomBytes(randomOf(3), 30_000))
  const state = await lab.snapshot()
  const chunks = await countOf(lab.catalogue, 'chunk')
  const held = await lab.catalogue.hold(state)
  await lab.catalogue.deleteSnapshot(state)
  await collectGarbage(lab.catalogue)
  t.equal(await countOf(lab.catalogue, 'chunk'), chunks)
  held!.release()
  await collectGarbage(lab.catalogue)
  t.equal(await countOf(lab.catalogue, 'chunk'), 0)
  t.equal(await countOf(lab.catalogue, 'content'), 0)
})

/** Two states of which the second has more, and what looks at them while that goes. */
async function labOfTwo(t: Test) {
  const lab = await labOf(t)
  const [random, file] = [randomOf(4), (name: string) => join(lab.dirs.rw, name)]
  writeFileSync(file('kept'), randomBytes(random, 30_000))
  const kept = await lab.snapshot()
  writeFileSync(file('gone'), randomBytes(random, 40_000))
  const gone = await lab.snapshot()
  await lab.catalogue.setHead('l1', null)
  let left = 1
  const drop = async () => {
    if (left-- !== 1) return
    await lab.catalogue.deleteSnapshot(gone)
    await collectGarbage(lab.catalogue)
  }
  const look = (onProgress: (text: string) => Promise<void> | void = () => {}) => {
    const told: Promise<void>[] = []
    const pace = new Pace()
    // What a look tells, it waits for.
    pace.breathe = async () => void (await Promise.all(told))
    return verify({
      catalogue: lab.catalogue,
      layer: null,
      ro: () => lab.dirs.ro,
      temporary: lab.dir,
      pace,
      onProgress: (text) => void told.push(Promise.resolve(onProgress(text))),
    })
  }
  return { ...lab, kept, gone, drop, look }
}

t.test('a state that is deleted while all are verified is no damage', async (t) => {
  for (const at of ['pieces', 'value', 'findSnapshot', 'has'] as const) {
    const { catalogue, drop, look, gone } = await labOfTwo(t)
    const real = catalogue[at].bind(catalogue) as (...args: string[]) => Promise<never>
    const asked = async (...args: string[]) => {
      if (args.some((arg) => arg.includes(gone.id))) await drop()
      return real(...args)
    }
    Object.assign(catalogue, { [at]: asked })
    const { states, faults } = await look()
    t.same({ states, faults }, { states: 1, faults: [] }, `gone when ${at} is asked for`)
  }
  const { drop, look } = await labOfTwo(t)
  const { faults } = await look((text) => (text.startsWith('checked 1 ') ? drop() : undefined))
  t.same(faults, [], 'gone when its chunks are checked')
})

t.test('garbage that goes while all is verified is no damage', async (t) => {
  const { catalogue, drop, look, gone } = await labOfTwo(t)
  await catalogue.deleteSnapshot(gone)
  const { faults } = await look((text) => (text.startsWith('checked 1 ') ? drop() : undefined))
  t.same(faults, [])
  t.match(await collectGarbage(catalogue), { chunks: 0 }, 'it went')
})

t.test('a state that is deleted while it is measured or recoded is not there', async (t) => {
  const one = await labOfTwo(t)
  const real = one.catalogue.pieces.bind(one.catalogue)
  Object.assign(one.catalogue, {
    pieces: async (id: string) => {
      if (id === one.gone.id) await one.drop()
      return real(id)
    },
  })
  t.same([...(await sizesOf(one.catalogue)).keys()], [one.kept.id])
  const job = { catalogue: one.catalogue, ro: one.dirs.ro, temporary: one.dir, budget: null }
  await t.rejects(recodeState({ ...job, snapshot: one.gone }), { code: 'SVS_STATE_NOT_FOUND' })
})

t.test('the state that a snapshot is taken after is read once, and may go meanwhile', async (t) => {
  const { catalogue, dirs, kept, snapshot, drop } = await labOfTwo(t)
  await catalogue.setHead('l1', kept.id)
  const real = catalogue.pieces.bind(catalogue)
  let reads = 0
  Object.assign(catalogue, {
    pieces: async (id: string) => {
      if (id === kept.id) reads += 1
      return real(id)
    },
  })
  const chunk = catalogue.chunk.bind(catalogue)
  catalogue.chunk = async (id) => {
    await catalogue.deleteSnapshot(kept)
    await drop()
    return chunk(id)
  }
  writeFileSync(join(dirs.rw, 'more'), 'more')
  const taken = await snapshot()
  t.equal(reads, 1)
  t.equal(taken.entries, 4)
})

t.test('what a snapshot that is being written stored is no garbage; given up, it is', async (t) => {
  const { catalogue } = await labOf(t)
  const writer = await catalogue.writer()
  const id = 'ab'.repeat(32)
  await writer.putContent('', id, { size: 1, depth: 0, stored: 1, parts: [] })
  await writer.putChunk(id, Buffer.alloc(5 * 1024 * 1024))
  t.match(await collectGarbage(catalogue), { chunks: 0, contents: 0 })
  writer.end()
  t.match(await collectGarbage(catalogue), { chunks: 1, contents: 1 })
})

/** Sweeps, and lets `act` run once while what is condemned is being removed. */
async function sweepWith(catalogue: Catalogue, act: () => Promise<void>): Promise<void> {
  const pace = new Pace()
  let acted = false
  pace.breathe = async () => {
    // A writer of its own asks: to be told that it is absent claims nothing.
    if (acted || !catalogue.claims.isCondemned(key.content('', OLD))) return
    acted = true
    await act()
  }
  await collectGarbage(catalogue, { pace })
  if (!acted) throw new Error('nothing was condemned')
}

const OLD = 'cd'.repeat(32)
const chunkNamed = (text: string) => ({ id: sha256(Buffer.from(text)), bytes: Buffer.from(text) })
const madeOf = (chunk: { id: string; bytes: Buffer }): Content => ({
  size: 3,
  depth: 0,
  stored: chunk.bytes.length,
  parts: [{ codec: 'raw', length: 3, chunks: [chunk.id] }],
})

async function store(writer: SnapshotWriter, text: string): Promise<void> {
  const chunk = chunkNamed(text)
  await writer.putChunk(chunk.id, Buffer.from(chunk.bytes))
  await writer.putContent('', OLD, madeOf(chunk))
}

for (const early of [true, false]) {
  const when = early ? 'before' : 'after'
  t.test(
    `a writer that began ${when} the condemnation and fails leaves no content without its chunks`,
    async (t) => {
      const { catalogue } = await labOf(t)
      const former = await catalogue.writer()
      await store(former, 'old')
      await former.flush()
      former.end()
      const first = early ? await catalogue.writer() : null
      await sweepWith(catalogue, async () => {
        const writer = first ?? (await catalogue.writer())
        t.equal(await writer.content('', OLD), null, 'what is condemned counts as absent')
        await store(writer, 'new')
        writer.end()
      })
      const left = await catalogue.content('', OLD)
      for (const id of left?.parts.flatMap(({ chunks }) => chunks ?? []) ?? [])
        t.ok(await catalogue.chunk(id), 'every chunk that is named is there')
    },
  )

  t.test(`a writer that began ${when} the condemnation and ends well stores it anew`, async (t) => {
    const { catalogue } = await labOf(t)
    const former = await catalogue.writer()
    await store(former, 'old')
    await former.flush()
    former.end()
    const first = early ? await catalogue.writer() : null
    const writers: SnapshotWriter[] = []
    await sweepWith(catalogue, async () => {
      // Two at once: neither takes away what the other stored.
      writers.push(first ?? (await catalogue.writer()), await catalogue.writer())
      for (const writer of writers) await store(writer, 'new')
      await Promise.all(writers.map((writer) => writer.flush()))
    })
    t.same(await catalogue.content('', OLD), madeOf(chunkNamed('new')))
    t.ok(await catalogue.chunk(chunkNamed('new').id))
    t.notOk(await catalogue.chunk(chunkNamed('old').id), 'the former chunks went')
    t.match(await collectGarbage(catalogue), { contents: 0, chunks: 0 })
    for (const writer of writers) writer.end()
  })
}

t.test('a sweep beside a sweep is refused', async (t) => {
  const lab = await labOf(t)
  await lab.snapshot()
  const first = collectGarbage(lab.catalogue)
  await t.rejects(collectGarbage(lab.catalogue), { code: 'SVS_STORE_BUSY' })
  await first
})

t.test('a sweep that is broken off has removed nothing that is needed', async (t) => {
  const lab = await labOf(t)
  const random = randomOf(8)
  mutate(lab.dirs.rw, random, 80)
  const state = await lab.snapshot()
  const was = await treeOf(lab, state)
  const pace = new Pace()
  pace.breathe = async () => {
    throw new Error('enough')
  }
  await t.rejects(collectGarbage(lab.catalogue, { pace }), { message: 'enough' })
  t.same(await treeOf(lab, state), was)
  await collectGarbage(lab.catalogue)
})

t.test('a set of digests has what was added, and nothing else', async (t) => {
  const random = randomOf(9)
  const digest = () => randomBytes(random, 32).toString('hex')
  const set = new DigestSet()
  const inside = [...Array.from({ length: 5000 }, digest), '0'.repeat(64)]
  for (const each of inside) set.add(each)
  t.equal(set.add(inside[7]!), false)
  t.equal(set.size, inside.length)
  t.ok(inside.every((each) => set.has(each)))
  t.notOk(Array.from({ length: 5000 }, digest).some((each) => set.has(each)))
})
