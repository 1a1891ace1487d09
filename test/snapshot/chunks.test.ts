// Where chunks lie: bytes or places, values without a place, and catalogues that have no places.

import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Catalogue, openCatalogue } from '../../lib/snapshot/catalogue.ts'
import { Chunks } from '../../lib/snapshot/chunks.ts'
import { sha256 } from '../../lib/snapshot/depot.ts'
import { collectGarbage } from '../../lib/snapshot/gc.ts'
import { KeyValue, put, putJson } from '../../lib/snapshot/key-value.ts'
import { below, key, lastPart } from '../../lib/snapshot/keys.ts'
import { placeBytes, placeIn } from '../../lib/snapshot/place.ts'
import { verify } from '../../lib/snapshot/verify.ts'
import { labOf, mutate, placeOf, randomBytes, randomOf, treeOf } from './fixture.ts'

const random = randomOf(5)
const optionsOf = (catalogue: Catalogue, dir: string) => ({
  catalogue,
  layer: null,
  ro: () => [],
  temporary: dir,
})

const chunkOf = (bytes: Buffer) => ({ id: sha256(bytes), bytes })
const operationOf = ({ id, bytes }: { id: string; bytes: Buffer }) => put(key.chunk(id), bytes)
const newChunk = (size = 10_000) => chunkOf(randomBytes(random, size))

async function keysIn(db: KeyValue, prefix?: string): Promise<string[]> {
  const keys: string[] = []
  const range = prefix === undefined ? { gte: '', lt: '~' } : below(prefix)
  for await (const at of db.keys(range)) keys.push(at)
  return keys
}

/** A database of records, and what lies beside it when `chunks` is closed. */
async function storeIn(t: Test) {
  const dir = join(placeOf(t), 'catalogue')
  const records = await KeyValue.open(dir)
  t.teardown(() => records.close())
  const valuesLeft = async () => {
    const values = await KeyValue.open(join(dir, 'values'))
    const keys = await keysIn(values)
    await values.close()
    return keys.map(lastPart)
  }
  return { dir, records, valuesLeft }
}

t.test(
  'a large chunk has a place, a small one lies among the records, both are read',
  async (t) => {
    const { records, valuesLeft } = await storeIn(t)
    const chunks = new Chunks(records)
    const large = newChunk()
    const small = newChunk(100)
    // Bytes that look like a place are not taken for one.
    const trap = chunkOf(placeBytes({ number: 0, length: 7 }))
    const all = [large, small, trap]
    await chunks.write(all.map(operationOf))
    for (const { id, bytes } of all) t.same(await chunks.read(id), bytes)
    const ids = all.map(({ id }) => id)
    t.same(await chunks.readAll([...ids, 'ab'.repeat(32)]), [
      ...all.map(({ bytes }) => bytes),
      null,
    ])
    t.same(await chunks.lengths([...ids, 'ab'.repeat(32)]), [10_000, 100, 20, 0])
    t.equal((await records.get(key.chunk(small.id)))?.length, 100)
    t.equal(placeIn((await records.get(key.chunk(large.id)))!)?.length, 10_000)
    await chunks.remove([key.chunk(trap.id), key.chunk(small.id)])
    await chunks.compact()
    t.same(await chunks.readAll(ids), [large.bytes, null, null])
    await chunks.close()
    t.same(await valuesLeft(), [large.id])
  },
)

t.test('what was read of the values goes out of memory, whoever reads and writes', async (t) => {
  const { records, valuesLeft } = await storeIn(t)
  const chunks = new Chunks(records)
  const large = Array.from({ length: 8 }, () => newChunk(1024 * 1024))
  await chunks.write(large.map(operationOf))
  const mapped = () =>
    (readFileSync('/proc/self/maps', 'utf8').match(/values\/\d+\.ldb/g) ?? []).length
  const opened = new Set<number>()
  const readOne = async ({ id, bytes }: { id: string; bytes: Buffer }) => {
    if (!(await chunks.read(id))?.equals(bytes)) throw new Error('other bytes')
    opened.add(mapped())
  }
  let written = 0
  for (let round = 0; round < 16; round++) {
    await Promise.all([...large.map(readOne), chunks.write([operationOf(newChunk())])])
    written += 1
  }
  t.ok(opened.size > 1, 'tables are mapped, and are not for ever')
  t.ok(Math.min(...opened) < Math.max(...opened))
  await chunks.close()
  t.equal((await valuesLeft()).length, large.length + written)
})

