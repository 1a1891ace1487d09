// Lists of states that rest on those of the states before: what they cost, what keeps them, and what
// damage does to them.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { ownPrefix } from '../../lib/layer/marks.ts'
import { openCatalogue } from '../../lib/snapshot/catalogue.ts'
import { Damage, type Depot } from '../../lib/snapshot/depot.ts'
import { type Frame, putFrame, readFormer, readFrame } from '../../lib/snapshot/frames.ts'
import { collectGarbage } from '../../lib/snapshot/gc.ts'
import { putJson } from '../../lib/snapshot/key-value.ts'
import { key } from '../../lib/snapshot/keys.ts'
import type { Piece } from '../../lib/snapshot/records.ts'
import { clearDamage, mendLists, storeLive } from '../../lib/snapshot/repair.ts'
import { sizesOf } from '../../lib/snapshot/sizes.ts'
import { listChunks, stampChunks } from '../../lib/snapshot/tree.ts'
import { verify } from '../../lib/snapshot/verify.ts'
import { describeTree, type Lab, labOf, randomBytes, randomOf, treeOf } from './fixture.ts'

class Chunks implements Depot {
  readonly all = new Map<string, Buffer>()
  chunk = async (id: string) => this.all.get(id) ?? null
  content = async () => null
  putContent = async () => {}
  putChunk = async (id: string, bytes: Buffer) => void this.all.set(id, bytes)
}

t.test('a frame rests on a whole one until half of it differs', async (t) => {
  const depot = new Chunks()
  const random = randomOf(3)
  const bytes = randomBytes(random, 8000)
  const put = async (before: Frame | null) =>
    putFrame(depot, bytes, before === null ? null : await readFormer(depot, before, bytes.length))
  const first = await put(null)
  t.equal(first.on, undefined)
  t.same(await put(first), first, 'the same bytes are the same frame')
  let last = first
  let wholes = 0
  for (let step = 0; step < 12; step++) {
    randomBytes(random, 700).copy(bytes, step * 650)
    const next = await put(last)
    t.ok((await readFrame(depot, next, bytes.length)).equals(bytes))
    if (next.on === undefined) wholes += 1
    else t.same(next.on.chunks, last.on?.chunks ?? last.chunks, 'never on one that rests')
    last = next
  }
  t.ok(wholes >= 1 && wholes <= 4, `${wholes} of 12`)
  depot.all.delete((last.on ?? first).chunks[0]!)
  if (last.on !== undefined) await t.rejects(readFrame(depot, last, bytes.length), Damage)
})

/** A few more changes, and the state with them; its tree is read before, as that is an access, which a state has too. */
async function change(lab: Lab, paths: readonly string[]) {
  for (const path of paths) writeFileSync(join(lab.dirs.rw, path), `changed ${paths}`)
  // Recent changes have no stamps, and this is about what has.
  await sleep(150)
  const tree = describeTree(lab.dirs.rw)
  const before = await bytesIn(lab)
  const snapshot = await lab.snapshot()
  return { snapshot, tree, cost: (await bytesIn(lab)) - before }
}

async function bytesIn({ catalogue }: Lab): Promise<number> {
  let bytes = 0
  for await (const at of catalogue.keys({ gte: 'a', lt: 'z' }))
    bytes += at.length + ((await catalogue.value(at))?.length ?? 0)
  return bytes
}

const faultsOf = async ({ catalogue, dir, dirs }: Lab) =>
  (await verify({ catalogue, layer: null, ro: () => dirs.ro, temporary: dir })).faults

async function flip({ catalogue }: Lab, id: string): Promise<void> {
  const bytes = Buffer.from((await catalogue.chunk(id))!)
  bytes[bytes.length >> 1]! ^= 0x40
  await catalogue.batch([{ type: 'put', key: key.chunk(id), value: bytes }])
}

const chunksIn = (pieces: readonly Piece[]) =>
  pieces.flatMap((piece) => [...listChunks(piece), ...stampChunks(piece)])

const hurtBy = (faults: Awaited<ReturnType<typeof faultsOf>>, id: string) =>
  faults
    .find(({ at }) => at === key.chunk(id))
    ?.hurts.map(({ state }) => state)
    .sort()

