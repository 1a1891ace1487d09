// Patches: what they make, what they cost, and what becomes of hostile ones.

import { execFileSync } from 'node:child_process'
import t from 'tap'
import { BadFrame } from '../../lib/host/zstd.ts'
import { applyPatch, makePatch } from '../../lib/snapshot/patch.ts'
import { randomBytes, randomOf } from './fixture.ts'

type Random = (below: number) => number

const ROUNDS = Number(process.env.ROUNDS ?? 150)
const SEED = Number(process.env.SEED ?? 61)

/** Random edits: bytes changed, moved, doubled, put in, taken out, zeroed. */
function edited(random: Random, old: Buffer): Buffer {
  let bytes = Buffer.from(old)
  for (let turn = random(8); turn > 0 && bytes.length > 0; turn--) {
    const at = random(bytes.length)
    const length = Math.min(bytes.length - at, random(5000))
    const [head, body, tail] = [
      bytes.subarray(0, at),
      bytes.subarray(at, at + length),
      bytes.subarray(at + length),
    ]
    switch (random(6)) {
      case 0:
        bytes = Buffer.concat([head, tail])
        break
      case 1:
        bytes = Buffer.concat([head, randomBytes(random, random(300)), body, tail])
        break
      case 2:
        bytes = Buffer.concat([tail, body, head])
        break
      case 3:
        bytes = Buffer.concat([head, body, body, tail])
        break
      case 4:
        bytes = Buffer.concat([head, Buffer.alloc(random(20_000)), tail])
        break
      default:
        for (let place = at; place < bytes.length; place += 1 + random(400))
          bytes[place] = random(256)
    }
  }
  return bytes
}

t.test('a patch makes what it was made from, whatever was edited', async (t) => {
  const random = randomOf(SEED)
  for (let round = 0; round < ROUNDS; round++) {
    const zeros = random(3) === 0 ? Buffer.alloc(random(30_000)) : Buffer.alloc(0)
    const old = Buffer.concat([randomBytes(random, random(20_000)), zeros])
    const made = random(9) === 0 ? randomBytes(random, random(3000)) : edited(random, old)
    const back = applyPatch(makePatch(old, made), old, Buffer.alloc(made.length))
    if (!back.equals(made)) t.fail(`round ${round} of seed ${SEED}`)
  }
  t.pass(`${ROUNDS} rounds`)
})

t.test('nothing and something patch each other', async (t) => {
  const some = Buffer.from('some bytes, and some more of them')
  const none = Buffer.alloc(0)
  for (const [old, made] of [
    [none, none],
    [none, some],
    [some, none],
    [some, some],
  ] as const)
    t.ok(applyPatch(makePatch(old, made), old, Buffer.alloc(made.length)).equals(made))
})

t.test('code that moved is stored as its addresses moved', async (t) => {
  const random = randomOf(62)
  const old = randomBytes(random, 400_000)
  const made = Buffer.from(old)
  // A call every 40 bytes that leads 4,711 bytes farther.
  for (let at = 20; at + 4 < made.length; at += 40)
    made.writeInt32LE((made.readInt32LE(at) + 4711) | 0, at)
  const patch = makePatch(old, made)
  t.ok(patch.length < 4000, `${patch.length} bytes for 10,000 addresses`)
  t.ok(applyPatch(patch, old, Buffer.alloc(made.length)).equals(made))
})

t.test('runs of zeros cost no more time than other bytes', async (t) => {
  const zeros = Buffer.alloc(12_000_000)
  const old = Buffer.concat([randomBytes(randomOf(63), 1000), zeros])
  const made = Buffer.from(old)
  for (let at = 5000; at < made.length; at += 65_521) made[at] = 1
  const begun = process.cpuUsage()
  const patch = makePatch(old, made)
  const { user } = process.cpuUsage(begun)
  t.ok(applyPatch(patch, old, Buffer.alloc(made.length)).equals(made))
  // Quadratic would be hours.
  t.ok(user < 30_000_000, `${user} us`)
})

t.test('a damaged patch is refused, or makes the wrong bytes, but nothing else', async (t) => {
  const random = randomOf(64)
  const old = randomBytes(random, 30_000)
  const patch = makePatch(old, edited(random, old))
  let refused = 0
  for (let turn = 0; turn < 3000; turn++) {
    const bent = Buffer.from(patch.subarray(0, random(10) === 0 ? random(patch.length) : undefined))
    for (let flips = 1 + random(3); flips > 0 && bent.length > 0; flips--)
      bent[random(random(2) === 0 ? Math.min(60, bent.length) : bent.length)] = random(256)
    try {
      applyPatch(bent, old, Buffer.alloc(30_000))
    } catch (err) {
      if (!(err instanceof BadFrame)) throw err
      refused += 1
    }
  }
  t.ok(refused > 1000, `${refused} refused`)
})

t.test('a patch made without libzstd is read with it', async (t) => {
  const random = randomOf(65)
  const old = randomBytes(random, 100_000)
  const made = edited(random, old)
  const script = `
    const { makePatch } = await import(${JSON.stringify(new URL('../../lib/snapshot/patch.js', import.meta.url).href)})
    const [old, made] = process.argv.slice(1).map((text) => Buffer.from(text, 'base64'))
    process.stdout.write(makePatch(old, made))`
  const words = [old.subarray(0, 40_000), made.subarray(0, 40_000)]
  const patch = execFileSync(
    process.execPath,
    ['--input-type=module', '-e', script, ...words.map((bytes) => bytes.toString('base64'))],
    { env: { ...process.env, SVSFS_ZSTD: 'off' } },
  )
  const into = Buffer.alloc(words[1]!.length)
  t.ok(applyPatch(patch, words[0]!, into).equals(words[1]!))
})