t.test('of two who bring one chunk the second finds it there', async (t) => {
  const { records, valuesLeft } = await storeIn(t)
  const chunks = new Chunks(records)
  const both = newChunk()
  const others = [newChunk(), newChunk()]
  await Promise.all(others.map((other) => chunks.write([other, both].map(operationOf))))
  t.same(await chunks.read(both.id), both.bytes)
  await chunks.close()
  t.same((await valuesLeft()).sort(), [both, ...others].map(({ id }) => id).sort())
})

t.test('a value that came to no place goes, after a failure and after a kill', async (t) => {
  const { records, valuesLeft } = await storeIn(t)
  const first = new Chunks(records)
  const kept = newChunk()
  await first.write([operationOf(kept)])
  const { batch } = records
  records.batch = () => Promise.reject(new Error('no more'))
  const lost = newChunk()
  await t.rejects(first.write([operationOf(lost)]), /no more/)
  records.batch = batch
  const later = newChunk()
  await first.write([operationOf(later)])
  await first.close()
  const ids = [kept, later].map(({ id }) => id)
  t.same(new Set(await valuesLeft()), new Set([...ids, lost.id]), 'as one that is killed here')

  const second = new Chunks(records)
  t.same(await second.read(later.id), later.bytes)
  records.batch = () => Promise.reject(new Error('no more'))
  await t.rejects(second.write([operationOf(newChunk())]), /no more/)
  records.batch = batch
  await second.dropStrays()
  await second.write([operationOf(newChunk())])
  await second.close()
  t.equal((await valuesLeft()).length, 3)
  t.notOk((await valuesLeft()).includes(lost.id))
})

t.test('a removal that was broken off is ended by the next who comes', async (t) => {
  const { records, valuesLeft } = await storeIn(t)
  const first = new Chunks(records)
  const chunks = [newChunk(), newChunk()]
  await first.write(chunks.map(operationOf))
  const { batch } = records
  let batches = 0
  // The places are gone, the values too, and the notes of it are left; or the values as well.
  records.batch = (operations) =>
    batches++ === 0 ? batch.call(records, operations) : Promise.reject(new Error('no more'))
  await t.rejects(first.remove([key.chunk(chunks[0]!.id)]), /no more/)
  records.batch = batch
  const place = placeIn((await records.get(key.chunk(chunks[1]!.id)))!)!
  await records.batch([
    { type: 'del', key: key.chunk(chunks[1]!.id) },
    put(key.gone(key.value(place.number, chunks[1]!.id)), Buffer.alloc(0)),
  ])
  await first.close()
  t.equal((await valuesLeft()).length, 1)
  t.equal((await keysIn(records, 'gone')).length, 2)
  const second = new Chunks(records)
  await second.write([operationOf(newChunk())])
  await second.close()
  t.equal((await valuesLeft()).length, 1)
  t.same(await keysIn(records, 'gone'), [])
})

t.test('a catalogue that has no places is read, added to, verified and swept', async (t) => {
  const lab = await labOf(t)
  const at = join(lab.dir, 'catalogue')
  mutate(lab.dirs.rw, random, 40)
  writeFileSync(join(lab.dirs.rw, 'large'), randomBytes(random, 300_000))
  const old = await lab.snapshot()
  const was = await treeOf(lab, old)
  const inline: { readonly id: string; readonly bytes: Buffer }[] = []
  for await (const chunk of lab.catalogue.keys(below('chunk')))
    inline.push({ id: lastPart(chunk), bytes: (await lab.catalogue.chunk(lastPart(chunk)))! })
  await lab.catalogue.batch([
    ...inline.map(operationOf),
    { type: 'del', key: key.settled },
    putJson(key.meta, { version: 2, made: 'x', named: true }),
  ])
  await lab.catalogue.close()
  rmSync(join(at, 'values'), { recursive: true })

  const catalogue = await openCatalogue(at)
  t.teardown(() => catalogue.close())
  const now = { ...lab, catalogue }
  t.same(await treeOf(now, old), was)
  const options = optionsOf(catalogue, lab.dir)
  t.match(await verify(options), { states: 1, chunks: inline.length, faults: [] })
  const writer = await catalogue.writer()
  for (const { id, bytes } of inline) await writer.putChunk(id, Buffer.from(bytes))
  t.equal(writer.stored, 0, 'what is there is not stored again')
  const added = newChunk()
  await writer.putChunk(added.id, Buffer.from(added.bytes))
  await writer.flush()
  writer.end()
  t.same(await collectGarbage(catalogue), {
    ...(await collectGarbage(catalogue, { dryRun: true })),
    chunks: 1,
    bytes: added.bytes.length,
  })
  t.match(await verify(options), { states: 1, chunks: inline.length, faults: [] })
  await catalogue.deleteSnapshot(old)
  t.match(await collectGarbage(catalogue), { chunks: inline.length })
  t.match(await verify(options), { states: 0, chunks: 0, faults: [] })
})
