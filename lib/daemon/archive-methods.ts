// Archives: states and layers as files, out of the store and into it.
//
// Rule: a file may come from anybody (lib/archive); what is imported is a state like any other, and
// restoring it keeps what was there first. What makes and reads archives is loaded when it is asked for.

import { hostname } from 'node:os'
import { dirname } from 'node:path'
import { z } from 'zod'
import type { Archive } from '../archive/archive.ts'
import type { BaseOut } from '../archive/base-out.ts'
import type { Exported, ExportOptions } from '../archive/export.ts'
import type { ImportedState } from '../archive/import.ts'
import { Failure } from '../base/failure.ts'
import { bytesOf } from '../base/path.ts'
import { accountsHere } from '../host/accounts.ts'
import { layerName } from '../layer/layer.ts'
import type { LayerRecord, SnapshotRecord } from '../snapshot/records.ts'
import { findState } from '../snapshot/state-name.ts'
import {
  type Bringing,
  type BroughtPart,
  type Take,
  withLayer,
  withVersions,
} from './archive-base.ts'
import type { Control } from './control.ts'
import { type Call, method } from './method.ts'
import { refuseOwnMount } from './own-mounts.ts'
import { recodeOne } from './recode-methods.ts'
import { remember } from './remember.ts'
import { belowOf, type Restored, restoreState } from './restoring.ts'
import { nameShape, pathShape, stateShape } from './shapes.ts'
import { type StateLine, stateLine } from './state-methods.ts'
import { readOnly } from './states.ts'
import { layerPlaces } from './store-path.ts'
import { plural } from './text.ts'

/** What is exported, wherever to. */
export const exportedShape = z.strictObject({
  layer: nameShape,
  /** The latest by default. */
  state: stateShape.nullable().default(null),
  /** The state that whoever imports has already. */
  from: stateShape.nullable().default(null),
  /** The layer itself, and so many of its states, the last; null for a patch archive. */
  states: z.number().int().nonnegative().nullable().default(null),
  /** Bring the read-only part. */
  withBase: z.boolean().default(false),
  /** Store programs in less room first (recode). */
  best: z.boolean().default(false),
  /** The key that signs, by its name; the first there is by default. */
  key: z.string().max(64).nullable().default(null),
  sign: z.boolean().default(true),
  version: z.string().max(100),
})
export type ExportWish = z.infer<typeof exportedShape>

const exportShape = exportedShape.extend({
  file: pathShape,
  /** Over what is there. */
  replace: z.boolean().default(false),
})

/** How archives are taken, wherever from. */
export const takenShape = z.strictObject({
  /** The layer that gets it; the one that the archive names by default. */
  as: nameShape.nullable().default(null),
  restore: z.boolean().default(false),
  /** Also what nobody has signed whom this store trusts. */
  allowUnsigned: z.boolean().default(false),
  allowDevices: z.boolean().default(false),
  allowLinks: z.boolean().default(false),
  numericOwner: z.boolean().default(false),
})
export type TakeWish = z.infer<typeof takenShape>

const importShape = takenShape.extend({
  /** In any order: one that comes after another is taken after it. */
  files: z.array(pathShape).min(1).max(1000),
})

export interface ExportAnswer extends Exported {
  readonly layer: string
  readonly kind: 'patch' | 'layer'
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
  const { file: path, replace } = wish
  return exporting(control, wish, call, async (options) => {
    const { exportArchive } = await import('../archive/export.ts')
    const done = await exportArchive({ ...options, path, replace })
    tellExported(control, options, path)
    return { ...done, ...exported(options) }
  })
}

type Exporting = Omit<ExportOptions, 'path' | 'replace'>

/** Finds what is meant, packs the read-only part where it goes along, and has all of it used. */
export async function exporting<T>(
  control: Control,
  wish: ExportWish,
  call: Call,
  use: (options: Exporting) => Promise<T>,
): Promise<T> {
  const layer = await control.layer(wish.layer)
  const chosen = await chosenOf(control, layer, wish)
  const { ro, states } = chosen
  for (const state of wish.best ? states : [])
    await recodeOne(control, layer, state, null, (programs) =>
      call.progress(`looked at ${plural(programs, 'program')}`),
    )
  const write = async (base: BaseOut | null) => {
    const { Keys } = await import('../archive/keys.ts')
    return use({
      ...chosen,
      catalogue: control.catalogue,
      layer: base === null ? { ...layer, excludes: [] } : layer,
      trees: readOnly(control, layer, ro.version),
      base,
      manifest: base === null ? {} : layer.manifest,
      key: wish.sign ? new Keys(control.store.places.keys).signer(wish.key) : null,
      made: { by: `svsfs ${wish.version}`, host: hostname() },
      onProgress: call.progress,
    })
  }
  const packed = chosen.kind === 'layer' || wish.withBase
  return packed ? withPacked(control, layer, ro, call, write) : write(null)
}

export function exported({ layer, kind, states, from }: Exporting) {
  return { layer: layer.name, kind, states: states.map(({ id }) => id), from: from?.id ?? null }
}

export function tellExported(
  { events }: Control,
  { layer, kind, states }: Exporting,
  to: string,
): void {
  const what = kind === 'layer' ? 'it' : `state ${states.at(-1)!.id}`
  events.tell('exported', `layer ${layer.name}: ${what} was written to ${to}`, {
    layer: layer.name,
  })
}

type Chosen = Pick<ExportOptions, 'kind' | 'states' | 'from' | 'ro'>

