// Taking and restoring states of a layer, mounted or not.
//
//   mounted      freeze ─▶ snapshot of the frozen image ─▶ thaw
//   not mounted  snapshot, while nothing can be mounted
//
//   restore, same read-only part    stage in work/ ─▶ plan synced ─▶ applied in one step ─▶ plan gone
//   restore, another version of it  the state as rw/<n+1> ─▶ record ─▶ new stacks
//
// Rule: callers hold the layer in the queue, so its writable sublayer is not exchanged meanwhile.
// What a restore replaces is a state before anything is touched.

import { mkdirSync, mkdtempSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from '../base/failure.ts'
import { bytesOf } from '../base/path.ts'
import { removeTree } from '../host/remove-tree.ts'
import { AT_FDCWD } from '../host/sys.ts'
import { ctimesBeside, linkIndexOf, unsettledBeside } from '../layer/layer.ts'
import type { LayerRecord, SnapshotRecord, Trigger } from '../snapshot/records.ts'
import { applyRedo, type RedoPlan } from '../snapshot/redo.ts'
import { buildState, finishRestore, prepareRestore } from '../snapshot/restore.ts'
import { type Taken, takeSnapshot } from '../snapshot/snapshot.ts'
import type { Control } from './control.ts'
import type { Engine } from './engine-api.ts'
import type { Call } from './method.ts'
import { STACKS } from './queue.ts'
import { layerPlaces } from './store-path.ts'
import { makeScratch, redoDirs } from './sublayers.ts'
import { plural } from './text.ts'

export interface StateWish {
  readonly message: string
  readonly label: string | null
  readonly trigger: Trigger
  /** Make a state although nothing changed. */
  readonly allowEmpty?: boolean
}

/** Puts the layer, as it is at this instant, into the catalogue. */
export function takeState(
  control: Control,
  layer: LayerRecord,
  wish: StateWish,
  call: Call | null = null,
): Promise<Taken> {
  return withImage(control, layer, (frozen) => takeFrom(control, layer, wish, call, frozen))
}

/** Runs `use` on an image of the layer that does not change meanwhile: frozen, or not mounted (null). */
async function withImage<T>(
  control: Control,
  layer: LayerRecord,
  use: (frozen: Frozen | null) => Promise<T>,
): Promise<T> {
  // Whether it is mounted must not change before the image is frozen; nor, where it is not, before it is read.
  const begun = await control.queue.run(STACKS, async () => {
    const { engine } = control
    if (engine !== null && isShown(control, layer)) return freeze(control, engine, layer)
    return { done: await use(null) }
  })
  if ('done' in begun) return begun.done
  try {
    return await use(begun)
  } finally {
    await begun.thaw()
  }
}

const isShown = (control: Control, layer: LayerRecord): boolean =>
  (control.mounts?.showing(layer.id) ?? []).length > 0

interface Frozen {
  readonly area: string
  /** The instant, in milliseconds since 1970. */
  readonly at: number
  thaw(): Promise<void>
}

async function freeze(control: Control, engine: Engine, layer: LayerRecord): Promise<Frozen> {
  const area = bytesOf(mkdtempSync(join(control.store.places.frozen, `${layer.id}-`)))
  try {
    const { freeze: number, at } = await engine.freeze(layer.id, area)
    const thaw = async () => {
      await engine.thaw(number)
      removeTree(AT_FDCWD, area)
    }
    return { area, at, thaw }
  } catch (err) {
    removeTree(AT_FDCWD, area)
    throw err
  }
}

async function takeFrom(
  control: Control,
  layer: LayerRecord,
  wish: StateWish,
  call: Call | null,
  frozen: Frozen | null,
): Promise<Taken> {
  const { rw, numbers } = redoDirs(control.store.places, layer)
  const taken = await takeSnapshot({
    catalogue: control.catalogue,
    layer,
    dirs: {
      rw,
      numbers,
      ro: readOnly(control, layer, layer.ro.version),
      area: frozen?.area ?? null,
    },
    ...wish,
    ...(frozen === null ? {} : { at: frozen.at }),
    onProgress: ({ entries }) => call?.progress(`read ${plural(entries, 'name')}`),
  })
  if (taken.kind === 'taken') {
    const { id, message } = taken.snapshot
    const text = `state ${id} of layer ${layer.name}${message === '' ? '' : `: ${message}`}`
    control.events.tell('snapshot', text, { layer: layer.name, state: id })
  }
  return taken
}

const readOnly = (control: Control, layer: LayerRecord, version: number): string[] => [
  bytesOf(layerPlaces(control.store.places, layer.id).ro(version)),
]

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
