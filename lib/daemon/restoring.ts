// Going back to states of a layer, mounted or not.
//
//   same read-only part    stage in work/ ─▶ plan synced ─▶ applied in one step ─▶ plan gone
//   another version of it  the state as rw/<n+1> ─▶ record ─▶ new stacks
//
// Rule: callers hold the layer in the queue. What a restore replaces is a state before anything is
// touched.

import { mkdirSync, readdirSync } from 'node:fs'
import { Failure } from '../base/failure.ts'
import { bytesOf, type RelPath } from '../base/path.ts'
import { removeTree } from '../host/remove-tree.ts'
import { AT_FDCWD } from '../host/sys.ts'
import { ctimesBeside, linkIndexOf, unsettledBeside } from '../layer/layer.ts'
import type { BelowTree } from '../snapshot/parts.ts'
import type { RestorePlan } from '../snapshot/plan.ts'
import type { LayerRecord, ReadOnlyVersion, SnapshotRecord } from '../snapshot/records.ts'
import { applyRedo, type RedoPlan } from '../snapshot/redo.ts'
import { noteStamps } from '../snapshot/restamped.ts'
import {
  buildState,
  discardRestore,
  finishRestore,
  planRestore,
  prepareRestore,
  type RestoreOptions,
} from '../snapshot/restore.ts'
import type { Progress } from '../snapshot/scan.ts'
import type { Taken } from '../snapshot/snapshot.ts'
import type { Staged } from '../snapshot/stage.ts'
import type { Busy } from '../snapshot/stage-large.ts'
import type { Control } from './control.ts'
import type { Resume } from './engine-api.ts'
import { isDiskFull } from './errors.ts'
import type { Call } from './method.ts'
import { STACKS } from './queue.ts'
import {
  type Frozen,
  indexOf,
  isShown,
  keepRest,
  readOnly,
  type StateWish,
  takeFrom,
  withImage,
} from './states.ts'
import { layerPlaces } from './store-path.ts'
import { makeScratch, nextWritable, redoDirs } from './sublayers.ts'
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
  /** The only paths that were changed; null for the whole layer. */
  readonly paths: readonly RelPath[] | null
}

/** What of a state is meant, where it is not all of it. */
export interface PartsWish {
  readonly paths: readonly RelPath[]
  readonly keepBoth: boolean
  readonly absent?: boolean
}

/** The version of the read-only part that a state was made on. Throws SVS_RO_CHANGED. */
export function versionOf(layer: LayerRecord, state: SnapshotRecord): ReadOnlyVersion {
  const version = layer.versions.find((known) => known.version === state.ro.version)
  if (version === undefined || version.digest !== state.ro.digest)
    throw new Failure('SVS_RO_CHANGED', state.id, `version ${state.ro.version} is not there`)
  return version
}

/** Where a version of the read-only part lies, and by which numbers its files are known. */
export function belowOf(control: Control, layer: LayerRecord, version: number): BelowTree {
  const places = layerPlaces(control.store.places, layer.id)
  return { path: bytesOf(places.ro(version)), index: indexOf(control, layer, version) }
}

/** How what a restore replaces is kept. */
export interface Keeping {
  readonly wish: StateWish
  /** Called once that is a state, before anything is touched. False: nothing is to be done. */
  goesOn?(kept: SnapshotRecord): Promise<boolean>
}

/** Turns the layer back to a state of its own, or parts of it. */
export async function restoreState(
  control: Control,
  layer: LayerRecord,
  target: SnapshotRecord,
  call: Call,
  parts: PartsWish | null = null,
): Promise<Restored> {
  const what = whatOf(parts)
  const message = `before restore${what} to ${target.id}`
  const wish = { message, label: null, trigger: 'before-restore' } as const
  return (await restoreKeeping(control, layer, { target, parts }, { wish }, call))!
}

const whatOf = (parts: PartsWish | null): string =>
  parts === null ? '' : ` of ${plural(parts.paths.length, 'path')}`

/** The same; null where the caller has it not go on. */
export async function restoreKeeping(
  control: Control,
  layer: LayerRecord,
  { target, parts }: Aim,
  { wish, goesOn = async () => true }: Keeping,
  call: Call,
): Promise<Restored | null> {
  const version = versionOf(layer, target)
  const inPlace = parts !== null || version.version === layer.ro.version
  const pass = (frozen: Frozen | null, now: Now = {}) =>
    restorePass(control, layer, { target, parts }, frozen, call, now)
  const first = await withImage(control, layer, async (frozen) => {
    const taken = await takeFrom(control, layer, wish, call, frozen).catch(whyNotKept(layer))
    if (!(await goesOn(taken.snapshot))) return null
    return { taken, pass: inPlace ? await pass(frozen, nowOf(taken, frozen)) : null }
  })
  if (first === null) return null
  const again = { ...wish, message: `${wish.message}, changed meanwhile` }
  const done =
    first.pass === null
      ? await restoreBeside(control, layer, version, target, wish)
      : parts?.keepBoth === true
        ? first.pass
        : await restoreAgain(control, layer, first.pass, again, pass)
  tellRestored(control, layer, target, parts)
  const brought = parts?.keepBoth === true ? (first.pass?.written ?? []) : parts?.paths
  const { mounts, changed } = done
  return { before: done.rest ?? first.taken.snapshot, mounts, changed, paths: brought ?? null }
}

