// Archives: states and layers as files, out of the store and into it.
//
// Rule: a file may come from anybody (lib/archive); what is imported is a state like any other, and
// restoring it keeps what was there first. What makes and reads archives is loaded when it is asked for.

import { hostname } from 'node:os'
import { dirname } from 'node:path'
import { z } from 'zod'
import type { Archive } from '../archive/archive.ts'
import type { Exported } from '../archive/export.ts'
import type { ImportedState } from '../archive/import.ts'
import { Failure } from '../base/failure.ts'
import { bytesOf } from '../base/path.ts'
import { layerName } from '../layer/layer.ts'
import type { LayerRecord, SnapshotRecord } from '../snapshot/records.ts'
import { findState } from '../snapshot/state-name.ts'
import type { Control } from './control.ts'
import { type Call, method } from './method.ts'
import { refuseOwnMount } from './own-mounts.ts'
import { remember } from './remember.ts'
import { type Restored, restoreState } from './restoring.ts'
import { nameShape, pathShape, stateShape } from './shapes.ts'
import { type StateLine, stateLine } from './state-methods.ts'
import { readOnly } from './states.ts'
import { layerPlaces } from './store-path.ts'
import { plural } from './text.ts'

const exportShape = z.strictObject({
  layer: nameShape,
  /** The latest by default. */
  state: stateShape.nullable().default(null),
  /** The state that whoever imports has already. */
  from: stateShape.nullable().default(null),
  file: pathShape,
  /** Over what is there. */
  replace: z.boolean().default(false),
  /** The key that signs, by its name; the first there is by default. */
  key: z.string().max(64).nullable().default(null),
  sign: z.boolean().default(true),
  version: z.string().max(100),
})

const importShape = z.strictObject({
  /** In any order: one that comes after another is taken after it. */
  files: z.array(pathShape).min(1).max(1000),
  /** The layer that gets it; the one that the archive names by default. */
  as: nameShape.nullable().default(null),
  restore: z.boolean().default(false),
  /** Also what nobody has signed whom this store trusts. */
  allowUnsigned: z.boolean().default(false),
  allowDevices: z.boolean().default(false),
  allowLinks: z.boolean().default(false),
})

export interface ExportAnswer extends Exported {
  readonly layer: string
  readonly states: readonly string[]
  readonly from: string | null
}

export interface ImportAnswer {
  readonly layer: string
  /** Those of the archives, oldest first; `fresh`: the layer had it not. */
  readonly states: readonly (StateLine & { readonly fresh: boolean })[]
  readonly restored: {
    readonly state: string
    /** The state that holds what was replaced. */
    readonly before: string
    readonly mounts: readonly string[]
  } | null
}

export const archiveMethods = {
  export: method(exportShape, exportStates),
  import: method(importShape, importFiles),
} as const

async function exportStates(
  control: Control,
  wish: z.infer<typeof exportShape>,
  call: Call,
): Promise<ExportAnswer> {
  await refuseOwnMount(control, dirname(wish.file))
  const { catalogue } = control
  const layer = await control.layer(wish.layer)
  const state = await stateOf(control, layer, wish.state)
  const from = wish.from === null ? null : await findState(catalogue, layer, wish.from)
  if (from !== null && from.ro.digest !== state.ro.digest)
    throw new Failure('SVS_USAGE', `${wish.from} lies over another read-only part than ${state.id}`)
  if (from?.id === state.id)
    throw new Failure('SVS_USAGE', `from ${from.id} to ${state.id} nothing changes`)
  const { exportArchive } = await import('../archive/export.ts')
  const { Keys } = await import('../archive/keys.ts')
  const done = await exportArchive({
    catalogue,
    layer,
    kind: 'patch',
    states: [state],
    from,
    ro: roOf(layer, state),
    trees: readOnly(control, layer, roOf(layer, state).version),
    base: null,
    manifest: {},
    key: wish.sign ? new Keys(control.store.places.keys).signer(wish.key) : null,
    made: { by: `svsfs ${wish.version}`, host: hostname() },
    path: wish.file,
    replace: wish.replace,
    onProgress: call.progress,
  })
  const text = `layer ${layer.name}: state ${state.id} was written to ${wish.file}`
  control.events.tell('exported', text, { layer: layer.name, state: state.id })
  return { ...done, layer: layer.name, states: [state.id], from: from?.id ?? null }
}

async function stateOf(
  { catalogue }: Control,
  layer: LayerRecord,
  name: string | null,
): Promise<SnapshotRecord> {
  if (name !== null) return findState(catalogue, layer, name)
  const last = await catalogue.snapshotBack(layer.id, 0)
  if (last === null) throw new Failure('SVS_STATE_NONE', layer.name)
  return last
}

/** The read-only part that a state was made on. Throws SVS_RO_CHANGED. */
function roOf(layer: LayerRecord, { id, ro }: SnapshotRecord): LayerRecord['ro'] {
  const found = layer.versions.find(({ version }) => version === ro.version)
  if (found === undefined || found.digest !== ro.digest)
    throw new Failure('SVS_RO_CHANGED', id, `version ${ro.version} is not there`)
  return found
}

