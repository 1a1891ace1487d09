// What a mounted daemon may cost: memory after a walk over many files, and nothing while idle.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import t from 'tap'
import { footprint, makeEmptyFiles } from '../../bench/memory.ts'
import { daemonsOf, mount, type Place, SVSFS_DIRECT, unmount } from '../../bench/subjects.ts'

const FILES = 200_000
const MEMORY_LIMIT = 250 // MiB

const home = mkdtempSync('/dev/shm/svsfs-bounds-')
const place: Place = {
  lower: `${home}/lower`,
  upper: `${home}/upper`,
  work: `${home}/work`,
  mount: `${home}/mount`,
}

t.before(() => {
  for (const dir of [place.upper, place.work, place.mount]) mkdirSync(dir)
  makeEmptyFiles(place.lower, FILES)
})

t.teardown(async () => {
  await unmount(place)
  rmSync(home, { recursive: true, force: true })
})

t.test(
  `a find over ${FILES} files leaves the daemon under ${MEMORY_LIMIT} MiB, idle`,
  async (t) => {
    mount(SVSFS_DIRECT, place)
    const { files, memory, idleTicks } = await footprint(place.mount, 5)
    t.comment(`${memory.toFixed(0)} MiB, ${idleTicks} ticks in 5 s`)
    t.equal(files, FILES)
    t.ok(memory < MEMORY_LIMIT, `${memory.toFixed(0)} MiB`)
    t.equal(idleTicks, 0, 'clock ticks used in 5 idle seconds')
  },
)

t.test('a daemon ends with its mount', async (t) => {
  await unmount(place)
  t.same(daemonsOf(place.mount), [])
})
