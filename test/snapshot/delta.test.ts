// What a changed file costs, and that it comes back.

import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { windowFor } from '../../lib/snapshot/delta.ts'
import { collectGarbage } from '../../lib/snapshot/gc.ts'
import { buildState } from '../../lib/snapshot/restore.ts'
import { describeTree, type Lab, labOf, randomBytes, randomOf } from './fixture.ts'

const MIB = 1024 * 1024

/** Changes one file, takes a state, and tells what it cost. */
async function costOf(lab: Lab, bytes: Buffer): Promise<number> {
  writeFileSync(join(lab.dirs.rw, 'file'), bytes)
  return (await lab.snapshot()).stored
}

const insertAt = (bytes: Buffer, at: number, more: Buffer): Buffer =>
  Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)])

t.test('100 bytes put into the middle of 50 MiB cost less than 100 KiB', async (t) => {
  const lab = await labOf(t)
  const random = randomOf(11)
  const before = randomBytes(random, 50 * MIB)
  const after = insertAt(before, 25 * MIB, randomBytes(random, 100))

  await t.test('against the read-only sublayer', async (t) => {
    writeFileSync(join(lab.dirs.ro[0]!, 'file'), before)
    const cost = await costOf(lab, after)
    t.ok(cost < 100 * 1024, `${cost} bytes`)
  })

  await t.test('against the state before', async (t) => {
    const again = insertAt(after, 10 * MIB, randomBytes(random, 100))
    const cost = await costOf(lab, again)
    t.ok(cost < 100 * 1024, `${cost} bytes`)
  })

  await t.test('and going back brings the very bytes', async (t) => {
    const [first, second] = await lab.catalogue.snapshots('l1')
    await lab.restore(first!)
    t.ok(readFileSync(join(lab.dirs.rw, 'file')).equals(after))
    await lab.restore(second!)
    t.not(readFileSync(join(lab.dirs.rw, 'file')).length, after.length)
  })

  t.ok(process.resourceUsage().maxRSS < 700 * 1024, `peak ${process.resourceUsage().maxRSS} KiB`)
})

t.test(
  'a large file costs the pages that change, however often, and every state stays',
  async (t) => {
    const lab = await labOf(t)
    const random = randomOf(13)
    const bytes = randomBytes(random, 9 * MIB + 1234)
    const versions: Buffer[] = []
    let [first, most] = [0, 0]
    for (let round = 0; round < 24; round++) {
      for (let page = 0; page < 5; page++)
        randomBytes(random, 3000).copy(bytes, random(2300) * 4096)
      const cost = await costOf(lab, bytes)
      versions.push(Buffer.from(bytes))
      if (round === 0) first = cost
      else most = Math.max(most, cost)
    }
    t.ok(first < bytes.length + 64 * 1024, `${first} bytes`)
    // Most of them what five pages are; the twenty-first all that changed since the first.
    t.ok(most < 21 * 5 * 4096 * 1.2, `${most} bytes`)

    const states = await lab.catalogue.snapshots('l1')
    const isAsIn = (round: number) =>
      readFileSync(join(lab.dirs.rw, 'file')).equals(versions[round]!)
    for (const round of [0, 23, 19, 21]) {
      await lab.restore(states[round]!)
      t.ok(isAsIn(round), `round ${round}`)
    }
    const last = states.pop()!
    await lab.catalogue.deleteSnapshots(states)
    await collectGarbage(lab.catalogue)
    await lab.restore(last)
    t.ok(isAsIn(23), 'the last state stays when all others are gone')
  },
)

t.test('a large file of the read-only sublayer costs the pages that change', async (t) => {
  const lab = await labOf(t)
  const random = randomOf(14)
  const before = randomBytes(random, 20 * MIB)
  writeFileSync(join(lab.dirs.ro[0]!, 'file'), before)
  const after = Buffer.concat([before, randomBytes(random, 5000)])
  randomBytes(random, 4096).copy(after, 5 * MIB)
  const cost = await costOf(lab, after)
  t.ok(cost < 16 * 1024, `${cost} bytes`)
  const [state] = await lab.catalogue.snapshots('l1')
  rmSync(join(lab.dirs.rw, 'file'))
  await lab.restore(state!)
  t.ok(readFileSync(join(lab.dirs.rw, 'file')).equals(after))
  writeFileSync(join(lab.dirs.ro[0]!, 'file'), randomBytes(random, 20 * MIB))
  rmSync(join(lab.dirs.rw, 'file'))
  await t.rejects(lab.restore(state!), { code: 'SVS_RO_CHANGED' })
})