async function importFiles(
  control: Control,
  { files, as, restore, allowUnsigned, allowDevices, allowLinks }: z.infer<typeof importShape>,
  call: Call,
): Promise<ImportAnswer> {
  const { Archive } = await import('../archive/archive.ts')
  const { Keys } = await import('../archive/keys.ts')
  const keys = new Keys(control.store.places.keys)
  const archives: Archive[] = []
  try {
    for (const file of files) {
      await refuseOwnMount(control, file)
      archives.push(await Archive.open(file))
    }
    for (const { path, signed } of archives) keys.judge(path, signed.signatures, allowUnsigned)
    const chain = inOrder(archives)
    const name = layerName(as ?? chain[0]!.manifest.layer.name)
    return await control.alone(name, async (layer) => {
      await refuseGaps(control, layer, chain)
      const allowed = { devices: allowDevices, links: allowLinks }
      const imported: ImportedState[] = []
      for (const archive of chain)
        imported.push(...(await importOne(control, layer, archive, allowed, call)))
      const target = imported.at(-1)?.snapshot ?? null
      const restored = restore && target !== null ? await goTo(control, layer, target, call) : null
      return answerOf(control, name, imported, restored)
    })
  } finally {
    for (const archive of archives) await archive.close()
  }
}

/** Each after the one that brings the state it comes after. Throws SVS_USAGE for archives of several layers. */
function inOrder(archives: readonly Archive[]): Archive[] {
  const [first] = archives
  const other = archives.find(({ manifest }) => manifest.layer.name !== first!.manifest.layer.name)
  if (other !== undefined)
    throw new Failure('SVS_USAGE', `${first!.path} and ${other.path} are for two layers`)
  const left = [...archives]
  const ordered: Archive[] = []
  while (left.length > 0) {
    const brought = new Set(left.flatMap(({ manifest }) => manifest.states.map(({ id }) => id)))
    const at = left.findIndex(({ manifest: { from } }) => from === null || !brought.has(from.id))
    // In a circle nothing can be first: then the store lacks what one of them comes after.
    ordered.push(...left.splice(Math.max(0, at), 1))
  }
  return ordered
}

/** Before anything is written: every archive comes after a state that is there, or that one before it brings. */
async function refuseGaps(
  { catalogue }: Control,
  layer: LayerRecord,
  chain: readonly Archive[],
): Promise<void> {
  const brought = new Set<string>()
  for (const { path, manifest } of chain) {
    const { from, states } = manifest
    if (
      from !== null &&
      !brought.has(from.id) &&
      (await catalogue.findSnapshot(layer.id, from.id)) === null
    )
      throw new Failure('SVS_ARCHIVE_GAP', path, from.id, layer.name, 'is not there')
    for (const { id } of states) brought.add(id)
  }
}

async function importOne(
  control: Control,
  layer: LayerRecord,
  archive: Archive,
  allowed: { devices: boolean; links: boolean },
  call: Call,
): Promise<ImportedState[]> {
  const { digest } = archive.manifest.base
  const ro = layer.versions.find((version) => version.digest === digest)
  if (ro === undefined)
    throw new Failure(
      'SVS_ARCHIVE_BASE',
      archive.path,
      digest.slice(0, 16),
      archive.manifest.layer.name,
      layer.versions.map((version) => version.digest.slice(0, 16)).join(', '),
    )
  const gone = new AbortController()
  call.whenGone(() => gone.abort())
  const { importStates } = await import('../archive/import.ts')
  const imported = await importStates({
    catalogue: control.catalogue,
    archive,
    layer,
    ro,
    trees: readOnly(control, layer, ro.version),
    temporary: bytesOf(layerPlaces(control.store.places, layer.id).work),
    allowed,
    signal: AbortSignal.any([gone.signal, control.ending.signal]),
    onProgress: call.progress,
  }).catch((err: unknown) => {
    control.upkeep.garbage()
    throw err
  })
  const fresh = imported.filter((one) => one.fresh)
  const text = `layer ${layer.name}: ${plural(fresh.length, 'state')} came from ${archive.path}`
  control.events.tell('imported', text, { layer: layer.name })
  return imported
}

async function goTo(
  control: Control,
  layer: LayerRecord,
  target: SnapshotRecord,
  call: Call,
): Promise<Restored> {
  const done = await restoreState(control, layer, target, call)
  await remember(control, 'restore', layer, { state: done.before.id })
  return done
}

async function answerOf(
  { catalogue }: Control,
  name: string,
  imported: readonly ImportedState[],
  restored: Restored | null,
): Promise<ImportAnswer> {
  const layer = (await catalogue.layers()).find((record) => record.name === name)!
  const head = await catalogue.head(layer.id)
  return {
    layer: name,
    states: imported.map(({ snapshot, fresh }) => ({ ...stateLine(layer, snapshot, head), fresh })),
    restored:
      restored === null
        ? null
        : {
            state: imported.at(-1)!.snapshot.id,
            before: restored.before.id,
            mounts: restored.mounts,
          },
  }
}
