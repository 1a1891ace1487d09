// Freezes of a store at work: begun, shown, listed, thawed.
//
//   freeze ─▶ engine (or nobody, while no daemon runs: nothing changes then) ─▶ record
//   mount --frozen ─▶ ImageServer ─▶ view of it over its read-only part ─▶ mount point
//
// Rule: belongs to the main thread; callers hold the layer in the queue where they begin one.

import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from '../base/failure.ts'
import { bytesOf } from '../base/path.ts'
import { removeTree } from '../host/remove-tree.ts'
import { AT_FDCWD } from '../host/sys.ts'
import type { LayerRecord } from '../snapshot/records.ts'
import type { RedoPlan } from '../snapshot/redo.ts'
import type { StackSpec } from '../union/spec.ts'
import type { Control } from './control.ts'
import type { FreezeSpec } from './engine-api.ts'
import {
  dropFreeze,
  endFreeze,
  type FreezeRecord,
  failureIn,
  linksOf,
  prepareFreeze,
  readFreezes,
  writeFreeze,
} from './freeze-records.ts'
import { preserveApart } from './freezes.ts'
import type { ImageServer } from './image-server.ts'
import type { Mounted } from './mounts.ts'
import { layerPlaces, type StorePlaces } from './store-path.ts'
import { copyAttributes } from './sublayers.ts'

/** Where what is preserved lies. */
export interface Preserve {
  /** As it was asked for. */
  readonly text: string
  /** Host path; null: in the store. */
  readonly place: string | null
  /** Bytes. */
  readonly limit: number | null
}

export interface FreezeLine {
  readonly id: string
  /** Name of its layer; its id where that is gone. */
  readonly layer: string
  /** Milliseconds since 1970. */
  readonly since: number
  readonly state: FreezeRecord['state']
  readonly reason: string
  readonly blocks: number
  readonly bytes: number
  readonly block: number
  readonly preserve: string
  /** Where it is shown. */
  readonly mounts: readonly string[]
}

/** Where the tree of a freeze lies, and what is laid beside it. Internal paths. */
export function treeOf(places: StorePlaces, { layer, rw }: FreezeRecord): string {
  return bytesOf(layerPlaces(places, layer).rw(rw))
}

export class FrozenLayers {
  readonly #control: Control
  /** Numbers of the engine's. */
  readonly #numbers = new Map<string, number>()
  readonly #servers = new Set<ImageServer>()

  constructor(control: Control) {
    this.#control = control
  }

