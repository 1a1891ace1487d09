// Takes one snapshot after the other of a changing tree until it is killed, and tells when the
// first is done; a process of its own for the test that kills it.
//
//   node take-snapshots.js DIR

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openCatalogue } from '../../lib/snapshot/catalogue.ts'
import { takeSnapshot } from '../../lib/snapshot/snapshot.ts'
import { layerRecord, randomBytes, randomOf } from './fixture.ts'

const dir = process.argv[2]!
const rw = join(dir, 'rw')
mkdirSync(rw, { recursive: true })
const random = randomOf(process.pid)
const catalogue = await openCatalogue(join(dir, 'catalogue'))
for (let round = 0; ; round++) {
  for (let file = 0; file < 20; file++)
    writeFileSync(join(rw, `f${random(40)}`), randomBytes(random, random(200_000)))
  await takeSnapshot({
    catalogue,
    layer: { ...layerRecord(), ro: { version: 1, digest: '', entries: 0, bytes: 0 } },
    dirs: { rw, numbers: null, ro: [], area: null },
  })
  if (round === 0) process.send!('begun')
}
