// Takes states, names and deletes them, forgets and removes garbage, at once and in any order, until
// it is killed; a process of its own for the test that kills it.
//
//   node upkeep-worker.js DIR SEED
//
// Tells { begun: true } once, then { taken: id } or { deleting: ids } as they are done or begun.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openCatalogue } from '../../lib/snapshot/catalogue.ts'
import { collectGarbage } from '../../lib/snapshot/gc.ts'
import { retain } from '../../lib/snapshot/retention.ts'
import { takeSnapshot } from '../../lib/snapshot/snapshot.ts'
import { layerRecord, randomBytes, randomOf } from './fixture.ts'

const [dir = '', seed = '1'] = process.argv.slice(2)
const random = randomOf(Number(seed))
const tell = (message: object) => process.send?.(message)
const rw = join(dir, 'rw')
mkdirSync(rw, { recursive: true })
const layer = { ...layerRecord(), ro: { version: 1, digest: '', entries: 0, bytes: 0 } }
const dirs = { rw, numbers: null, ro: [], area: null }
const catalogue = await openCatalogue(join(dir, 'catalogue'))
// The same few contents come and go over all processes, so that garbage is wanted again.
const fixed = randomOf(77)
const pool = Array.from({ length: 8 }, (_, index) => randomBytes(fixed, 4_000 + index * 9_000))

async function take(): Promise<void> {
  for (let file = 0; file < 3; file++)
    writeFileSync(join(rw, `f${random(9)}`), pool[random(pool.length)]!)
  const { snapshot } = await takeSnapshot({ catalogue, layer, dirs, allowEmpty: true })
  tell({ taken: snapshot.id })
}

async function forget(): Promise<void> {
  const states = await catalogue.snapshots(layer.id)
  const gone = retain(states, { last: 2 + random(4) }).forget
  tell({ deleting: gone.map(({ id }) => id) })
  await catalogue.deleteSnapshots(gone)
}

const sweep = async (): Promise<void> => void (await collectGarbage(catalogue))

async function forever(act: () => Promise<void>, pause: number): Promise<never> {
  for (;;) {
    await act()
    await new Promise((resolve) => setTimeout(resolve, random(pause)))
  }
}

await take()
tell({ begun: true })
await Promise.all([forever(take, 4), forever(forget, 20), forever(sweep, 3)])
