// A layer brought to a registry or a directory as a container image.
//
// Rule: nothing of the layer changes; a state is held while it is read.

import type { z } from 'zod'
import { Failure } from '../base/failure.ts'
import { jsonBytes, MEDIA } from '../repository/format.ts'
import { architectureHere } from '../repository/image.ts'
import {
  type ImageState,
  type ImageTree,
  type MadeLayer,
  makeLayer,
} from '../repository/image-out.ts'
import { placeOf, placeText } from '../repository/place.ts'
import { blobOf, digestOf, type Repository } from '../repository/repository.ts'
import type { LayerRecord, SnapshotRecord } from '../snapshot/records.ts'
import { findState } from '../snapshot/state-name.ts'
import { signalOf } from './archive-methods.ts'
import type { Control } from './control.ts'
import { type Call, method } from './method.ts'
import { atShape, opened } from './repository-at.ts'
import { belowOf, versionOf } from './restoring.ts'
import { nameShape, stateShape } from './shapes.ts'
import { layerPlaces } from './store-path.ts'

const shape = atShape.extend({
  layer: nameShape,
  /** The latest by default, where there is one; `ro` for the layer as it was installed. */
  state: stateShape.nullable().default(null),
})

export interface ImageAnswer {
  readonly place: string
  readonly digest: string
  readonly layer: string
  /** Null for the layer as it was installed. */
  readonly state: string | null
  /** Bytes of all blobs, and of those that were not there yet. */
  readonly size: number
  readonly sent: number
  /** What a container image cannot hold, in sentences. */
  readonly warnings: readonly string[]
}

export const imageMethods = {
  'export.image': method(shape, exportImage),
} as const

async function exportImage(
  control: Control,
  { layer: name, state: wanted, ...at }: z.infer<typeof shape>,
  call: Call,
): Promise<ImageAnswer> {
  const layer = await control.layer(name)
  const place = placeOf(at.place)
  if (place.pick?.digest != null)
    throw new Failure('SVS_REPOSITORY_NAME', at.place, 'what is pushed gets a tag, not a digest')
  const tag = place.pick?.tag ?? (place.kind === 'directory' ? name : 'latest')
  const state = await stateOf(control, layer, wanted)
  const repository = await opened(control, place, at, signalOf(control, call), true)
  const warnings: string[] = []
  const made: MadeLayer[] = []
  const held = state === null ? null : await control.catalogue.hold(state)
  try {
    if (state !== null && held === null) throw new Failure('SVS_STATE_NOT_FOUND', state.id, name)
    const tree = treeOf(control, layer, state, call)
    made.push(await makeLayer(tree, null, (text) => warnings.push(text)))
    if (held !== null) {
      const source: ImageState = { depot: control.catalogue, pieces: held.pieces }
      made.push(await makeLayer(tree, source, (text) => warnings.push(text)))
    }
    const sent = await bring(repository, tag, layer, state, made)
    const where = placeText({ ...place, pick: { tag, digest: null } })
    control.events.tell('exported', `layer ${name}: it is an image at ${where}`, { layer: name })
    return { ...sent, place: where, layer: name, state: state?.id ?? null, warnings }
  } finally {
    held?.release()
    for (const each of made) await each.close()
    await repository.close()
  }
}

async function stateOf(
  { catalogue }: Control,
  layer: LayerRecord,
  wanted: string | null,
): Promise<SnapshotRecord | null> {
  if (wanted === 'ro') return null
  return wanted === null ? catalogue.snapshotBack(layer.id, 0) : findState(catalogue, layer, wanted)
}

function treeOf(
  control: Control,
  layer: LayerRecord,
  state: SnapshotRecord | null,
  call: Call,
): ImageTree {
  const { version, digest } = state === null ? layer.ro : versionOf(layer, state)
  const { path: ro, index } = belowOf(control, layer, version)
  return {
    ro,
    index,
    scope: digest,
    temporary: layerPlaces(control.store.places, layer.id).work,
    signal: signalOf(control, call),
    onProgress: call.progress,
  }
}

async function bring(
  repository: Repository,
  tag: string,
  layer: LayerRecord,
  state: SnapshotRecord | null,
  made: readonly MadeLayer[],
): Promise<Pick<ImageAnswer, 'digest' | 'size' | 'sent'>> {
  const config = blobOf(jsonBytes(configOf(layer, state, made)))
  let sent = 0
  for (const blob of [...made, config])
    if ((await repository.put(blob)) === 'sent') sent += blob.size
  const bytes = jsonBytes({
    schemaVersion: 2,
    mediaType: MEDIA.manifest,
    config: { mediaType: MEDIA.image, digest: config.digest, size: config.size },
    layers: made.map(({ digest, size }) => ({ mediaType: MEDIA.imageLayer, digest, size })),
  })
  await repository.putManifest({ bytes, mediaType: MEDIA.manifest, artifactType: null, tag })
  const size = [...made, config].reduce((sum, one) => sum + one.size, bytes.length)
  return { digest: digestOf(bytes), size, sent }
}

function configOf(
  layer: LayerRecord,
  state: SnapshotRecord | null,
  made: readonly MadeLayer[],
): unknown {
  const created = new Date(state?.time ?? layer.created).toISOString()
  const steps = [`layer ${layer.name}`, `state ${state?.id} ${state?.message ?? ''}`.trim()]
  return {
    created,
    architecture: architectureHere(),
    os: 'linux',
    config: { Labels: { 'svsfs.layer': layer.name, ...(state && { 'svsfs.state': state.id }) } },
    rootfs: { type: 'layers', diff_ids: made.map(({ diffId }) => diffId) },
    history: made.map((_, at) => ({ created, created_by: `svsfs: ${steps[at]}` })),
  }
}
