// The read-only part that an archive brings, as a version of a layer that is there, or of a new one.
//
//   archive ─▶ work/import-<version> ─▶ ro/<version>.index, ro/<version> ─▶ record, then states
//
// Rule: the record names the version only once everything in the archive was checked; before that a
// failure leaves nothing of it.

import { randomBytes } from 'node:crypto'
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import type { Archive } from '../archive/archive.ts'
import type { Allowed } from '../archive/entry-lines.ts'
import { Failure } from '../base/failure.ts'
import type { LayerRecord, ReadOnlyVersion } from '../snapshot/records.ts'
import type { Control } from './control.ts'
import { removeVersion } from './layer-source.ts'
import { nameKey, TAGS } from './queue.ts'
import { layerPlaces } from './store-path.ts'
import { makeLayerDirectories, makeWritable } from './sublayers.ts'
import { markFinished, markUnfinished, removeLayer } from './unfinished.ts'

export interface Bringing {
  readonly allowed: Allowed
  readonly signal: AbortSignal
  readonly onProgress: (text: string) => void
}

/** Makes the read-only part as a version that no record names yet. */
async function bringVersion(
  control: Control,
  id: string,
  version: number,
  archive: Archive,
  bringing: Bringing,
): Promise<ReadOnlyVersion> {
  const { buildBase } = await import('../archive/base-in.ts')
  const places = layerPlaces(control.store.places, id)
  const tree = join(places.work, `import-${version}`)
  const index = `${tree}.index`
  const facts = await buildBase({ archive, tree, index, ...bringing })
  // One whose record was never written, because of a crash.
  removeVersion(places, version)
  renameSync(index, places.index(version))
  renameSync(tree, places.ro(version))
  return { version, ...facts }
}

/** What takes the states: `name` is called once they are known to be sound, before they are written. */
export type Take<T> = (
  layer: LayerRecord,
  ro: ReadOnlyVersion,
  name: () => Promise<void>,
) => Promise<T>

/** Adds the read-only part to a layer that is there; the one that it has stays what it shows. Callers hold it. */
export async function withVersion<T>(
  control: Control,
  layer: LayerRecord,
  archive: Archive,
  bringing: Bringing,
  take: Take<T>,
): Promise<T> {
  const version = Math.max(...layer.versions.map((known) => known.version)) + 1
  const ro = await bringVersion(control, layer.id, version, archive, bringing)
  const named = { ...layer, versions: [...layer.versions, ro] }
  let isNamed = false
  try {
    return await take(named, ro, async () => {
      await control.publish(named)
      isNamed = true
    })
  } catch (err) {
    // A version that is named and has no state goes with the next gc.
    if (!isNamed) removeVersion(layerPlaces(control.store.places, layer.id), version)
    throw err
  }
}

/** Makes a layer of what the archive brings, inactive. Throws SVS_LAYER_EXISTS. */
export async function withLayer<T>(
  control: Control,
  name: string,
  archive: Archive,
  bringing: Bringing,
  take: Take<T>,
): Promise<T> {
  const { catalogue, queue, store } = control
  const id = randomBytes(5).toString('hex')
  return queue.run(nameKey(name), () =>
    queue.run(id, async () => {
      if ((await catalogue.layers()).some((record) => record.name === name))
        throw new Failure('SVS_LAYER_EXISTS', name)
      const places = layerPlaces(store.places, id)
      markUnfinished(places)
      makeLayerDirectories(places)
      try {
        const ro = await bringVersion(control, id, 1, archive, bringing)
        makeWritable(places, 1, 1)
        const record = await recordOf(control, id, name, archive, ro)
        const taken = await take(record, ro, async () => void (await control.publish(record)))
        markFinished(places)
        control.events.tell('created', `layer ${name} came from ${archive.path}`, { layer: name })
        return taken
      } catch (err) {
        if ((await catalogue.layer(id)) !== null) await catalogue.deleteLayer(id)
        removeLayer(places)
        throw err
      }
    }),
  )
}

async function recordOf(
  { catalogue, queue }: Control,
  id: string,
  name: string,
  { manifest }: Archive,
  ro: ReadOnlyVersion,
): Promise<LayerRecord> {
  const { excludes, manifest: own } = manifest.layer
  const tag = await queue.run(TAGS, () => catalogue.nextTag())
  return {
    id,
    name,
    tag,
    created: Date.now(),
    ro,
    versions: [ro],
    rw: 1,
    active: false,
    priority: 0,
    excludes,
    manifest: own,
  }
}
