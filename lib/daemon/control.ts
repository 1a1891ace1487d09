// A store that this process owns, and everything that runs on it: the one object that the
// rows of the API are given.
//
//   openControl ─▶ take the store ─▶ open the catalogue ─▶ finish what a crash left ─▶ Control
//
// Rule: every change of a layer runs inside `alone`, which holds the layer in the queue and
// reads its record anew, and ends in `publish`: the record first, then the mounts follow.

import { readdirSync } from 'node:fs'
import { Failure } from '../base/failure.ts'
import { type Log, silent } from '../base/log.ts'
import { bytesOf } from '../base/path.ts'
import { nearest } from '../layer/nearest.ts'
import { type Catalogue, openCatalogue } from '../snapshot/catalogue.ts'
import type { LayerRecord } from '../snapshot/records.ts'
import type { Restamped } from '../snapshot/restamped.ts'
import type { Engine, MountSpec } from './engine-api.ts'
import { EventLog } from './events.ts'
import { recoverFreezes, restFreezes } from './freeze-records.ts'
import { FrozenLayers, treeOf } from './frozen-layers.ts'
import { Mounts } from './mounts.ts'
import { PendingStates } from './pending.ts'
import { Queue, STACKS } from './queue.ts'
import { Scheduler } from './scheduler.ts'
import { giveSpare, keepSpare } from './spare.ts'
import { layerSpec } from './stack.ts'
import { StateMounts } from './state-mounts.ts'
import { type Store, takeStore } from './store.ts'
import { layerPlaces } from './store-path.ts'
import { dropUnusedWritable, emptyWork, makeScratch, redoDirs } from './sublayers.ts'
import { settleUnfinished } from './unfinished.ts'
import { Upkeep } from './upkeep.ts'
import { removeDeadViews } from './views.ts'

export interface ControlOptions {
  readonly root: string
  /** What this process is, for whoever finds the store locked. */
  readonly doing: string
  readonly create: boolean
  readonly log?: Log
}

export class Control {
  readonly store: Store
  readonly catalogue: Catalogue
  readonly events: EventLog
  readonly queue = new Queue()
  readonly pending = new PendingStates()
  /** What the last restore of a layer put in place, by the layer's id. */
  readonly restamped = new Map<string, Restamped>()
  readonly upkeep: Upkeep
  readonly scheduler: Scheduler
  readonly frozen: FrozenLayers
  readonly shown: StateMounts
  readonly log: Log
  readonly started = new Date().toISOString()
  /** Aborted when this process is to end: what takes long and can be broken off is. */
  readonly ending = new AbortController()

  // Set once, by the daemon, before the first request.
  engine: Engine | null = null
  mounts: Mounts | null = null
  transport: MountSpec['transport'] | null = null
  /** It goes on without a mount, until it is ended. */
  stays = false
  /** Asks the daemon to end, once the answer is on its way. */
  stop: (() => void) | null = null

  constructor(store: Store, catalogue: Catalogue, log: Log) {
    this.store = store
    this.catalogue = catalogue
    this.log = log
    this.events = new EventLog(store.places)
    this.upkeep = new Upkeep(this)
    this.scheduler = new Scheduler(this)
    this.frozen = new FrozenLayers(this)
    this.shown = new StateMounts(this)
  }

  serveMounts(engine: Engine, transport: MountSpec['transport']): void {
    this.engine = engine
    this.transport = transport
    this.mounts = new Mounts(engine, transport, this.store.places)
  }

  async close(): Promise<void> {
    await this.catalogue.close()
    restFreezes(this.store.places)
    this.store.release()
  }

  async layer(name: string): Promise<LayerRecord> {
    const layers = await this.catalogue.layers()
    const found = layers.find((record) => record.name === name)
    if (found === undefined) throw await noLayer(name, layers)
    return found
  }

  /** Runs `task` with the layer's record while nothing else changes that layer. */
  async alone<T>(name: string, task: (record: LayerRecord) => Promise<T>): Promise<T> {
    const { id } = await this.layer(name)
    return this.queue.run(id, async () => {
      // Renamed, changed or deleted while this waited for its turn.
      const record = await this.catalogue.layer(id)
      if (record === null) throw new Failure('SVS_LAYER_NOT_FOUND', name)
      return task(record)
    })
  }

