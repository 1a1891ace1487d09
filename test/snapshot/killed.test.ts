// Processes killed at seeded random instants while they take states, forget some, and remove garbage,
// all at once: whatever the instant, each state is there wholly or not at all, and nothing that was
// acknowledged is lost.
//
//   ROUNDS=400 SEED=7 node dist/test/snapshot/killed.test.js     the long version

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { type Catalogue, openCatalogue } from '../../lib/snapshot/catalogue.ts'
import { collectGarbage } from '../../lib/snapshot/gc.ts'
import { buildState } from '../../lib/snapshot/restore.ts'
import { verify } from '../../lib/snapshot/verify.ts'
import { placeOf, randomOf } from './fixture.ts'

const ROUNDS = Number(process.env.ROUNDS ?? 26)
const SEED = Number(process.env.SEED ?? 1)
/** After so many kills everything is looked at byte by byte; after each, all records and references. */
const WHOLE = 10

const worker = join(fileURLToPath(new URL('.', import.meta.url)), 'upkeep-worker.js')

interface Known {
  /** Acknowledged, and not yet on the way out. */
  readonly there: Set<string>
  kills: number
}

interface Told {
  readonly begun?: boolean
  readonly taken?: string
  readonly deleting?: string[]
}

/** One process, killed a random while after it began to work. */
async function killOne(dir: string, seed: number, afterMs: number, known: Known): Promise<void> {
  const child = fork(worker, [dir, String(seed)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const begun = new Promise<void>((resolve) => {
    child.on('message', ({ begun, taken, deleting }: Told) => {
      if (taken !== undefined) known.there.add(taken)
      for (const id of deleting ?? []) known.there.delete(id)
      if (begun === true) resolve()
    })
  })
  await Promise.race([begun, once(child, 'exit')])
  await new Promise((resolve) => setTimeout(resolve, afterMs))
  child.kill('SIGKILL')
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  known.kills += child.signalCode === 'SIGKILL' ? 1 : 0
}

const optionsOf = (catalogue: Catalogue, dir: string) => ({
  catalogue,
  layer: null,
  ro: () => [],
  temporary: dir,
})

t.test(
  `after each of ${ROUNDS} kills every state is whole, and none that was taken is lost`,
  async (t) => {
    const random = randomOf(SEED)
    const dir = placeOf(t)
    const known: Known = { there: new Set(), kills: 0 }
    for (let round = 0; round < ROUNDS; round++) {
      const afterMs = random(60)
      await killOne(dir, random(1e6) + 1, afterMs, known)
      const catalogue = await openCatalogue(join(dir, 'catalogue'))
      const which = `seed ${SEED}, kill ${round}, after ${afterMs} ms`
      try {
        const ids = new Set((await catalogue.snapshots('l1')).map(({ id }) => id))
        const lost = [...known.there].filter((id) => !ids.has(id))
        if (lost.length > 0) t.same(lost, [], which)
        const { faults } = await verify(optionsOf(catalogue, dir))
        if (faults.length > 0) t.same(faults, [], which)
        if (round % WHOLE === 0) await buildAll(catalogue, dir)
        // Now and then the garbage of the killed one goes, and still everything is whole.
        if (round % WHOLE === 5) {
          await collectGarbage(catalogue)
          t.same((await verify(optionsOf(catalogue, dir))).faults, [], which)
        }
      } finally {
        await catalogue.close()
      }
    }
    t.equal(known.kills, ROUNDS, 'each was killed at work')
    t.ok(known.there.size > 0)
  },
)

async function buildAll(catalogue: Catalogue, dir: string): Promise<void> {
  for (const snapshot of await catalogue.snapshots('l1')) {
    const rw = join(dir, 'built')
    mkdirSync(rw)
    await buildState({ catalogue, snapshot, ro: [], rw, numbers: null })
    rmSync(rw, { recursive: true })
  }
}
