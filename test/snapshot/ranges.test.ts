// Stretches of large contents that are deltas of others: what is made for them, and what is kept.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Damage, type DepotReader } from '../../lib/snapshot/depot.ts'
import { Ranges } from '../../lib/snapshot/ranges.ts'
import type { SnapshotRecord } from '../../lib/snapshot/records.ts'
import { readTree } from '../../lib/snapshot/tree.ts'
import { type Lab, labOf, randomBytes, randomOf } from './fixture.ts'

const MIB = 1024 * 1024
const SIZE = 36 * MIB

/** The content of the file `big` in a state. */
async function bigIn({ catalogue }: Lab, state: SnapshotRecord): Promise<string> {
  for await (const { entry } of readTree(catalogue, await catalogue.pieces(state.id)))
    if (entry.path === 'big') return entry.content ?? ''
  return ''
}

t.test('a stretch is made of its own parts alone, and what is kept has a bound', async (t) => {
  const lab = await labOf(t)
  const random = randomOf(5)
  const bytes = randomBytes(random, SIZE)
  const big = join(lab.dirs.rw, 'big')
  writeFileSync(big, bytes)
  const first = await bigIn(lab, await lab.snapshot())
  const before = Buffer.from(bytes)
  for (let page = 0; page < 36; page++) bytes.writeUInt32LE(random(1e9), page * MIB + 77)
  writeFileSync(big, bytes)
  const state = await lab.snapshot()
  const content = await bigIn(lab, state)
  const made = await lab.catalogue.content(state.ro.digest, content)
  t.ok(
    made!.parts.every(({ references }) => references?.length),
    'it is a delta',
  )

  let broken = ''
  let read = 0
  const depot: DepotReader = {
    content: (scope, id) => lab.catalogue.content(scope, id),
    chunk: async (id) => {
      const chunk = await lab.catalogue.chunk(id)
      read += chunk?.length ?? 0
      return id === broken ? null : chunk
    },
  }
  const sources = { depot, scope: state.ro.digest, ro: lab.dirs.ro, temporary: lab.dir }
  const stretch = async (ranges: Ranges, at: number, length: number, id = content) => {
    const into = Buffer.alloc(length)
    await ranges.read(id, into, at)
    return into.equals((id === first ? before : bytes).subarray(at, at + length))
  }

  const free = new Ranges(sources)
  t.ok(await stretch(free, SIZE - 5000, 5000))
  t.ok(read < SIZE / 2, 'the end, without the begin')
  const once = read
  t.ok(await stretch(free, SIZE - 100_000, 50_000))
  t.equal(read, once, 'what is made is made once')
  free.close()

  const bounded = new Ranges(sources, SIZE)
  for (let round = 0; round < 6; round++) {
    const length = 1 + random(3 * MIB)
    t.ok(await stretch(bounded, random(SIZE - length), length))
    t.ok(await stretch(bounded, random(SIZE - 9), 9, first), 'what it was before')
    t.equal(bounded.kept, 1)
  }
  bounded.close()

  const hurt = new Ranges(sources)
  broken = made!.parts.at(-1)!.chunks![0]!
  await t.rejects(stretch(hurt, SIZE - 10, 10), Damage)
  t.ok(await stretch(hurt, 10, 10), 'the rest is whole')
  broken = ''
  t.ok(await stretch(hurt, SIZE - 10, 10), 'and all of it where the chunk is there again')
  hurt.close()
})
