// The last deployment of a layer to this store: taking it, letting it stay, and the way back.
//
//   take     state of what is there ─▶ record (pending) ─▶ restore ─▶ active
//   settle   its check passed: it stays; failed, or who checks is gone: roll back
//   back     the state before it, or the layer gone; once: a second time there is nothing to do
//
// Rule: the record comes before what it is about, so that whatever ends the process, the next one that
// opens the store knows which state was there. What a program changed since is a state first.

import { Failure } from '../base/failure.ts'
import { lockLayer } from '../deploy/incoming.ts'
import type { RolledBack } from '../deploy/messages.ts'
import type { Deployment, LayerRecord, SnapshotRecord } from '../snapshot/records.ts'
import type { Control } from './control.ts'
import type { Call } from './method.ts'
import { refuseMounted } from './mounts.ts'
import { STACKS } from './queue.ts'
import { remember } from './remember.ts'
import { purge, takeOut } from './removal.ts'
import { fillLayer, restoreKeeping, restoreState } from './restoring.ts'
import { type StateWish, takeState } from './states.ts'

export interface Deploying {
  readonly from: string
  readonly payload: string
  readonly activate: boolean
  /** Somebody says later whether it stays. */
  readonly pending: boolean
  /** The layer was made for it. */
  readonly created: boolean
}

export interface Deployed {
  readonly done: 'switched' | 'already'
  readonly before: string | null
  readonly mounts: readonly string[]
}

/** Has the layer show the state. Callers hold the layer. */
export async function switchTo(
  control: Control,
  layer: LayerRecord,
  target: SnapshotRecord | null,
  wish: Deploying,
  call: Call,
): Promise<Deployed> {
  const { catalogue } = control
  const former = await catalogue.deployment(layer.id)
  const one = new Switch(control, layer, target, wish)
  try {
    return await one.run(call)
  } catch (err) {
    const isDecided = err instanceof Failure && err.code === 'SVS_RESTORE_UNFINISHED'
    if (!isDecided && former === null) await catalogue.deleteDeployment(layer.id)
    else if (!isDecided) await catalogue.putDeployment(former!)
    if (wish.created) await purge(control, layer)
    throw err
  }
}

class Switch {
  readonly #control: Control
  readonly #layer: LayerRecord
  readonly #target: SnapshotRecord | null
  readonly #wish: Deploying
  readonly #active: boolean

  constructor(
    control: Control,
    layer: LayerRecord,
    target: SnapshotRecord | null,
    wish: Deploying,
  ) {
    this.#control = control
    this.#layer = layer
    this.#target = target
    this.#wish = wish
    this.#active = layer.active || wish.activate
  }

