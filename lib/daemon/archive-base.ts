// The read-only parts that archives bring, as versions of a layer that is there, or of a new one.
//
//   archive ─▶ work/import-<version> ─▶ ro/<version>.index, ro/<version> ─▶ record and states, in one batch
//
// Rule: the record names a version only once everything in all archives was checked, and together with
// their states; before that a failure or a crash leaves nothing of it.

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
  /** Owners keep the numbers that they have in the archive, whoever has them here. */
  readonly numericOwner: boolean
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

/** An archive, and the read-only part that its states lie over. */
export interface BroughtPart {
  readonly archive: Archive
  readonly ro: ReadOnlyVersion
}

/** What takes the states. `withRecord`: the layer's record is written along with them, not yet there as it is. */
export type Take<T> = (
  layer: LayerRecord,
  parts: readonly BroughtPart[],
  withRecord: boolean,
) => Promise<T>

/** Adds read-only parts to a layer that is there; the one that it has stays what it shows. Callers hold it. */
export async function withVersions<T>(
  control: Control,
  layer: LayerRecord,
  archives: readonly Archive[],
  bringing: Bringing,
  take: Take<T>,
): Promise<T> {
  const known = layer.versions.length
  const versions = [...layer.versions]
  try {
    const parts: BroughtPart[] = []
    for (const archive of archives)
      parts.push({ archive, ro: await partOf(control, layer.id, versions, archive, bringing) })
    return await take({ ...layer, versions }, parts, versions.length > known)
  } catch (err) {
    const named = (await control.catalogue.layer(layer.id))?.versions ?? []
    for (const { version } of versions.slice(known))
      if (!named.some((one) => one.version === version))
        removeVersion(layerPlaces(control.store.places, layer.id), version)
    throw err
  }
}

/** The version that an archive is for; one that it brings is added to `versions`. Throws SVS_ARCHIVE_BASE. */
async function partOf(
  control: Control,
  id: string,
  versions: ReadOnlyVersion[],
  archive: Archive,
  bringing: Bringing,
): Promise<ReadOnlyVersion> {
  const { digest, tree } = archive.manifest.base
  const there = versions.find((version) => version.digest === digest)
  if (there !== undefined) return there
  if (tree === null)
    throw new Failure(
      'SVS_ARCHIVE_BASE',
      archive.path,
      digest.slice(0, 16),
      archive.manifest.layer.name,
      versions.map((version) => version.digest.slice(0, 16)).join(', '),
    )
  const next = Math.max(0, ...versions.map(({ version }) => version)) + 1
  const brought = await bringVersion(control, id, next, archive, bringing)
  versions.push(brought)
  return brought
}

/** Makes a layer of what the archives bring, the first its read-only part; inactive. Throws SVS_LAYER_EXISTS. */
export async function withLayer<T>(
  control: Control,
  name: string,
  archives: readonly Archive[],
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
        const versions: ReadOnlyVersion[] = []
        const parts: BroughtPart[] = []
        for (const archive of archives)
          parts.push({ archive, ro: await partOf(control, id, versions, archive, bringing) })
        makeWritable(places, 1, 1)
        const [first] = archives as [Archive]
        const record = await recordOf(control, id, name, first, versions)
        const taken = await take(record, parts, true)
        markFinished(places)
        control.events.tell('created', `layer ${name} came from ${first.path}`, { layer: name })
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
  versions: ReadOnlyVersion[],
): Promise<LayerRecord> {
  const { excludes, manifest: own } = manifest.layer
  const tag = await queue.run(TAGS, () => catalogue.nextTag())
  return {
    id,
    name,
    tag,
    created: Date.now(),
    ro: versions[0]!,
    versions,
    rw: 1,
    active: false,
    priority: 0,
    excludes,
    manifest: own,
  }
}
