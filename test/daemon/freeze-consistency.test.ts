// An image is what a power loss would leave: whatever a program was told is safe before the instant is
// in it, and each program opens what it finds. Databases, a log and git write at full speed meanwhile.
//
// IMAGES says how many are taken; 200 in the long run, which takes half an hour.

import { cpSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  type Committer,
  checkDatabase,
  checkGit,
  checkLog,
  startDatabase,
  startGit,
  startLog,
} from './committers.ts'
import { storeOf } from './store-of.ts'

const IMAGES = Number(process.env.IMAGES ?? 10)
t.setTimeout(240_000 + IMAGES * 30_000)

const PROGRAMS = {
  wal: {
    start: (dir: string) => startDatabase(dir, 'wal'),
    check: (dir: string, least: number) => checkDatabase(dir, 'wal', least),
  },
  delete: {
    start: (dir: string) => startDatabase(dir, 'delete'),
    check: (dir: string, least: number) => checkDatabase(dir, 'delete', least),
  },
  log: { start: startLog, check: checkLog },
  git: { start: startGit, check: checkGit },
} as const
type Name = keyof typeof PROGRAMS
const names = Object.keys(PROGRAMS) as Name[]

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 20))
}

t.test(`${IMAGES} images have every commit that was acknowledged before them`, async (t) => {
  const place = await storeOf(t)
  await place.layer('app', { 'd/base': 'b' })
  await place.mount()
  await place.ask('activate', 'app')
  const dir = join(place.at, 'd')
  const running = new Map<Name, Committer>()
  t.teardown(() => Promise.all([...running.values()].map((one) => one.stop())))
  for (const name of names) running.set(name, PROGRAMS[name].start(dir))
  await until(() => [...running.values()].every(({ acknowledged }) => acknowledged > 0))

  const images: { state: string; before: Map<Name, number> }[] = []
  while (images.length < IMAGES) {
    const before = new Map([...running].map(([name, { acknowledged }]) => [name, acknowledged]))
    const { id } = (await place.ask('snapshot', 'app', '-m', `${images.length}`)) as { id: string }
    images.push({ state: id, before })
  }
  const last = new Map([...running].map(([name, { acknowledged }]) => [name, acknowledged]))
  await Promise.all([...running.values()].map((one) => one.stop()))

  const copy = join(place.dir, 'copy')
  for (const { state, before } of images) {
    await place.ask('restore', 'app', state)
    // Programs repair what they open: not what the next image is compared with.
    mkdirSync(copy)
    cpSync(dir, copy, { recursive: true })
    for (const name of names) {
      const check = () => PROGRAMS[name].check(copy, before.get(name)!)
      t.doesNotThrow(check, `${name}: ${before.get(name)} of ${last.get(name)} commits`)
    }
    rmSync(copy, { recursive: true })
  }
  for (const name of names)
    t.ok(last.get(name)! > images[0]!.before.get(name)!, `${name} went on meanwhile`)
})
