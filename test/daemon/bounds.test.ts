// What a mounted daemon may cost: memory after a walk over many files, and nothing while idle.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { footprint, idleTimeOf, makeEmptyFiles } from '../../bench/footprint.ts'
import { daemonsOf, memoryOf, processorTimeOf } from '../../bench/processes.ts'
import { mount, type Place, SVSFS_DIRECT, unmount } from '../../bench/subjects.ts'
import { Client } from '../../lib/daemon/client.ts'
import { storePlaces } from '../../lib/daemon/store-path.ts'
import { storeOf } from './store-of.ts'

const FILES = 200_000
const MEMORY_LIMIT = 200 // MiB
const NOTHING = 1000 // µs in a second: a tenth of what a clock tick counts

const home = mkdtempSync('/dev/shm/svsfs-bounds-')
const place: Place = {
  lowers: [`${home}/lower`],
  upper: `${home}/upper`,
  work: `${home}/work`,
  mount: `${home}/mount`,
}

t.before(() => {
  for (const dir of [place.upper, place.work, place.mount]) mkdirSync(dir)
  makeEmptyFiles(`${home}/lower`, FILES)
})

t.teardown(async () => {
  await unmount(place)
  rmSync(home, { recursive: true, force: true })
})

t.test(
  `a find over ${FILES} files leaves the daemon under ${MEMORY_LIMIT} MiB, idle`,
  async (t) => {
    await mount(SVSFS_DIRECT, place)
    const { files, memory, idle } = await footprint(place.mount, 5)
    t.comment(`${memory.toFixed(0)} MiB, ${idle.toFixed(0)} µs of processor time in an idle second`)
    t.equal(files, FILES)
    t.ok(memory < MEMORY_LIMIT, `${memory.toFixed(0)} MiB`)
    t.ok(idle < NOTHING, `${idle.toFixed(0)} µs of processor time in an idle second`)
  },
)

t.test('a daemon ends with its mount', async (t) => {
  await unmount(place)
  t.same(daemonsOf(place.mount), [])
})

const MOUNTS = 30
const EACH = 1 // MiB

t.test(
  `${MOUNTS} idle mounts of one daemon take less than ${EACH} MiB each, and no time`,
  async (t) => {
    const place = await storeOf(t)
    await place.layer('app', { 'bin/app': 'program' })
    await place.ask('activate', 'app')
    await place.mount()
    const pid = await place.daemon()
    const client = (await Client.connect(storePlaces(place.store)))!
    t.teardown(() => client.close())
    const before = memoryOf(pid)
    for (let i = 0; i < MOUNTS; i++) {
      const mountPoint = join(place.dir, `mount-${i}`)
      mkdirSync(mountPoint)
      await client.call('mount', { mountPoint })
    }
    const each = (memoryOf(pid) - before) / MOUNTS
    t.ok(each < EACH, `${each.toFixed(2)} MiB each`)
    const idle = await idleTimeOf(() => processorTimeOf(pid), 2)
    t.ok(idle < NOTHING, `${idle.toFixed(0)} µs of processor time in an idle second`)
  },
)