  async run(call: Call): Promise<Deployed> {
    if (this.#wish.created) return this.#fill(call)
    const wish = this.#keeping()
    if (this.#target === null) {
      const { snapshot } = await takeState(this.#control, this.#layer, wish, call)
      await this.#note(snapshot.id)
      return { done: 'switched', before: snapshot.id, mounts: await this.#activate([]) }
    }
    return this.#restore(this.#target, wish, call)
  }

  /** Nothing was there before, of which a state could be made. */
  async #fill(call: Call): Promise<Deployed> {
    await this.#note(null)
    const mounts =
      this.#target === null ? [] : await fillLayer(this.#control, this.#layer, this.#target, call)
    return { done: 'switched', before: null, mounts: await this.#activate(mounts) }
  }

  async #restore(target: SnapshotRecord, wish: StateWish, call: Call): Promise<Deployed> {
    let kept = ''
    const isAlready = () => kept === target.id && this.#active === this.#layer.active
    const goesOn = async ({ id }: SnapshotRecord) => {
      kept = id
      if (!isAlready()) await this.#note(id)
      return id !== target.id
    }
    const aim = { target, parts: null }
    const done = await restoreKeeping(this.#control, this.#layer, aim, { wish, goesOn }, call)
    if (isAlready()) return { done: 'already', before: null, mounts: [] }
    const before = done?.before.id ?? kept
    // What was changed to the very end lies in another one.
    if (before !== kept) await this.#note(before)
    if (done !== null) await remember(this.#control, 'restore', this.#layer, { state: before })
    return { done: 'switched', before, mounts: await this.#activate(done?.mounts ?? []) }
  }

  #keeping(): StateWish {
    const message = `before what ${this.#wish.from} deployed`
    return { message, label: null, trigger: 'before-deploy' }
  }

  #note(before: string | null): Promise<void> {
    const { from, payload, pending } = this.#wish
    const { id: layer, active: wasActive } = this.#layer
    const rest = { at: Date.now(), from, payload, state: this.#target?.id ?? null, before }
    return this.#control.catalogue.putDeployment({
      ...{ layer, ...rest, wasActive, pending },
      rolledBack: false,
    })
  }

  async #activate(mounts: readonly string[]): Promise<readonly string[]> {
    if (this.#active === this.#layer.active) return mounts
    const now = (await this.#control.catalogue.layer(this.#layer.id))!
    return this.#control.publish({ ...now, active: this.#active })
  }
}

/** It stays, or it does not: then all is as it was. */
export async function settle(
  control: Control,
  name: string,
  stays: boolean,
  call: Call,
): Promise<void> {
  await control.alone(name, async (layer) => {
    const record = await control.catalogue.deployment(layer.id)
    if (record?.pending !== true) return
    if (stays) await control.catalogue.putDeployment({ ...record, pending: false })
    else await goBack(control, layer, record, call)
  })
}

const NOTHING: RolledBack = { done: 'none', state: null, mounts: [] }

/** What was there before the last deployment. Throws SVS_NOTHING_DEPLOYED. */
export async function rollBack(control: Control, name: string, call: Call): Promise<RolledBack> {
  if (await wasRemoved(control, name)) return NOTHING
  return control.alone(name, async (layer) => {
    const record = await control.catalogue.deployment(layer.id)
    if (record === null) throw new Failure('SVS_NOTHING_DEPLOYED', name)
    if (record.rolledBack) return { ...NOTHING, state: record.before }
    return goBack(control, layer, record, call)
  })
}

async function goBack(
  control: Control,
  layer: LayerRecord,
  record: Deployment,
  call: Call,
): Promise<RolledBack> {
  const { catalogue } = control
  if (record.before === null) return remove(control, layer, record)
  const target = await catalogue.snapshot(layer.id, record.before)
  const done = await restoreState(control, layer, target, call)
  await remember(control, 'restore', layer, { state: done.before.id })
  const now = (await catalogue.layer(layer.id))!
  if (now.active !== record.wasActive) await control.publish({ ...now, active: record.wasActive })
  await catalogue.putDeployment({ ...record, pending: false, rolledBack: true })
  return { done: 'restored', state: target.id, mounts: [...done.mounts] }
}

/** The layer was not there before. */
async function remove(
  control: Control,
  layer: LayerRecord,
  record: Deployment,
): Promise<RolledBack> {
  const mounts = await control.publish({ ...layer, active: false })
  await control.catalogue.putDeployment({ ...record, pending: false, rolledBack: true })
  await control.queue.run(STACKS, async () => {
    refuseMounted(control.mounts, layer)
    await takeOut(control, { ...layer, active: false }, false)
  })
  control.events.tell('deleted', `layer ${layer.name} was deleted`, { layer: layer.name })
  return { done: 'removed', state: null, mounts }
}

/** True where a rollback took the layer away, and none has its name since. */
async function wasRemoved({ catalogue }: Control, name: string): Promise<boolean> {
  if ((await catalogue.layers()).some((layer) => layer.name === name)) return false
  const removed = (await catalogue.removedLayers()).filter(({ record }) => record.name === name)
  const last = removed.toSorted((a, b) => a.at - b.at).at(-1)
  return last !== undefined && (await catalogue.deployment(last.record.id))?.rolledBack === true
}

const alone: Call = { progress() {}, whenGone() {} }

/** Once the store is open: what nobody checked to its end, because they are gone, does not stay. */
export async function settleLeft(control: Control): Promise<void> {
  for (const record of await control.catalogue.deployments()) {
    const layer = record.pending ? await control.catalogue.layer(record.layer) : null
    if (layer === null) continue
    const release = lockUnlessBusy(control, layer.name)
    if (release === null) continue
    try {
      await settle(control, layer.name, false, alone)
      control.log.warn(`took back what ${record.from} deployed to layer ${layer.name}`)
    } catch (err) {
      // The store must open all the same; rolling back is tried again next time.
      control.log.error(`could not take back what was deployed to layer ${layer.name}`, err)
    } finally {
      release()
    }
  }
}

function lockUnlessBusy(control: Control, layer: string): (() => void) | null {
  try {
    return lockLayer(control.store.places.incoming, layer)
  } catch (err) {
    if (err instanceof Failure && err.code === 'SVS_DEPLOY_BUSY') return null
    throw err
  }
}