async function chosenOf(control: Control, layer: LayerRecord, wish: ExportWish): Promise<Chosen> {
  const { catalogue } = control
  if (wish.states !== null) {
    if (wish.state !== null || wish.from !== null)
      throw new Failure('SVS_USAGE', '--layer takes --states N or all, and no single state')
    const all = await catalogue.snapshots(layer.id)
    // Those of an earlier read-only part have nothing to lie over.
    const fitting = all.filter(({ ro }) => ro.digest === layer.ro.digest)
    const states = wish.states === 0 ? [] : fitting.slice(-wish.states)
    return { kind: 'layer', states, from: null, ro: layer.ro }
  }
  const state = await stateOf(control, layer, wish.state)
  const from = wish.from === null ? null : await findState(catalogue, layer, wish.from)
  if (from !== null && from.ro.digest !== state.ro.digest)
    throw new Failure('SVS_USAGE', `${wish.from} lies over another read-only part than ${state.id}`)
  if (from?.id === state.id)
    throw new Failure('SVS_USAGE', `from ${from.id} to ${state.id} nothing changes`)
  return { kind: 'patch', states: [state], from, ro: roOf(layer, state) }
}

async function withPacked<T>(
  control: Control,
  layer: LayerRecord,
  ro: LayerRecord['ro'],
  call: Call,
  write: (base: BaseOut) => Promise<T>,
): Promise<T> {
  const { withBase } = await import('../archive/base-out.ts')
  const { path: tree, index } = belowOf(control, layer, ro.version)
  const temporary = layerPlaces(control.store.places, layer.id).work
  return withBase({ tree, index: index!, temporary, onProgress: call.progress }, write)
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
  { files, ...wish }: z.infer<typeof importShape>,
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
    for (const { path, signed } of archives) keys.judge(path, signed.signatures, wish.allowUnsigned)
    return await takeArchives(control, archives, wish, call)
  } finally {
    for (const archive of archives) await archive.close()
  }
}

/** Takes archives whose signatures were looked at. */
export async function takeArchives(
  control: Control,
  archives: readonly Archive[],
  { as, restore, allowDevices, allowLinks, numericOwner }: TakeWish,
  call: Call,
): Promise<ImportAnswer> {
  const name = layerName(as ?? archives[0]!.manifest.layer.name)
  const allowed = { devices: allowDevices, links: allowLinks }
  const signal = signalOf(control, call)
  const bringing = { allowed, numericOwner, signal, onProgress: call.progress }
  const imported = await importChain(control, name, inOrder(archives), bringing)
  return answerWith(control, name, imported, restore, call)
}

/** Goes to the last of the states where that is wanted. */
export function answerWith(
  control: Control,
  name: string,
  imported: readonly ImportedState[],
  restore: boolean,
  call: Call,
): Promise<ImportAnswer> {
  return control.alone(name, async (layer) => {
    const target = imported.at(-1)?.snapshot ?? null
    const restored = restore && target !== null ? await goTo(control, layer, target, call) : null
    return answerOf(control, name, imported, restored)
  })
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
  layer: string,
  name: string,
  chain: readonly Archive[],
): Promise<void> {
  const brought = new Set<string>()
  for (const { path, manifest } of chain) {
    const { from, states } = manifest
    if (
      from !== null &&
      !brought.has(from.id) &&
      (await catalogue.findSnapshot(layer, from.id)) === null
    )
      throw new Failure('SVS_ARCHIVE_GAP', path, from.id, name, 'is not there')
    for (const { id } of states) brought.add(id)
  }
}

/** Breaks off what is done for a caller who goes, or in a process that ends. */
export function signalOf(control: Control, call: Call): AbortSignal {
  const gone = new AbortController()
  call.whenGone(() => gone.abort())
  return AbortSignal.any([gone.signal, control.ending.signal])
}

/** Takes archives into a layer, which the first may bring: all of them, or none. */
export async function importChain(
  control: Control,
  name: string,
  chain: readonly Archive[],
  bringing: Bringing,
): Promise<ImportedState[]> {
  const { catalogue } = control
  const there = (await catalogue.layers()).some((layer) => layer.name === name)
  const take: Take<ImportedState[]> = (layer, parts, isNew) =>
    takeStates(control, layer, parts, isNew, bringing)
  if (there || chain[0]!.manifest.base.tree === null)
    return control.alone(name, async (layer) => {
      if (chain.some(({ manifest }) => manifest.kind === 'layer'))
        throw new Failure('SVS_LAYER_EXISTS', name)
      await refuseGaps(control, layer.id, name, chain)
      return withVersions(control, layer, chain, bringing, take)
    })
  await refuseGaps(control, '', name, chain)
  return withLayer(control, name, chain, bringing, take)
}

async function takeStates(
  control: Control,
  layer: LayerRecord,
  parts: readonly BroughtPart[],
  withLayer: boolean,
  { allowed, numericOwner, signal, onProgress }: Bringing,
): Promise<ImportedState[]> {
  const { importStates } = await import('../archive/import.ts')
  const imported = await importStates({
    catalogue: control.catalogue,
    layer,
    parts: parts.map((part) => ({ ...part, trees: readOnly(control, layer, part.ro.version) })),
    withLayer,
    temporary: bytesOf(layerPlaces(control.store.places, layer.id).work),
    allowed,
    accounts: numericOwner ? null : accountsHere(),
    signal,
    onProgress,
  }).catch((err: unknown) => {
    control.upkeep.garbage()
    throw err
  })
  const fresh = imported.filter((one) => one.fresh)
  const paths = parts.map(({ archive }) => archive.path).join(', ')
  const text = `layer ${layer.name}: ${plural(fresh.length, 'state')} came from ${paths}`
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
