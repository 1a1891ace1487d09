// Going back to states of a layer, mounted or not.
//
//   same read-only part    stage in work/ ─▶ plan synced ─▶ applied in one step ─▶ plan gone
//   another version of it  the state as rw/<n+1> ─▶ record ─▶ new stacks
//
// Rule: callers hold the layer in the queue. What a restore replaces is a state before anything is
// touched.

import { mkdirSync, readdirSync } from 'node:fs'
import { Failure } from '../base/failure.ts'
import { removeTree } from '../host/remove-tree.ts'
import { AT_FDCWD } from '../host/sys.ts'
import { ctimesBeside, linkIndexOf, unsettledBeside } from '../layer/layer.ts'
import type { LayerRecord, SnapshotRecord } from '../snapshot/records.ts'
import { applyRedo, type RedoPlan } from '../snapshot/redo.ts'
import { buildState, finishRestore, prepareRestore } from '../snapshot/restore.ts'
import type { Control } from './control.ts'
import type { Call } from './method.ts'
import { STACKS } from './queue.ts'
import { type Frozen, readOnly, takeFrom, withImage } from './states.ts'
import { layerPlaces } from './store-path.ts'
import { makeScratch, redoDirs } from './sublayers.ts'
import { plural } from './text.ts'

export interface Restored {
  /** The state that holds what was replaced. */
  readonly before: SnapshotRecord
  readonly mounts: readonly string[]
  /** Names that were written, removed, or given other attributes; null where all is new. */
  readonly changed: {
    readonly write: number
    readonly remove: number
    readonly attrs: number
  } | null
}

/** Turns the layer back to a state of its own. */
export async function restoreState(
  control: Control,
  layer: LayerRecord,
  target: SnapshotRecord,
  call: Call,
): Promise<Restored> {
  const version = layer.versions.find((known) => known.version === target.ro.version)
  if (version === undefined || version.digest !== target.ro.digest)
    throw new Failure('SVS_RO_CHANGED', target.id, `version ${target.ro.version} is not there`)
  const message = `before restore to ${target.id}`
  const wish = { message, label: null, trigger: 'before-restore' } as const
  const inPlace = version.version === layer.ro.version
  const first = await withImage(control, layer, async (frozen) => {
    const taken = await takeFrom(control, layer, wish, call, frozen)
    return { taken, pass: inPlace ? await restorePass(control, layer, target, frozen, call) : null }
  })
  const done =
    first.pass === null
      ? await restoreBeside(control, { ...layer, ro: version }, target)
      : await restoreAgain(control, layer, target, first.pass, call)
  const text = `layer ${layer.name} is as in state ${target.id}`
  control.events.tell('restored', text, { layer: layer.name, state: target.id })
  return { before: first.taken.snapshot, ...done }
}

type Done = Omit<Restored, 'before'>

/** One pass of a restore in place. `stale` where a program changed something after the image was frozen. */
interface Pass extends Done {
  readonly stale: boolean
}

async function restorePass(
  control: Control,
  layer: LayerRecord,
  snapshot: SnapshotRecord,
  frozen: Frozen | null,
  call: Call,
): Promise<Pass> {
  const { catalogue, queue, store } = control
  const dirs = redoDirs(store.places, layer)
  const { plan, redo } = await prepareRestore({
    catalogue,
    layer,
    snapshot,
    dirs: {
      ...dirs,
      area: frozen?.area ?? null,
      ro: readOnly(control, layer, snapshot.ro.version),
    },
    onProgress: ({ entries }) => call.progress(`prepared ${plural(entries, 'name')}`),
  })
  await catalogue.putPlan(redo)
  const apply = () => applyPlan(control, layer, redo)
  // Without a freeze STACKS is held already: that is what keeps the image.
  const mounts = frozen === null ? await apply() : await queue.run(STACKS, apply)
  // Whatever a program changes is preserved first, and a restore is no program.
  const stale = frozen !== null && readdirSync(frozen.area).length > 0
  await finishRestore(catalogue, dirs, redo)
  const { write, remove, attrs } = plan
  const changed = { write: write.length, remove: remove.length, attrs: attrs.length }
  return { mounts, changed, stale }
}

/** How often a restore is done again because programs go on writing meanwhile. */
const PASSES = 3

// What a program changed while the plan was made, the plan does not know of: the next pass, which
// has little to look at, takes that back too.
async function restoreAgain(
  control: Control,
  layer: LayerRecord,
  target: SnapshotRecord,
  first: Pass,
  call: Call,
): Promise<Done> {
  let last = first
  for (let pass = 2; last.stale && pass <= PASSES; pass++) {
    last = await withImage(control, layer, (frozen) =>
      restorePass(control, layer, target, frozen, call),
    )
  }
  return { mounts: first.mounts, changed: first.changed }
}

// From putPlan on the restore is decided: what stops here is finished when the store is opened next.
async function applyPlan(control: Control, layer: LayerRecord, redo: RedoPlan): Promise<string[]> {
  try {
    return await applyNow(control, layer, redo)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new Failure('SVS_RESTORE_UNFINISHED', layer.name, why, { cause })
  }
}

/** Applies steps to the writable sublayer, live where it is shown. Answers where. Callers hold STACKS. */
export async function applyNow(
  control: Control,
  layer: LayerRecord,
  redo: RedoPlan,
): Promise<string[]> {
  const showing = control.mounts?.showing(layer.id) ?? []
  if (showing.length > 0) await control.engine?.applyRedo(layer.id, redo)
  else applyRedo(redoDirs(control.store.places, layer), redo)
  return showing.map(({ mountPoint }) => mountPoint)
}

async function restoreBeside(
  control: Control,
  layer: LayerRecord,
  snapshot: SnapshotRecord,
): Promise<Done> {
  const { catalogue } = control
  const places = layerPlaces(control.store.places, layer.id)
  const renewed = { ...layer, rw: layer.rw + 1 }
  const { rw, numbers } = redoDirs(control.store.places, renewed)
  // One that a crash left before its record was written.
  const beside = [numbers, ctimesBeside(numbers), unsettledBeside(numbers), linkIndexOf(rw)]
  for (const path of [rw, ...beside]) removeTree(AT_FDCWD, path)
  mkdirSync(places.rw(renewed.rw), { mode: 0o700 })
  makeScratch(places, renewed.ro.version, renewed.rw)
  await buildState({
    catalogue,
    snapshot,
    ro: readOnly(control, layer, snapshot.ro.version),
    rw,
    numbers,
  })
  const mounts = await control.publish(renewed)
  await catalogue.setHead(layer.id, snapshot.id)
  control.dropUnused(renewed)
  return { mounts, changed: null }
}