t.test(
  'a file that changes state after state costs what changes, and every state stays',
  async (t) => {
    const lab = await labOf(t)
    const random = randomOf(12)
    const bytes = randomBytes(random, 3 * MIB)
    const versions: Buffer[] = []
    for (let round = 0; round < 12; round++) {
      randomBytes(random, 4096).copy(bytes, random(700) * 4096)
      const cost = await costOf(lab, bytes)
      versions.push(Buffer.from(bytes))
      if (round > 0 && round !== 7) t.ok(cost < 16 * 1024, `round ${round}: ${cost} bytes`)
    }
    const states = await lab.catalogue.snapshots('l1')
    for (const round of [0, 11, 5, 7, 6]) {
      await lab.restore(states[round]!)
      t.ok(readFileSync(join(lab.dirs.rw, 'file')).equals(versions[round]!), `round ${round}`)
    }
  },
)

t.test('a terabyte of holes is stored and made as the few bytes that it holds', async (t) => {
  const lab = await labOf(t)
  const fd = openSync(join(lab.dirs.rw, 'file'), 'w')
  ftruncateSync(fd, 2 ** 40)
  writeSync(fd, 'middle', 2 ** 39)
  closeSync(fd)
  const begun = Date.now()
  const snapshot = await lab.snapshot()
  const rw = join(lab.dir, 'rw/2')
  mkdirSync(rw)
  const { catalogue, dirs } = lab
  await buildState({ catalogue, snapshot, ro: dirs.ro, rw, numbers: null })
  t.ok(Date.now() - begun < 5000)
  t.ok(snapshot.stored < 4096)
  const copy = openSync(join(rw, 'file'), 'r')
  const block = Buffer.alloc(6)
  readSync(copy, block, 0, 6, 2 ** 39)
  t.equal(block.toString(), 'middle')
  t.equal(fstatSync(copy).size, 2 ** 40)
  t.ok(fstatSync(copy).blocks < 100)
  closeSync(copy)
})

t.test('a read-only sublayer that was changed is named, not misread', async (t) => {
  const lab = await labOf(t)
  const bytes = randomBytes(randomOf(21), MIB)
  writeFileSync(join(lab.dirs.ro[0]!, 'file'), bytes)
  bytes[500]! ^= 1
  const cost = await costOf(lab, bytes)
  t.ok(cost < 8192)
  const [state] = await lab.catalogue.snapshots('l1')
  writeFileSync(join(lab.dirs.rw, 'file'), 'other')
  writeFileSync(join(lab.dirs.ro[0]!, 'file'), randomBytes(randomOf(22), MIB))
  await t.rejects(lab.restore(state!), { code: 'SVS_RO_CHANGED', message: /file/ })
  t.equal(readFileSync(join(lab.dirs.rw, 'file'), 'utf8'), 'other')
})

t.test('equal files are stored once', async (t) => {
  const lab = await labOf(t)
  const bytes = randomBytes(randomOf(13), MIB)
  const cost = await costOf(lab, bytes)
  writeFileSync(join(lab.dirs.rw, 'copy'), bytes)
  const { stored } = await lab.snapshot()
  t.ok(cost > MIB)
  t.ok(stored < 4096, `${stored} bytes`)
})

t.test('a window covers the place of a part, counted from both ends', async (t) => {
  const room = 96 * MIB
  t.same(windowFor(0, 10, 10, 1000, room), { offset: 0, length: 1000 })
  const window = windowFor(64 * MIB, 32 * MIB, 200 * MIB, 210 * MIB, room)
  t.ok(window.offset <= 64 * MIB && window.offset + window.length >= 106 * MIB)
  t.ok(window.length <= room)
  const far = windowFor(900 * MIB, 32 * MIB, 1000 * MIB, 100 * MIB, room)
  t.ok(far.offset >= 0 && far.offset + far.length <= 100 * MIB)
  const shrunk = windowFor(0, 32 * MIB, 100 * MIB, 900 * MIB, room)
  t.ok(shrunk.offset === 0 && shrunk.length <= room)
})

t.test('holes stay holes', async (t) => {
  const lab = await labOf(t)
  const fd = openSync(join(lab.dirs.rw, 'file'), 'w')
  for (const at of [0, 65536, 5 * MIB, 9 * MIB]) writeSync(fd, 'data', at)
  ftruncateSync(fd, 12 * MIB)
  closeSync(fd)
  const was = describeTree(lab.dirs.rw)
  const first = await lab.snapshot()
  writeFileSync(join(lab.dirs.rw, 'file'), 'short')
  await lab.snapshot()
  await lab.restore(first)
  t.same(describeTree(lab.dirs.rw), was)
})
