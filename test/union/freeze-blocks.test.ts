// A large file under freezes: written, cut, grown, punched, copied over and settled at random, while
// every image goes on showing the bytes of its instant, and keeps no more than what changed.
//
// SEED names the first run, SEEDS how many there are, MIB how large the file is.

import { mkdirSync, readdirSync, statSync } from 'node:fs'
import t from 'tap'
import { silent } from '../../lib/base/log.ts'
import type { Job } from '../../lib/fuse/filesystem.ts'
import { AT_FDCWD, must, O, sys } from '../../lib/host/sys.ts'
import { ownPrefix } from '../../lib/layer/marks.ts'
import type { FileData } from '../../lib/snapshot/file-data.ts'
import { openImage } from '../../lib/snapshot/image.ts'
import { Freeze } from '../../lib/union/freeze.ts'
import { AreaRoom } from '../../lib/union/freeze-budget.ts'
import { Settler } from '../../lib/union/settler.ts'
import type { StackSpec } from '../../lib/union/spec.ts'
import { makeGround, removeGround } from '../behaviour/ground.ts'
import { InProcessPlace } from '../behaviour/in-process-place.ts'
import { done } from '../behaviour/little-kernel.ts'
import type { OpenFile } from '../behaviour/place.ts'
import { randomOf } from '../behaviour/random.ts'
import { serve } from '../behaviour/subject-union.ts'
import { Beside, bytesOf, drawLarge } from './large-file.ts'

const MIB = 1024 * 1024
const SIZE = Number(process.env.MIB ?? 4) * MIB + 1234
const STEPS = 100
const first = Number(process.env.SEED ?? 1)
const runs = Number(process.env.SEEDS ?? 2)

/** One drop-in layer over a file `large`; `own` is a file of the writable part. */
class Ground {
  readonly root = makeGround()
  readonly lower: Buffer
  readonly jobs: { job: Job; told: (job: Job) => void }[] = []
  readonly served: ReturnType<typeof serve>
  readonly place: InProcessPlace
  #areas = 0

  constructor() {
    for (const name of ['lower', 'up', 'temp', 'areas']) mkdirSync(`${this.root}/${name}`)
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
    const spec: StackSpec = { layers: [layer], base: null }
    const submit = (job: Job, told: (job: Job) => void) => void this.jobs.push({ job, told })
    this.served = serve(spec, false, { settler: new Settler({ submit, log: silent }) })
    this.place = new InProcessPlace(this.served.kernel, '')
  }

