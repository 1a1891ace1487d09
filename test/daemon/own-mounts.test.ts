// Sources and mount points in what the daemon itself shows.

import { realpathSync } from 'node:fs'
import t from 'tap'
import { perform } from '../../lib/daemon/api.ts'
import { deafEngine, directory, newStore, nobody, throwAway } from './place.ts'

t.test('a daemon whose main thread serves does not look into its own mounts', async (t) => {
  const control = await newStore(t)
  control.serveMounts(deafEngine().engine, 'fuse-native')
  const dir = realpathSync(throwAway(t))
  const at = directory(dir, 'at')
  const below = directory(at, 'below')
  await perform(control, 'mount', { mountPoint: at }, nobody)
  const refused = { code: 'SVS_TREE_INSIDE_MOUNT' }
  const create = (source: object) =>
    perform(control, 'layer.create', { layer: 'a', source }, nobody)
  await t.rejects(create({ kind: 'from', paths: [below] }), refused)
  await t.rejects(create({ kind: 'from', paths: [dir], base: below }), refused)
  await t.rejects(create({ kind: 'recipe', recipe: 'git', base: at }), refused)
  await t.rejects(perform(control, 'mount', { mountPoint: below }, nobody), refused)
  await create({ kind: 'from', paths: [directory(dir, 'beside')] })
})

t.test('a store is not imported into itself', async (t) => {
  const control = await newStore(t)
  const { root, layers } = control.store.places
  for (const path of [root, layers])
    await t.rejects(
      perform(
        control,
        'layer.create',
        { layer: 'a', source: { kind: 'from', paths: [path] } },
        nobody,
      ),
      { code: 'SVS_SOURCE_NOT_FOUND' },
    )
})
