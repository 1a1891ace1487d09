// A large file of the layer's own read-only part, written, cut, grown, read, settled and mounted
// again at random, beside a plain copy of it.
//
// SEED names the first run, SEEDS how many there are, MIB how large the file is.

import { mkdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { silent } from '../../lib/base/log.ts'
import type { Job } from '../../lib/fuse/filesystem.ts'
import { O } from '../../lib/host/sys.ts'
import { resume, Settler } from '../../lib/union/settler.ts'
import type { StackSpec } from '../../lib/union/spec.ts'
import { using, whole } from '../behaviour/act.ts'
import { makeGround, removeGround } from '../behaviour/ground.ts'
import { InProcessPlace } from '../behaviour/in-process-place.ts'
import { done } from '../behaviour/little-kernel.ts'
import type { OpenFile } from '../behaviour/place.ts'
import { randomOf } from '../behaviour/random.ts'
import { serve } from '../behaviour/subject-union.ts'
import { Beside, drawLarge } from './large-file.ts'

const MIB = 1024 * 1024
const SIZE = Number(process.env.MIB ?? 6) * MIB + 1234
const STEPS = 400

/** One drop-in layer over a file `large`, whose io thread works when it is told to. */
class Ground {
  readonly root = makeGround()
  readonly lower: Buffer
  readonly jobs: { job: Job; told: (job: Job) => void }[] = []
  served!: ReturnType<typeof serve>
  place!: InProcessPlace
  readonly #spec: StackSpec

  constructor() {
    for (const name of ['lower', 'up', 'temp']) mkdirSync(`${this.root}/${name}`)
    this.lower = drawLarge(`${this.root}/lower/large`, SIZE)
    const layer = {
      id: '',
      name: 'one',
      tag: 0,
      rw: `${this.root}/up`,
      numbers: `${this.root}/temp/svsfs.numbers`,
      work: `${this.root}/temp`,
      ro: [{ path: `${this.root}/lower`, index: null, version: 1 }],
      scratch: null,
      excludes: [],
    }
    this.#spec = { layers: [layer], base: null }
  }

  mount(): void {
    const submit = (job: Job, told: (job: Job) => void) => void this.jobs.push({ job, told })
    const settler = new Settler({ submit, log: silent })
    this.served = serve(this.#spec, false, { settler })
    this.place = new InProcessPlace(this.served.kernel, '')
    resume(this.served.view)
  }

  umount(): void {
    this.place.close()
    // What is under way ends with the mount.
    for (const { job } of this.jobs.splice(0)) done(job)
    this.served.end()
  }

  /** The io thread does the next thing it was given. Answers whether there was one. */
  work(): boolean {
    const next = this.jobs.shift()
    if (next === undefined) return false
    next.told(done(next.job))
    return true
  }

  settle(): void {
    for (let turns = 0; this.work(); turns++) if (turns > 10_000) throw new Error('never settled')
  }

  close(): void {
    removeGround(this.root)
  }
}

const first = Number(process.env.SEED ?? 1)
const runs = Number(process.env.SEEDS ?? 4)

for (let seed = first; seed < first + runs; seed++) {
  t.test(`a large file beside a plain copy of it, run ${seed}`, (t) => {
    const ground = new Ground()
    t.teardown(() => ground.close())
    const next = randomOf(seed * 7919)
    // The io thread works on, which nobody sees.
    const work = (file: OpenFile) => {
      const { size, mtime, ctime } = file.stat()
      for (let i = next(4); i >= 0; i--) ground.work()
      t.match(file.stat(), { size, mtime, ctime })
      return 'work'
    }
    const beside = new Beside(ground.lower, next, [work])
    const said: string[] = []
    try {
      for (let mounts = 0; mounts < 4; mounts++) {
        ground.mount()
        const file = ground.place.open('large', O.RDWR)
        for (let step = 0; step < STEPS / 4; step++) said.push(beside.step(file))
        file.close()
        if (
          !Buffer.from(using(ground.place.open('large'), whole), 'latin1').equals(beside.expected)
        )
          throw new Error('the file is another')
        ground.umount()
        said.push('mount')
      }
      ground.mount()
      ground.settle()
      const settled = Buffer.from(using(ground.place.open('large'), whole), 'latin1')
      if (!settled.equals(beside.expected)) throw new Error('the settled file is another')
      ground.settle()
      ground.umount()
      const plain = readFileSync(`${ground.root}/up/large`)
      if (!plain.equals(beside.expected)) throw new Error('the sublayer has another')
    } catch (err) {
      t.fail(`${err}\n${said.slice(-25).join('\n')}`)
    }
    t.ok(
      readFileSync(`${ground.root}/lower/large`).equals(ground.lower),
      'the lower file is the same',
    )
    t.end()
  })
}