  freeze(block: number, room?: AreaRoom): { freeze: Freeze; area: string } {
    const area = `${this.root}/areas/${this.#areas++}`
    mkdirSync(area)
    const fd = must(sys.openat(AT_FDCWD, area, O.PATH | O.DIRECTORY))
    const branch = this.served.view.stack.layers[0]!.rw!
    const options = room === undefined ? { block } : { block, room }
    return { freeze: new Freeze(this.#areas, branch, fd, options), area }
  }

  /** The io thread does the next thing it was given. */
  work(): void {
    const next = this.jobs.shift()
    next?.told(done(next.job))
  }

  /** A file of an image. */
  fileOf(area: string, name: string): { file: FileData; close(): void } {
    const dirs = { rw: `${this.root}/up`, ro: [`${this.root}/lower`], numbers: null, area }
    const image = openImage(dirs, ownPrefix())
    for (const { entry, open } of image.entries()) {
      if (entry.path !== name) continue
      const file = open()
      image.check()
      return {
        file,
        close() {
          file.close()
          image.close()
        },
      }
    }
    throw new Error(`${name} is not in the image`)
  }

  close(): void {
    this.place.close()
    for (const { job } of this.jobs.splice(0)) done(job)
    this.served.end()
    removeGround(this.root)
  }
}

function contentOf({ size, holes, read }: FileData): Buffer {
  const bytes = Buffer.alloc(size)
  read(bytes, 0)
  for (let i = 0; i < holes.length; i += 2) {
    const hole = bytes.subarray(holes[i]!, holes[i]! + holes[i + 1]!)
    if (hole.some((byte) => byte !== 0)) throw new Error(`no hole at ${holes[i]}`)
  }
  return bytes
}

/** Steps that Beside does not know: in ways that pass another point of the union. */
function extras(ground: Ground, beside: () => Beside, next: (most: number) => number) {
  const stretch = () => {
    const size = beside().expected.length
    const at = next(Math.max(1, size))
    return { at, length: 1 + next(Math.max(1, next(6) === 0 ? size - at : 200_000)) }
  }
  return [
    (file: OpenFile) => {
      const { at, length } = stretch()
      file.allocate(3, at, length)
      beside().expected.fill(0, at, Math.min(at + length, beside().expected.length))
      return `punch ${at} ${length}`
    },
    (file: OpenFile) => {
      const { at, length } = stretch()
      const { expected } = beside()
      const other = ground.place.open('other', O.RDONLY)
      const limit = Math.min(length, expected.length - at)
      const bytes = other.pread(limit, 0)
      let copied = 0
      try {
        copied = other.copyTo(file, 0, at, limit)
      } catch {
        // Refused for an unsettled file: the kernel writes instead.
        copied = file.pwrite(bytes, at)
      }
      other.close()
      bytes.copy(expected, at, 0, copied)
      return `copy over ${at} ${copied}`
    },
    (file: OpenFile) => {
      const size = next(3) === 0 ? 0 : next(beside().expected.length + 1)
      file.truncate(size)
      beside().expected = Buffer.from(beside().expected.subarray(0, size))
      return `cut ${size}`
    },
    () => {
      for (let i = next(4); i >= 0; i--) ground.work()
      return 'work'
    },
  ]
}

interface Taken {
  readonly freeze: Freeze
  readonly area: string
  readonly bytes: Buffer
  /** Opened at the instant, or a step later. */
  readonly early: { file: FileData; close(): void }
}

for (let seed = first; seed < first + runs; seed++) {
  for (const name of ['large', 'own']) {
    t.test(`images of ${name} keep the bytes of their instants, run ${seed}`, (t) => {
      const ground = new Ground()
      t.teardown(() => ground.close())
      const next = randomOf(seed * 6151)
      const flags = name === 'own' ? O.RDWR | O.CREAT : O.RDWR
      const file = ground.place.open(name, flags)
      const other = ground.place.open('other', O.RDWR | O.CREAT)
      for (let at = 0; at < 3 * MIB; at += MIB) other.pwrite(bytesOf(99, MIB), at)
      other.close()
      const start = name === 'own' ? bytesOf(5, 2 * MIB) : ground.lower
      if (name === 'own')
        for (let at = 0; at < start.length; at += MIB) file.pwrite(start.subarray(at, at + MIB), at)
      else file.pwrite(start.subarray(0, 10), 0)
      const beside: Beside = new Beside(
        start,
        next,
        extras(ground, () => beside, next),
      )
      const taken: Taken[] = []
      const said: string[] = []
      const blocks = [4096, 65_536, MIB]
      try {
        for (let step = 0; step < STEPS; step++) {
          if (step % 25 === 10) {
            const { freeze, area } = ground.freeze(blocks[next(3)]!)
            const early = ground.fileOf(area, name)
            taken.push({ freeze, area, bytes: Buffer.from(beside.expected), early })
            said.push('freeze')
          }
          said.push(beside.step(file))
          if (step % 5 !== 0) continue
          for (const { area, bytes, early } of taken) {
            if (!contentOf(early.file).equals(bytes)) throw new Error('opened early, another')
            const now = ground.fileOf(area, name)
            const same = contentOf(now.file).equals(bytes)
            now.close()
            if (!same) throw new Error('the image is another')
          }
        }
      } catch (err) {
        t.fail(`${err instanceof Error ? err.stack : err}\n${said.slice(-25).join('\n')}`)
      }
      t.equal(taken.length, 4)
      for (const { freeze, early } of taken) {
        early.close()
        freeze.thaw()
      }
      file.close()
      t.end()
    })
  }
}

/** Bytes on the disk below a directory. */
const storedIn = (area: string): number =>
  readdirSync(area).reduce((sum, name) => sum + statSync(`${area}/${name}`).blocks * 512, 0)

t.test('a freeze stores the blocks that changed, once', (t) => {
  const ground = new Ground()
  t.teardown(() => ground.close())
  const file = ground.place.open('own', O.RDWR | O.CREAT)
  for (let at = 0; at < 8 * MIB; at += MIB) file.pwrite(bytesOf(at, MIB), at)
  const { freeze, area } = ground.freeze(4096)
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 100; i++) file.pwrite(bytesOf(i, 4096), i * 65_536)
  }
  file.pwrite(bytesOf(1, MIB), 8 * MIB)
  t.ok(storedIn(area) >= 100 * 4096 && storedIn(area) < 600 * 1024, `${storedIn(area)} bytes`)
  file.close()
  freeze.thaw()
  t.end()
})

t.test('what is cut off is copied by an io thread, and what changes meanwhile counts', (t) => {
  const ground = new Ground()
  t.teardown(() => ground.close())
  const file = ground.place.open('own', O.RDWR | O.CREAT)
  const bytes = bytesOf(3, 4 * MIB)
  for (let at = 0; at < bytes.length; at += MIB) file.pwrite(bytes.subarray(at, at + MIB), at)
  const { freeze, area } = ground.freeze(4096)
  const fd = must(sys.openat(AT_FDCWD, `${ground.root}/up/own`, O.RDWR))
  const job = freeze.ahead(fd, 0, Number.POSITIVE_INFINITY)
  t.equal(job?.kind, 'fill')
  t.equal(freeze.ahead(fd, 0, 4096), job, 'the copy under way is waited for')
  file.pwrite('changed meanwhile', 2 * MIB)
  done(job!)
  file.pwrite('changed afterwards', MIB)
  t.equal(freeze.ahead(fd, 0, Number.POSITIVE_INFINITY), null)
  sys.close(fd)
  file.truncate(0)
  const image = ground.fileOf(area, 'own')
  t.ok(contentOf(image.file).equals(bytes))
  image.close()
  file.close()
  freeze.thaw()
  t.end()
})

t.test('an area without room ends the image, and the file is written all the same', (t) => {
  const ground = new Ground()
  t.teardown(() => ground.close())
  const file = ground.place.open('own', O.RDWR | O.CREAT)
  for (let at = 0; at < 4 * MIB; at += MIB) file.pwrite(bytesOf(at, MIB), at)
  const room = new AreaRoom(64 * 1024)
  const full = ground.freeze(4096, room)
  for (let i = 0; i < 40; i++) file.pwrite('changed', i * 65_536)
  t.ok(room.used <= room.limit)
  t.throws(() => ground.fileOf(full.area, 'own'), { code: 'SVS_FREEZE_FAILED' })
  full.freeze.thaw()
  t.equal(room.used, 0, 'and leaves it')
  const again = ground.freeze(4096, room)
  file.pwrite('CHANGED', 0)
  const image = ground.fileOf(again.area, 'own')
  const start = Buffer.alloc(7)
  image.file.read(start, 0)
  t.equal(start.toString(), 'changed')
  image.close()
  file.close()
  again.freeze.thaw()
  t.end()
})
