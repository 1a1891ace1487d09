// The first write to a large file on real mounts: it is there at once, the rest follows, and nobody
// sees more of it than the time that it did not take.
//
// SVSFS_BLOCKS is the size of the file in MiB, SEED the random steps, SVSFS_CRASHES how often the
// process that serves it is killed.

import { execFileSync, spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { AT_FDCWD, O } from '../../lib/host/sys.ts'
import { listXattr } from '../../lib/host/xattr.ts'
import { isMarkName } from '../../lib/layer/marks.ts'
import { randomOf } from '../behaviour/random.ts'
import { RealPlace } from '../behaviour/real-place.ts'
import { Served } from '../behaviour/served.ts'
import { storeOf } from '../daemon/store-of.ts'
import { Beside, bytesOf, drawLarge, writeAt } from '../union/large-file.ts'
import { fill, mountSmallDisk, unmountSmallDisk } from './small-disk.ts'

const MIB = 1024 * 1024
const SIZE = Number(process.env.SVSFS_BLOCKS ?? 32) * MIB + 777
const SEED = Number(process.env.SEED ?? 11)
const CRASHES = Number(process.env.SVSFS_CRASHES ?? 3)
const BLOCK = 4096

/** A drop-in mount over a directory with the file `large`. */
class Ground {
  readonly root: string
  readonly bytes: Buffer
  served!: Served

  constructor(root = mkdtempSync(join(tmpdir(), 'svsfs-blocks-')), size = SIZE) {
    this.root = root
    for (const name of ['lower', 'up', 'work', 'mnt']) mkdirSync(join(root, name))
    this.bytes = drawLarge(this.lower, size)
  }

  get options(): string {
    const { root } = this
    return `lowerdir=${root}/lower,upperdir=${root}/up,workdir=${root}/work`
  }

  get lower(): string {
    return join(this.root, 'lower/large')
  }

  /** The file as the mount shows it, and as the sublayer holds it. */
  get shown(): string {
    return join(this.root, 'mnt/large')
  }

  get held(): string {
    return join(this.root, 'up/large')
  }

  get isSettled(): boolean {
    return !listXattr(AT_FDCWD, this.held).some(isMarkName)
  }

  async mount(rate = 32): Promise<void> {
    const options = `${this.options},settle_rate=${rate}`
    const words = ['overlay', 'blocks', join(this.root, 'mnt'), '-f', '-o', options]
    this.served = await Served.start(words, join(this.root, 'mnt'))
  }

  async untilSettled(): Promise<void> {
    for (let waited = 0; !this.isSettled; waited += 20) {
      if (waited > 60_000) throw new Error(`it never settles: ${this.served.said}`)
      await sleep(20)
    }
  }

  async close(): Promise<void> {
    await this.served?.end()
    rmSync(this.root, { recursive: true, force: true })
  }
}

async function groundOf(t: Test, rate = 32): Promise<Ground> {
  const ground = new Ground()
  t.teardown(() => ground.close())
  await ground.mount(rate)
  return ground
}

// Closing flushes, which a mount that is gone refuses.
function closeDead(place: RealPlace): void {
  try {
    place.close()
  } catch (err) {
    if (!/ENOTCONN|errno 103/.test(String(err))) throw err
  }
}

const allocated = (path: string): number => statSync(path).blocks * 512

t.test('a block is written at once, and the rest of the file follows', async (t) => {
  t.setTimeout(240_000)
  const ground = await groundOf(t)
  const { mtimeNs } = statSync(ground.shown, { bigint: true })
  execFileSync('chmod', ['640', ground.shown])
  t.equal(statSync(ground.shown, { bigint: true }).mtimeNs, mtimeNs)
  const began = performance.now()
  writeAt(ground.shown, bytesOf(1, BLOCK), 10 * MIB + 5)
  t.comment(`the first write took ${(performance.now() - began).toFixed(1)} ms`)
  t.ok(allocated(ground.held) < MIB, 'nothing else came')
  bytesOf(1, BLOCK).copy(ground.bytes, 10 * MIB + 5)
  t.ok(readFileSync(ground.shown).equals(ground.bytes), 'it shows the whole file')
  const written = statSync(ground.shown, { bigint: true })
  await ground.untilSettled()
  const settled = statSync(ground.shown, { bigint: true })
  t.match(settled, { mtimeNs: written.mtimeNs, ctimeNs: written.ctimeNs, ino: written.ino })
  t.ok(readFileSync(ground.held).equals(ground.bytes), 'the sublayer has the whole file')
  t.ok(allocated(ground.held) < SIZE - MIB / 2, 'holes stay holes')
  t.notOk(existsSync(join(ground.root, 'work/svsfs.blocks')))
})

t.test('a file that is cut to little, or to nothing, copies nothing else', async (t) => {
  const ground = await groundOf(t)
  truncateSync(ground.shown, 5000)
  t.ok(ground.isSettled)
  t.ok(readFileSync(ground.held).equals(ground.bytes.subarray(0, 5000)))
  rmSync(ground.shown)
  t.notOk(existsSync(ground.shown))
})

t.test('at random, beside a plain copy, mounted again and again', async (t) => {
  t.setTimeout(240_000)
  const ground = await groundOf(t)
  const beside = new Beside(ground.bytes, randomOf(SEED), [() => beside.map(ground.shown)])
  for (let mounts = 0; mounts < 4; mounts++) {
    if (mounts > 0) {
      await ground.served.end()
      await ground.mount()
    }
    const place = new RealPlace(join(ground.root, 'mnt'))
    const file = place.open('large', O.RDWR)
    const said: string[] = []
    try {
      for (let step = 0; step < 60; step++) {
        said.push(beside.step(file))
        if (step % 10 === 0) await sleep(step * 3)
      }
      t.ok(readFileSync(ground.shown).equals(beside.expected))
    } catch (err) {
      t.fail(`${err}\n${said.slice(-20).join('\n')}`)
    } finally {
      place.close()
    }
  }
  await ground.untilSettled()
  t.ok(readFileSync(ground.held).equals(beside.expected), 'the sublayer has the same')
  t.ok(readFileSync(ground.lower).equals(ground.bytes), 'the lower file is as it was')
})

t.test('killed at any moment, it is what it was, or what it should be', async (t) => {
  t.setTimeout(240_000)
  const ground = await groundOf(t)
  const next = randomOf(SEED + 1)
  const beside = new Beside(ground.bytes, next)
  for (let crash = 0; crash < CRASHES; crash++) {
    const place = new RealPlace(join(ground.root, 'mnt'))
    const file = place.open('large', O.RDWR | O.SYNC)
    const seconds = (0.02 + next(1200) / 1000).toFixed(3)
    spawn('sh', ['-c', `sleep ${seconds}; kill -9 ${ground.served.pid}`], { stdio: 'ignore' })
    let steps = 0
    try {
      for (; ; steps++) {
        beside.step(file)
        if (crash % 2 === 1) await sleep(15)
      }
    } catch (err) {
      if (!/errno 103|ENOTCONN|ECONNABORTED|EIO|ENODEV/.test(String(err)))
        t.fail(`step ${steps}: ${err}`)
    }
    closeDead(place)
    await ground.served.crash()
    await ground.served.end()
    await ground.mount()
    const found = readFileSync(ground.shown)
    const at = beside.differs(found)
    t.equal(at, -1, `crash ${crash} after ${steps} steps: differs at ${at}`)
    beside.expected = found
  }
  await ground.untilSettled()
  t.ok(readFileSync(ground.held).equals(beside.expected), 'settled, it is the same')
  t.ok(readFileSync(ground.lower).equals(ground.bytes), 'the lower file is as it was')
})

t.test('settle does at once what is left, of an unmounted drop-in mount', async (t) => {
  const ground = await groundOf(t, 0)
  writeAt(ground.shown, Buffer.from('changed'), 30 * MIB)
  ground.bytes.write('changed', 30 * MIB)
  await ground.served.end()
  t.notOk(ground.isSettled)
  const { SVSFS } = await import('../behaviour/served.ts')
  const settle = () =>
    JSON.parse(
      execFileSync(process.execPath, [SVSFS, 'settle', '-o', ground.options, '--json'], {
        encoding: 'utf8',
      }),
    )
  t.same(settle(), { ok: true, data: [{ layer: null, files: 1, bytes: SIZE }] })
  t.ok(ground.isSettled)
  t.ok(readFileSync(ground.held).equals(ground.bytes))
  t.match(settle(), { data: [{ files: 0 }] })
})

t.test(
  'settle does it for a layer that is mounted; a state taken before holds the file',
  async (t) => {
    t.setTimeout(240_000)
    const place = await storeOf(t)
    const from = join(place.dir, 'source')
    mkdirSync(from)
    const bytes = drawLarge(join(from, 'large'), SIZE)
    await place.ask('layer', 'create', 'app', '--from', from)
    await place.ask('activate', 'app')
    await place.mount('--settle-rate', '0')
    const file = join(place.at, 'large')
    writeAt(file, Buffer.from('first'), 20 * MIB)
    bytes.write('first', 20 * MIB)
    await place.ask('snapshot', 'app', '--label', 'unsettled')
    const { places } = (await place.ask('layer', 'show', 'app')) as { places: { rw: string } }
    const held = join(places.rw, 'large')
    t.same(await place.ask('settle', 'app'), [{ layer: 'app', files: 1, bytes: SIZE }])
    t.ok(readFileSync(held).equals(bytes), 'the sublayer has the whole file')
    writeAt(file, Buffer.from('later'), 21 * MIB)
    await place.ask('restore', 'app', 'unsettled')
    t.ok(readFileSync(file).equals(bytes), 'the state is that of the unsettled file')
    rmSync(file)
    await place.ask('restore', 'app', 'unsettled')
    t.ok(readFileSync(file).equals(bytes), 'and is whole without it')
  },
)

t.test('a full disk refuses blocks, and loses none', async (t) => {
  if (process.geteuid?.() !== 0) return void t.pass('needs a disk of its own')
  t.setTimeout(240_000)
  const root = mkdtempSync(join(tmpdir(), 'svsfs-blocks-'))
  const disk = join(root, 'disk')
  mountSmallDisk('ext4', disk, 'blocks')
  t.teardown(() => {
    unmountSmallDisk(disk)
    rmSync(root, { recursive: true, force: true })
  })
  const ground = new Ground(join(disk), 8 * MIB)
  t.teardown(() => ground.served.end())
  await ground.mount()
  writeAt(ground.shown, Buffer.from('before'), 5 * MIB)
  ground.bytes.write('before', 5 * MIB)
  const filling = fill(disk, 'blocks')
  const place = new RealPlace(join(disk, 'mnt'))
  const file = place.open('large', O.RDWR | O.SYNC)
  let refused = 0
  for (let at = 100; at < 8 * MIB; at += 300_000) {
    try {
      const bytes = bytesOf(at, 9000)
      const count = file.pwrite(bytes, at)
      bytes.copy(ground.bytes, at, 0, count)
    } catch (err) {
      if (!String(err).includes('ENOSPC')) throw err
      refused += 1
    }
  }
  place.close()
  t.ok(refused > 0, 'it was full')
  t.ok(readFileSync(ground.shown).equals(ground.bytes), 'what was refused is as it was')
  filling.remove()
  await ground.served.end()
  await ground.mount()
  await ground.untilSettled()
  t.ok(readFileSync(ground.held).equals(ground.bytes), 'with room it settles')
})