  /** The engine asks about changes for every freeze that is whole: before the first mount. */
  async recall(): Promise<void> {
    const { engine, store } = this.#control
    if (engine === null) return
    const whole = readFreezes(store.places).filter(({ state }) => state === 'whole')
    const numbers = await engine.recall(whole.map((freeze) => this.#spec(freeze)))
    for (const [index, freeze] of whole.entries()) {
      const number = numbers[index] ?? null
      if (number !== null) this.#numbers.set(freeze.id, number)
      else endFreeze(store.places, freeze, 'gone', 'what it had preserved cannot be read')
    }
  }

  async freeze(layer: LayerRecord, preserve: Preserve, block: number): Promise<FreezeRecord> {
    const { engine, store } = this.#control
    const { places } = store
    const { text, place, limit } = preserve
    const wanted = { layer: layer.id, rw: layer.rw, ro: layer.ro.version, block, limit, place }
    const begun = prepareFreeze(places, store.json.id, { ...wanted, preserve: text })
    let number: number | null = null
    try {
      const answer = await engine?.freeze(layer.id, bytesOf(begun.area), null, this.#spec(begun))
      number = answer?.freeze ?? null
      const freeze = { ...begun, at: answer?.at ?? Date.now() }
      writeFreeze(places, freeze)
      if (number !== null) this.#numbers.set(freeze.id, number)
      return freeze
    } catch (err) {
      if (number !== null) await engine?.thaw(number)
      dropFreeze(places, begun)
      throw err
    }
  }

  #spec(freeze: FreezeRecord): FreezeSpec {
    const { places } = this.#control.store
    const { area, block, preserve, limit } = freeze
    const inMemory = preserve.startsWith('ram:')
    return {
      rw: treeOf(places, freeze),
      area: bytesOf(area),
      links: bytesOf(linksOf(places, freeze)),
      block,
      room: { name: inMemory ? 'ram' : preserve, limit },
    }
  }

  /** Before a plan is applied to a layer that no mount shows. */
  preserve({ id, rw }: LayerRecord, plan: RedoPlan): void {
    const { places } = this.#control.store
    const work = bytesOf(layerPlaces(places, id).work)
    const concerned = readFreezes(places).filter(
      (freeze) => freeze.layer === id && freeze.rw === rw && freeze.state === 'whole',
    )
    preserveApart(
      concerned.map((freeze) => this.#spec(freeze)),
      work,
      plan,
    )
  }

  /** Fails where the layer has one. */
  refuse({ id, name }: LayerRecord): void {
    const found = readFreezes(this.#control.store.places).find(
      ({ layer, state }) => layer === id && state === 'whole',
    )
    if (found !== undefined) throw new Failure('SVS_LAYER_FROZEN', name, found.id)
  }

  find(id: string): FreezeRecord {
    const found = readFreezes(this.#control.store.places).filter((one) => one.id.startsWith(id))
    const [first] = found
    if (id === '' || first === undefined || found.length > 1)
      throw new Failure('SVS_FREEZE_NOT_FOUND', id)
    return first
  }

  async list(): Promise<FreezeLine[]> {
    const { engine, store, catalogue } = this.#control
    const sizes = new Map((await engine?.freezes())?.map((size) => [size.freeze, size]))
    const names = new Map((await catalogue.layers()).map(({ id, name }) => [id, name]))
    return readFreezes(store.places).map((freeze) => {
      const { id, layer, at, state, reason, block, preserve } = freeze
      const size = sizes.get(this.#numbers.get(id) ?? -1) ?? null
      return {
        id,
        layer: names.get(layer) ?? layer,
        since: at,
        state,
        reason,
        blocks: size?.blocks ?? 0,
        bytes: size?.bytes ?? 0,
        block,
        preserve,
        mounts: this.#shownAt(id),
      }
    })
  }

  #shownAt(id: string, isWanted: (mounted: Mounted) => boolean = () => true): string[] {
    const mounts = this.#control.mounts?.list() ?? []
    const those = mounts.filter((mounted) => mounted.frozen === id && isWanted(mounted))
    return those.map(({ mountPoint }) => mountPoint)
  }

  /** Ends a freeze and frees all that it has. */
  async thaw(freeze: FreezeRecord): Promise<void> {
    const [shown] = this.#shownAt(freeze.id)
    if (shown !== undefined) throw new Failure('SVS_FREEZE_SHOWN', freeze.id, shown)
    await this.#letGo(freeze.id)
    dropFreeze(this.#control.store.places, freeze)
  }

  async #letGo(id: string): Promise<void> {
    const number = this.#numbers.get(id)
    this.#numbers.delete(id)
    if (number !== undefined) await this.#control.engine?.thaw(number)
  }

  /** The engine could not keep one. */
  async failed(number: number, reason: string): Promise<void> {
    const { store, events } = this.#control
    const id = [...this.#numbers].find(([, known]) => known === number)?.[0]
    const freeze = readFreezes(store.places).find((one) => one.id === id)
    // Of a snapshot, which is told by its area; or thawed meanwhile.
    if (freeze === undefined) return
    await this.#letGo(freeze.id)
    endFreeze(store.places, freeze, 'failed', reason)
    events.tell('failed', `freeze ${freeze.id} could not be kept: ${reason}`)
  }

  /** The stack that shows a freeze, and what to do when it is shown no more. */
  async show(
    freeze: FreezeRecord,
    layer: LayerRecord,
    writable: boolean,
  ): Promise<{ stack: StackSpec; end: () => Promise<void> }> {
    const { store, log } = this.#control
    const { places } = store
    const why = failureIn(freeze.area) ?? (freeze.state === 'whole' ? null : freeze.reason)
    if (why !== null) throw new Failure('SVS_FREEZE_FAILED', layer.name, why)
    // What is written to an image is there once.
    const [other] = writable ? this.#shownAt(freeze.id, ({ view }) => !view.readOnly) : []
    if (other !== undefined) throw new Failure('SVS_FREEZE_SHOWN', freeze.id, other)
    const at = layerPlaces(places, layer.id)
    const ro = bytesOf(at.ro(freeze.ro))
    const dirs = {
      rw: treeOf(places, freeze),
      ro: [ro],
      numbers: bytesOf(at.numbers(freeze.rw)),
      area: bytesOf(freeze.area),
      links: bytesOf(linksOf(places, freeze)),
    }
    const { ImageServer } = await import('./image-server.ts')
    const server = await ImageServer.start(places, freeze.id, dirs, log)
    this.#servers.add(server)
    const end = async () => {
      this.#servers.delete(server)
      await server.stop()
    }
    try {
      const own = writable ? writablePart(freeze, server.at) : null
      const image = { path: bytesOf(server.at), index: null, version: freeze.ro, marks: true }
      // By another path: the live layer's view keeps the one that it has to itself.
      const under = { path: `${ro}/.`, index: bytesOf(at.index(freeze.ro)), version: freeze.ro }
      const spec = {
        id: `frozen-${freeze.id}`,
        name: layer.name,
        tag: layer.tag,
        rw: own?.rw ?? null,
        numbers: own?.numbers ?? null,
        work: own?.work ?? null,
        ro: [image, under],
        scratch: null,
        excludes: [],
      }
      const base = {
        path: bytesOf(places.empty),
        writable: false,
        timeout: Number.POSITIVE_INFINITY,
      }
      return { stack: { layers: [spec], base }, end }
    } catch (err) {
      await end()
      throw err
    }
  }

  /** Where the engine does not end what looks at them. */
  detachAll(): void {
    for (const server of this.#servers) server.detach()
  }

  /** The engine has ended. */
  async stop(): Promise<void> {
    const servers = [...this.#servers]
    this.#servers.clear()
    await Promise.all(servers.map((server) => server.stop()))
  }
}

// In the preservation area, so that it goes with the freeze. What an earlier mount wrote is there again.
function writablePart(
  { area }: FreezeRecord,
  image: string,
): { rw: string; numbers: string; work: string } {
  const at = (name: string) => join(area, 'written', name)
  removeTree(AT_FDCWD, bytesOf(at('work')))
  mkdirSync(at('work'), { recursive: true, mode: 0o700 })
  if (!existsSync(at('rw'))) {
    mkdirSync(at('rw'), { mode: 0o700 })
    copyAttributes(image, at('rw'))
  }
  return { rw: bytesOf(at('rw')), numbers: bytesOf(at('numbers')), work: bytesOf(at('work')) }
}
