// Garbage of a whole store: what no state needs, and directories that no record names.
//
//   deleted layers whose week is over ─▶ gone for good
//   versions of read-only parts that no sublayer, state, freeze, mount or undo needs ─▶ record,
//   then directory
//   directories of layers and versions without a record ─▶ gone
//   what came of archives that nobody went on with for a week ─▶ gone (lib/deploy/incoming.ts)
//   catalogue: lists, contents, chunks (lib/snapshot/gc.ts)
//
// Rule: each layer is held while its directories are looked at, because an import makes the directory
// before the record. A directory that is older than the catalogue is never garbage: the catalogue
// may have been lost.

import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { bytesOf } from '../base/path.ts'
import { dropOld, oldOf } from '../deploy/incoming.ts'
import { removeTree } from '../host/remove-tree.ts'
import { AT_FDCWD } from '../host/sys.ts'
import { collectGarbage, type Swept } from '../snapshot/gc.ts'
import type { Pace } from '../snapshot/pace.ts'
import type { LayerRecord } from '../snapshot/records.ts'
import type { Control } from './control.ts'
import { readFreezes } from './freeze-records.ts'
import { removeVersion } from './layer-source.ts'
import { overdue, purge } from './removal.ts'
import { layerPlaces } from './store-path.ts'
import { unusedWritable } from './sublayers.ts'
import { isUnfinished, removeLayer } from './unfinished.ts'

export interface Collected extends Omit<Swept, 'readOnly'> {
  /** Names of deleted layers that cannot be brought back any more. */
  readonly layers: readonly string[]
  /** Directories of the store that no record named, relative to it. */
  readonly directories: readonly string[]
  /** Directories that no record names, left alone because they are older than the catalogue. */
  readonly foreign: readonly string[]
  /** True where all this was only looked for. */
  readonly dryRun: boolean
}

export interface CollectOptions {
  readonly dryRun: boolean
  /** Also deleted layers that could still be brought back. */
  readonly all: boolean
  readonly pace: Pace
  progress(text: string): void
}

export async function collectStore(control: Control, options: CollectOptions): Promise<Collected> {
  const { dryRun, pace, progress } = options
  const layers = await purgeOverdue(control, options)
  const strays = straysOf(control, await knownIds(control))
  const directories = [...strays.ours]
  for (const { name, id } of await control.catalogue.layers()) {
    progress(`looking at the directories of layer ${name}`)
    directories.push(...(await control.queue.run(id, () => collectLayer(control, id, dryRun))))
  }
  const { incoming } = control.store.places
  directories.push(...oldOf(incoming).map((name) => `incoming/${name}`))
  if (!dryRun) dropOld(incoming)
  if (!dryRun)
    for (const id of strays.ours.map(lastOf)) removeLayer(layerPlaces(control.store.places, id))
  const { readOnly: _, ...swept } = await collectGarbage(control.catalogue, {
    dryRun,
    pace,
    onProgress: progress,
  })
  return { ...swept, layers, directories, foreign: strays.foreign, dryRun }
}

const lastOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

async function purgeOverdue(control: Control, { all, dryRun }: CollectOptions): Promise<string[]> {
  const removed = await overdue(control, all)
  for (const { record } of dryRun ? [] : removed)
    await control.queue.run(record.id, () => purge(control, record))
  return removed.map(({ record }) => record.name)
}

async function knownIds({ catalogue }: Control): Promise<ReadonlySet<string>> {
  const removed = (await catalogue.removedLayers()).map(({ record }) => record)
  return new Set([...(await catalogue.layers()), ...removed].map(({ id }) => id))
}

/** Directories of layers that no record names; what is being made has its mark, and no record yet. */
function straysOf(
  { store, catalogue }: Control,
  known: ReadonlySet<string>,
): { ours: string[]; foreign: string[] } {
  const found = { ours: [] as string[], foreign: [] as string[] }
  for (const id of readdirSync(store.places.layers)) {
    if (known.has(id) || isUnfinished(layerPlaces(store.places, id))) continue
    const { mtimeMs } = statSync(join(store.places.layers, id))
    found[mtimeMs >= catalogue.made ? 'ours' : 'foreign'].push(`layers/${id}`)
  }
  return found
}

/** Callers hold the layer. */
async function collectLayer(control: Control, id: string, dryRun: boolean): Promise<string[]> {
  const record = await control.catalogue.layer(id)
  // Deleted while this waited for its turn.
  if (record === null) return []
  const places = layerPlaces(control.store.places, id)
  const kept = await neededVersions(control, record)
  const versions = versionsIn(join(places.root, 'ro')).filter((version) => !kept.has(version))
  const writable = isShown(control, id) ? [] : unusedWritable(control.store.places, record)
  if (!dryRun) {
    const left = record.versions.filter(({ version }) => kept.has(version))
    if (left.length < record.versions.length)
      await control.catalogue.putLayer({ ...record, versions: left })
    for (const version of versions) removeVersion(places, version)
    for (const path of writable) removeTree(AT_FDCWD, bytesOf(path))
  }
  const ro = versions.map((version) => places.ro(version))
  return [...ro, ...writable].map((path) => path.slice(control.store.places.root.length + 1))
}

const isShown = (control: Control, layer: string): boolean =>
  (control.mounts?.showing(layer) ?? []).length > 0

/** The versions of the sublayers, of states, of freezes, and those that an undo leads back to. */
async function neededVersions(control: Control, record: LayerRecord): Promise<Set<number>> {
  const { catalogue, store } = control
  // A mount may still show what an earlier record had.
  if (isShown(control, record.id)) return new Set(record.versions.map(({ version }) => version))
  const needed = new Set([record, ...(record.sublayers ?? [])].map(({ ro }) => ro.version))
  for (const freeze of readFreezes(store.places))
    if (freeze.layer === record.id) needed.add(freeze.ro)
  for (const state of await catalogue.listed(record.id)) needed.add(state.ro.version)
  for (const { snapshot } of catalogue.claims.held)
    if (snapshot.layer === record.id) needed.add(snapshot.ro.version)
  // One that goes back to a state needs what the state needs, and nothing where that is deleted.
  for (const { layer, before, state } of await catalogue.undos())
    if (layer === record.id && before !== null && state === null) needed.add(before.ro.version)
  return needed
}

/** `<version>` and `<version>.index` alike. */
function versionsIn(dir: string): number[] {
  if (!existsSync(dir)) return []
  const numbers = readdirSync(dir).map((name) => /^(\d+)(\..*)?$/.exec(name)?.[1])
  return [...new Set(numbers.filter((number) => number !== undefined).map(Number))]
}