/** Has a layer that was just made, and that nobody has changed, show a state. Answers where. */
export async function fillLayer(
  control: Control,
  layer: LayerRecord,
  target: SnapshotRecord,
  call: Call,
): Promise<readonly string[]> {
  versionOf(layer, target)
  const aim = { target, parts: null }
  const { mounts } = await withImage(control, layer, (frozen) =>
    restorePass(control, layer, aim, frozen, call, {}),
  )
  tellRestored(control, layer, target, null)
  return mounts
}

function tellRestored(
  { events }: Control,
  { name }: LayerRecord,
  { id }: SnapshotRecord,
  parts: PartsWish | null,
): void {
  const text = `layer ${name} is as in state ${id}${parts === null ? '' : ` in${whatOf(parts).slice(3)}`}`
  events.tell('restored', text, { layer: name, state: id })
}

const whyNotKept =
  ({ name }: LayerRecord) =>
  (cause: unknown): never => {
    throw isDiskFull(cause) ? new Failure('SVS_RESTORE_NO_ROOM', name, name, { cause }) : cause
  }

/** A state whose list says what is there now, inodes and all, but for what `changed` names. */
type Now = Pick<RestoreOptions, 'now' | 'changed'>

function nowOf({ kind, snapshot, by }: Taken, frozen: Frozen | null): Now {
  if (kind === 'taken') return { now: snapshot.id }
  // What shows no change may have been made anew all the same.
  const changed = by === 'journal' ? frozen?.journal.changed : null
  return changed ? { now: snapshot.id, changed } : {}
}

interface Done extends Omit<Restored, 'before' | 'paths'> {
  /** The state that holds more than the one taken before, because programs went on writing. */
  readonly rest: SnapshotRecord | null
}

/** One pass of a restore in place. `stale` where a program changed something after the image was frozen. */
interface Pass extends Done {
  readonly stale: boolean
  readonly written: readonly RelPath[]
}

interface Aim {
  readonly target: SnapshotRecord
  readonly parts: PartsWish | null
}

function optionsOf(
  control: Control,
  layer: LayerRecord,
  { target: snapshot, parts }: Aim,
  frozen: Frozen | null,
): RestoreOptions {
  const { catalogue, store } = control
  const area = frozen?.area ?? null
  const ro = readOnly(control, layer, snapshot.ro.version)
  const options = {
    catalogue,
    layer,
    snapshot,
    restamped: control.restamped.get(layer.id) ?? null,
    dirs: { ...redoDirs(store.places, layer), area, ro },
  }
  if (parts === null) return options
  const then = belowOf(control, layer, snapshot.ro.version)
  const now = belowOf(control, layer, layer.ro.version)
  return { ...options, parts: { ...parts, state: snapshot.id, then, now } }
}

/** What a restore would do; null where it would exchange the whole writable sublayer. */
export async function planOf(
  control: Control,
  layer: LayerRecord,
  aim: Aim,
  call: Call,
): Promise<RestorePlan | null> {
  const { version } = versionOf(layer, aim.target)
  if (aim.parts === null && version !== layer.ro.version) return null
  const onProgress = ({ entries }: Progress) => call.progress(`compared ${plural(entries, 'name')}`)
  return withImage(control, layer, (frozen) =>
    planRestore({ ...optionsOf(control, layer, aim, frozen), onProgress }),
  )
}

async function restorePass(
  control: Control,
  layer: LayerRecord,
  aim: Aim,
  frozen: Frozen | null,
  call: Call,
  now: Now,
): Promise<Pass> {
  const { catalogue, queue, store } = control
  const dirs = redoDirs(store.places, layer)
  const prepare = (busy: Busy) =>
    prepareRestore({
      ...optionsOf(control, layer, aim, frozen),
      ...now,
      busy,
      onProgress: ({ entries }) => call.progress(`prepared ${plural(entries, 'name')}`),
    })
  const apply = async ({ redo, differing }: Staged) => {
    await catalogue.putPlan(redo)
    const seen = {
      area: frozen?.area ?? null,
      resume: resumeOf(aim, frozen, differing),
    }
    const go = () => applyPlan(control, layer, redo, seen)
    // Without a freeze STACKS is held already: that is what keeps the image.
    return frozen === null ? go() : queue.run(STACKS, go)
  }
  // Without a freeze nothing shows the layer.
  const open = frozen === null ? [] : await control.engine?.openFiles(layer.id)
  let staged = await prepare(open ?? [])
  let mounts = await apply(staged)
  if (mounts === null) {
    await catalogue.deletePlan(staged.redo)
    discardRestore(dirs, staged.redo)
    staged = await prepare('all')
    mounts = await apply(staged)
  }
  const { plan, redo } = staged
  // Whatever a program changes is preserved first, and a restore is no program.
  const stale = frozen !== null && readdirSync(frozen.area).length > 0
  const restamped = await finishRestore(catalogue, dirs, redo)
  // Parts are of another state than the one that the layer comes from.
  if (restamped === null || aim.parts !== null) control.restamped.delete(layer.id)
  else control.restamped.set(layer.id, restamped)
  const { write, remove, attrs } = plan
  const changed = { write: write.length, remove: remove.length, attrs: attrs.length }
  const written = write.map(({ path }) => path)
  return { mounts: mounts ?? [], changed, stale, written, rest: null }
}

