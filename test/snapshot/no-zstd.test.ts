// States on a machine without libzstd.so.1: brotli, and patches as deltas.

import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { below } from '../../lib/snapshot/keys.ts'
import { describeTree, labOf, randomBytes, randomOf } from './fixture.ts'

// Before any thread begins.
process.env.SVSFS_ZSTD = 'off'

t.test('states are stored with brotli, as deltas where that helps, and come back', async (t) => {
  const lab = await labOf(t)
  const random = randomOf(57)
  const before = randomBytes(random, 400_000)
  writeFileSync(join(lab.dirs.ro[0]!, 'file'), before)
  writeFileSync(join(lab.dirs.rw, 'file'), Buffer.concat([before.subarray(99), Buffer.from('new')]))
  writeFileSync(join(lab.dirs.rw, 'text'), 'a line of text\n'.repeat(9000))
  for (let at = 0; at < 30; at++)
    writeFileSync(join(lab.dirs.rw, `t${at}`), `some text ${at} `.repeat(50))
  const was = describeTree(lab.dirs.rw)
  const state = await lab.snapshot()
  t.ok(state.stored < 20_000, `${state.stored} bytes`)
  const codecs = new Set<string>()
  for await (const key of lab.catalogue.keys(below('content'))) {
    const [, scope, id] = key.split('/')
    for (const { codec } of (await lab.catalogue.content(scope!, id!))!.parts) codecs.add(codec)
  }
  t.same([...codecs].sort(), ['brotli', 'patch', 'slice'], 'the records say so')
  for (const { codec } of await lab.catalogue.pieces(state.id)) t.equal(codec, 'brotli')
  rmSync(join(lab.dirs.rw, 'file'))
  writeFileSync(join(lab.dirs.rw, 't3'), 'other')
  await lab.snapshot()
  await lab.restore(state)
  t.same(describeTree(lab.dirs.rw), was)
})