  /**
   * Writes the record, then gives the mounts that it concerns their new stacks. Answers their mount
   * points. Where that fails the record is what it was, as the mounts are.
   */
  publish(record: LayerRecord): Promise<string[]> {
    return this.queue.run(STACKS, async () => {
      const before = await this.catalogue.layer(record.id)
      await this.catalogue.putLayer(record)
      try {
        const mounts = await this.mounts?.restack(await this.catalogue.layers(), record.id)
        return (mounts ?? []).map(({ mountPoint }) => mountPoint)
      } catch (err) {
        if (before !== null) await this.catalogue.putLayer(before)
        throw err
      }
    })
  }

  /** Removes the writable sublayers that a reset left, unless a mount may still look at them. */
  dropUnused(record: LayerRecord): void {
    const shown = this.mounts?.showing(record.id) ?? []
    if (shown.length === 0) dropUnusedWritable(this.store.places, record)
  }
}

/** The failure that says so, with the name that was probably meant. */
export async function noLayer(name: string, layers: readonly LayerRecord[]): Promise<Failure> {
  const meant = await nearest(
    name,
    layers.map((one) => one.name),
  )
  return new Failure('SVS_LAYER_NOT_FOUND', name).suggesting(meant)
}

/** Takes the store, opens its catalogue, and finishes or removes what a crash left behind. */
export async function openControl(options: ControlOptions): Promise<Control> {
  const { root, doing, create, log = silent } = options
  return controlOf(takeStore(root, doing, create), log)
}

/** The same, for a store that is taken: it is released where this fails, and with the Control. */
export async function controlOf(store: Store, log: Log): Promise<Control> {
  try {
    const given = giveSpare(store.places)
    const catalogue = await openCatalogue(store.places.catalogue)
    try {
      const control = new Control(store, catalogue, log)
      await recover(control)
      if ((await catalogue.deployments()).some(({ pending }) => pending))
        await (await import('./deployed.ts')).settleLeft(control)
      keepSpare(store.places, given)
      return control
    } catch (err) {
      await catalogue.close()
      throw err
    }
  } catch (err) {
    store.release()
    throw err
  }
}

// What lies in work/ first, which is emptied afterwards: plans of restores, intents of renames.
async function recover(control: Control): Promise<void> {
  const { catalogue, store, log } = control
  const unfinished = new Set<string>()
  const workOf = (id: string): string => layerPlaces(store.places, id).work
  for (const plan of await catalogue.plans()) {
    const { redoAgain } = await import('../snapshot/redo-again.ts')
    const { finishRestore } = await import('../snapshot/restore.ts')
    const record = await catalogue.layer(plan.layer)
    // A layer that is deleted takes its plan with it, in one batch.
    if (record === null) continue
    unfinished.add(record.id)
    const dirs = redoDirs(store.places, record)
    const readOnly = (version: number) => [
      bytesOf(layerPlaces(store.places, record.id).ro(version)),
    ]
    for (const why of await redoAgain(catalogue, dirs, plan, readOnly)) log.warn(why)
    await finishRestore(catalogue, dirs, plan)
    log.info(`finished restore ${plan.id} of layer ${record.name}`)
  }
  const records = await catalogue.layers()
  const removed = (await catalogue.removedLayers()).map(({ record }) => record)
  settleUnfinished(store.places, new Set([...records, ...removed].map(({ id }) => id)))
  // Where work/ is empty, nothing was under way, and what would finish it is not loaded.
  const broken = records.filter(({ id }) => readdirSync(workOf(id)).length > 0)
  if (broken.length > 0) {
    const { hasIntent, settleWork } = await import('../union/intent.ts')
    for (const { id } of broken) if (hasIntent(bytesOf(workOf(id)))) unfinished.add(id)
    settleWork(broken.map((record) => layerSpec(store.places, record)))
  }
  recoverFreezes(store.places, unfinished, (freeze) => treeOf(store.places, freeze))
  for (const record of records) {
    const at = layerPlaces(store.places, record.id)
    emptyWork(at)
    // Scratch belongs to no state and may be emptied by hand; the union wants it there.
    for (const { ro, rw } of [record, ...(record.sublayers ?? [])]) makeScratch(at, ro.version, rw)
    dropUnusedWritable(store.places, record)
  }
  removeDeadViews(store.places)
}