// Of parts the layer still comes from the state that it came from; else from the one that it is now like.
function resumeOf(
  { target, parts }: Aim,
  frozen: Frozen | null,
  names: readonly RelPath[] | null,
): Resume | null {
  if (frozen === null || (parts === null && names === null)) return null
  const since = frozen.journal.position
  if (parts !== null) return { position: null, since, names: [] }
  const position = target.journal
  if (position === null || names!.length > MOST_RESUMED) return null
  return { position, since, names: names! }
}

/** With more names than this a scan is as fast as the journal. */
const MOST_RESUMED = 10_000

/** How often a restore is done again because programs go on writing meanwhile. */
const PASSES = 3

// What a program changed while the plan was made, the plan does not know of: the next pass, which
// has little to look at, takes that back too, and keeps it as a state first.
async function restoreAgain(
  control: Control,
  layer: LayerRecord,
  first: Pass,
  wish: StateWish,
  pass: (frozen: Frozen | null, now: Now) => Promise<Pass>,
): Promise<Done> {
  let last = first
  for (let count = 2; last.stale && count <= PASSES; count++)
    last = await withImage(control, layer, async (frozen) => {
      const taken = await takeFrom(control, layer, wish, null, frozen)
      return pass(frozen, nowOf(taken, frozen))
    })
  return { mounts: first.mounts, changed: first.changed, rest: null }
}

/** What a plan was made by: the area of its freeze, and what the journal goes on from. */
interface Seen {
  readonly area: string | null
  readonly resume: Resume | null
}

// From putPlan on the restore is decided: what stops here is finished when the store is opened next.
async function applyPlan(
  control: Control,
  layer: LayerRecord,
  redo: RedoPlan,
  seen: Seen,
): Promise<string[] | null> {
  try {
    return await applyNow(control, layer, redo, seen)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new Failure('SVS_RESTORE_UNFINISHED', layer.name, why, { cause })
  }
}

/**
 * Applies steps to the writable sublayer, live where it is shown. Answers where; null where a program has opened
 * or changed what would be written in place, and nothing was done. Callers hold STACKS.
 */
export async function applyNow(
  control: Control,
  layer: LayerRecord,
  redo: RedoPlan,
  { area, resume }: Seen = { area: null, resume: null },
): Promise<string[] | null> {
  const showing = control.mounts?.showing(layer.id) ?? []
  if (showing.length > 0) {
    if ((await control.engine?.applyRedo(layer.id, redo, area, resume)) === false) return null
  } else {
    control.frozen.preserve(layer, redo)
    const dirs = redoDirs(control.store.places, layer)
    applyRedo(dirs, redo)
    noteStamps(dirs, redo)
  }
  return showing.map(({ mountPoint }) => mountPoint)
}

async function restoreBeside(
  control: Control,
  layer: LayerRecord,
  ro: ReadOnlyVersion,
  snapshot: SnapshotRecord,
  wish: StateWish,
): Promise<Done> {
  const { catalogue } = control
  const renewed = {
    ...layer,
    ro,
    rw: nextWritable(control.store.places, layer),
    sublayerMade: Date.now(),
  }
  await buildSublayer(control, renewed, snapshot)
  const shown = isShown(control, layer)
  const mounts = await control.publish(renewed)
  const rest = shown ? await keepRest(control, layer, wish) : null
  await catalogue.setHead(layer.id, snapshot.id)
  control.dropUnused(renewed)
  return { mounts, changed: null, rest }
}

/** Makes a state as the writable sublayer `rw` over `ro` of the record, which no layer has yet. */
export async function buildSublayer(
  control: Control,
  layer: LayerRecord,
  snapshot: SnapshotRecord,
): Promise<void> {
  const { catalogue, store } = control
  const places = layerPlaces(store.places, layer.id)
  const { rw, numbers } = redoDirs(store.places, layer)
  // One that a crash left before its record was written.
  const beside = [numbers, ctimesBeside(numbers), unsettledBeside(numbers), linkIndexOf(rw)]
  for (const path of [rw, ...beside]) removeTree(AT_FDCWD, path)
  mkdirSync(places.rw(layer.rw), { mode: 0o700 })
  makeScratch(places, layer.ro.version, layer.rw)
  const ro = readOnly(control, layer, snapshot.ro.version)
  await buildState({ catalogue, snapshot, ro, rw, numbers })
}