// One story, as making many names takes a while.
t.test('a state of many names', async (t) => {
  const lab = await labOf(t)
  const { catalogue } = lab
  for (let dir = 0; dir < 12; dir++) {
    mkdirSync(join(lab.dirs.rw, `d${dir}`))
    for (let file = 0; file < 50; file++)
      writeFileSync(join(lab.dirs.rw, `d${dir}/f${file}`), `${file}`)
  }
  const first = await change(lab, [])
  const second = await change(lab, ['d3/f1', 'd9/f1'])
  const third = await change(lab, ['d3/f2', 'd9/f2'])
  const ids = [first, second, third].map(({ snapshot }) => snapshot.id)

  await t.test('costs what a few changes are', async (t) => {
    // Two contents, lists and rows of stamps, the table, the record.
    t.ok(third.cost < 6000 && first.cost > 4 * third.cost, `${first.cost}, then ${third.cost}`)
    const pieces = await catalogue.pieces(ids[2]!)
    t.ok(pieces.some(({ listOn }) => listOn !== undefined))
    const sizes = await sizesOf(catalogue)
    const { own, shared } = sizes.get(ids[2]!)!
    t.ok(own < 3000 && shared > 10_000, 'what it rests on is shared')
  })

  await t.test('names damage below its list, as each that rests on it does', async (t) => {
    const trees = await Promise.all(ids.map((id) => catalogue.pieces(id)))
    const pieces = trees[2]!
    const resting = pieces.find(({ listOn }) => listOn !== undefined)!
    const below = [resting.listOn!, resting.stampsOn!].map(({ chunks }) => chunks[0]!)
    for (const id of [...below, resting.list[0]!]) {
      const was = (await catalogue.chunk(id))!
      await flip(lab, id)
      const those = trees.flatMap((tree, at) => (chunksIn(tree).includes(id) ? [ids[at]!] : []))
      t.ok(those.length >= (below.includes(id) ? 2 : 1))
      t.same(hurtBy(await faultsOf(lab), id), those.sort())
      await catalogue.batch([{ type: 'put', key: key.chunk(id), value: was }])
    }
  })

  const fourth = await change(lab, ['d5/f5'])
  // As earlier versions have them.
  const old = await catalogue.pieces(fourth.snapshot.id)
  await catalogue.batch([putJson(key.tree(fourth.snapshot.id), old)])
  const fifth = await change(lab, ['d5/f6'])

  await t.test('of an earlier version is read, and the next rests on its pieces', async (t) => {
    t.same(await treeOf(lab, fourth.snapshot), fourth.tree)
    const pieces = await catalogue.pieces(fifth.snapshot.id)
    t.ok(pieces.filter(({ listOn }) => listOn !== undefined).length >= 2)
    t.same(await treeOf(lab, fifth.snapshot), fifth.tree)
  })

  await t.test('keeps what it rests on when that state goes', async (t) => {
    for (const { snapshot } of [first, second]) {
      await catalogue.deleteSnapshot(snapshot)
      await collectGarbage(catalogue)
      t.same(await faultsOf(lab), [], 'all that is left is whole')
    }
    t.same(await treeOf(lab, third.snapshot), third.tree)
  })

  await t.test('is made whole from the live tree when that is damaged', async (t) => {
    const of = (at: number) => catalogue.pieces([third, fourth, fifth][at]!.snapshot.id)
    const [before, , now] = await Promise.all([of(0), of(1), of(2)])
    // The piece that the last change is in.
    const piece = now!.find(({ list }, at) => list[0] !== old[at]?.list[0])!
    const below = piece.listOn!.chunks[0]!
    t.ok(before!.some((each) => listChunks(each).includes(below)))
    await flip(lab, below)
    await flip(lab, stampChunks(piece).at(-1)!)
    const faults = await faultsOf(lab)
    await clearDamage(catalogue, faults, false)
    const job = { dirs: lab.dirs, prefix: ownPrefix(), ro: lab.dirs.ro, scope: lab.layer.ro.digest }
    await mendLists(catalogue, faults, await storeLive(catalogue, job))
    const left = await faultsOf(lab)
    t.same(
      left.map(({ at }) => at),
      [key.chunk(below)],
      'stamps are not missed',
    )
    t.same(hurtBy(left, below), [third, fourth].map(({ snapshot }) => snapshot.id).sort())
    t.same(await treeOf(lab, fifth.snapshot), fifth.tree)
  })

  for (const { snapshot } of [third, fourth, fifth]) await catalogue.deleteSnapshot(snapshot)
  await collectGarbage(catalogue)
  const chunks: string[] = []
  for await (const at of catalogue.keys({ gte: 'chunk/', lt: 'chunk0' })) chunks.push(at)
  t.same(chunks, [], 'no chunk outlives them all')
})

t.test('a catalogue of before is of this version once it is opened', async (t) => {
  const lab = await labOf(t)
  await lab.catalogue.batch([putJson('meta', { version: 1, named: true, later: 1 })])
  await lab.catalogue.close()
  const again = await openCatalogue(join(lab.dir, 'catalogue'))
  t.teardown(() => again.close())
  t.same(JSON.parse((await again.value('meta'))!.toString()), { version: 3, named: true, later: 1 })
})
