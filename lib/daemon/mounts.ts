// The mounts of this daemon, and how they follow what the catalogue says.
//
//   change of a record ─▶ Mounts.restack ─▶ new StackSpec for each mount ─▶ engine
//
// Rule: the record is changed first, the mounts after it: a daemon that dies between the two
// mounts what the record says. Belongs to the main thread; callers hold the queue's STACKS.

import { setTimeout as sleep } from 'node:timers/promises'
import { Failure } from '../base/failure.ts'
import { bytesOf } from '../base/path.ts'
import type { LayerRecord } from '../snapshot/records.ts'
import type { StackSpec, ViewOptions } from '../union/spec.ts'
import { type DataPath, type Engine, type MountSpec, usualDataPath } from './engine-api.ts'
import { chosenLayers, type StackChoice, stackOf } from './stack.ts'
import type { StorePlaces } from './store-path.ts'

export interface Mounted {
  readonly id: number
  /** Absolute host path. */
  readonly mountPoint: string
  readonly choice: StackChoice
  readonly view: ViewOptions
  readonly dataPath: DataPath
  readonly since: string
  /** For whom: a mount point of the user's, or the private view of one `svsfs run`. */
  readonly purpose: 'mount' | 'run' | 'frozen' | 'state'
  /** Id of the freeze that it shows; null for what shows layers. */
  readonly frozen: string | null
  /** The state that it shows, and the id of its layer; null for what shows layers. */
  readonly state: ShownState | null
  /** Ids of the layers it shows now. Changed by restack. */
  shows: readonly string[]
}

export interface ShownState {
  readonly layer: string
  readonly id: string
}

/** What a caller decides about a new mount; the rest follows from the store. */
export interface MountWish {
  readonly mountPoint: string
  readonly purpose: Mounted['purpose']
  readonly choice: StackChoice
  readonly view: Pick<
    ViewOptions,
    'readOnly' | 'writeTo' | 'privateTo' | 'settleRate' | 'wholeCopies'
  >
  readonly allowOther: boolean
  readonly trace: boolean
  readonly kernelCap: MountSpec['kernelCap']
  /** null: past the daemon where nothing is written. */
  readonly dataPath: DataPath | null
  /** Of a freeze: what it is made of, instead of layers, and what ends when it is shown no more. */
  readonly frozen?: {
    readonly id: string
    readonly stack: StackSpec
    readonly end: () => Promise<void>
  }
}

interface Detached {
  readonly mounted: Mounted
  /** Tells who waits for the end, with what remains to be waited for. */
  readonly done: (rest: Promise<void> | undefined) => void
}

/** How long an umount waits for the end of the mount, in milliseconds: that of a lazy one may take for ever. */
const END_MS = (Number(process.env.SVSFS_UMOUNT_SECONDS) || 5) * 1000
const LAZY_MS = 300

export class Mounts {
  readonly #engine: Engine
  readonly #transport: MountSpec['transport']
  readonly #places: StorePlaces
  readonly #all = new Map<number, Mounted>()
  readonly #ends = new Map<number, () => Promise<void>>()
  /** How mounts are taken away that the engine does not serve. */
  readonly #own = new Map<number, (lazy: boolean) => void>()
  /** What was taken away, and has not ended: programs may still change what it shows. */
  readonly #detached = new Map<number, Detached>()
  #next = 1
  #empty: () => void = () => {}

  constructor(engine: Engine, transport: MountSpec['transport'], places: StorePlaces) {
    this.#engine = engine
    this.#transport = transport
    this.#places = places
  }

  get size(): number {
    return this.#all.size
  }

  /** False also while somebody still uses what was taken away. */
  get isEmpty(): boolean {
    return this.#all.size === 0 && this.#detached.size === 0
  }

  /** Calls `listener` whenever no mount is left, also after one that could not be made, or where none was. */
  whenEmpty(listener: () => void): void {
    this.#empty = listener
  }

  list(): Mounted[] {
    return [...this.#all.values()]
  }

  at(mountPoint: string): Mounted | null {
    return this.list().findLast((mounted) => mounted.mountPoint === mountPoint) ?? null
  }

  /** The mount that a path lies in: the deepest one. */
  containing(path: string): Mounted | null {
    const within = (at: string) => at === '/' || path === at || path.startsWith(`${at}/`)
    return this.list()
      .filter(({ mountPoint }) => within(mountPoint))
      .reduce<Mounted | null>((deepest, mounted) => deeper(deepest, mounted), null)
  }

  /** Those that have a place, and those that only programs still use. */
  served(): Mounted[] {
    const detached = [...this.#detached.values()].map(({ mounted }) => mounted)
    return [...new Set([...this.#all.values(), ...detached])]
  }

  /** Mounts that show a layer. */
  showing(layer: string): Mounted[] {
    return this.served().filter(({ shows }) => shows.includes(layer))
  }

  async mount(records: readonly LayerRecord[], wish: MountWish): Promise<Mounted> {
    const id = this.#next++
    const view = this.#view(wish)
    const stack = wish.frozen?.stack ?? stackOf(this.#places, records, wish.choice)
    const spec: MountSpec = {
      id,
      mountPoint: bytesOf(wish.mountPoint),
      stack,
      view,
      source: 'svsfs',
      allowOther: wish.allowOther,
      transport: this.#transport,
      trace: wish.trace,
      kernelCap: wish.kernelCap,
      dataPath: wish.dataPath ?? usualDataPath(view.readOnly),
    }
    const dataPath = await this.#engine.mount(spec).catch((err) => {
      this.checkEmpty()
      throw err
    })
    const mounted: Mounted = {
      id,
      mountPoint: wish.mountPoint,
      choice: wish.choice,
      view,
      dataPath,
      since: new Date().toISOString(),
      purpose: wish.purpose,
      frozen: wish.frozen?.id ?? null,
      state: null,
      shows: stack.layers.map((layer) => layer.id),
    }
    this.#all.set(id, mounted)
    if (wish.frozen !== undefined) this.#ends.set(id, wish.frozen.end)
    return mounted
  }

  /** Takes in a mount of a state, which is served by threads of its own (state-server.ts). */
  adopt(mountPoint: string, state: ShownState, umount: (lazy: boolean) => void): Mounted {
    const id = this.#next++
    const choice = { only: [], top: null, base: null }
    const view = { readOnly: true, writeTo: null, privateTo: null }
    const mounted: Mounted = {
      id,
      mountPoint,
      choice,
      view: this.#view({ mountPoint, view }),
      dataPath: 'cached',
      since: new Date().toISOString(),
      purpose: 'state',
      frozen: null,
      state,
      shows: [],
    }
    this.#all.set(id, mounted)
    this.#own.set(id, umount)
    return mounted
  }

  /** Takes a mount away. False where somebody still uses it, a program or another mount namespace: it is served until they end. */
  async umount(mounted: Mounted, lazy: boolean): Promise<boolean> {
    const { id } = mounted
    const end = new Promise<void>((done) => this.#detached.set(id, { mounted, done }))
    try {
      const own = this.#own.get(id)
      if (own === undefined) await this.#engine.umount(id, lazy)
      else own(lazy)
    } catch (err) {
      this.#detached.delete(id)
      throw err
    }
    this.#all.delete(id)
    await Promise.race([end, sleep(lazy ? LAZY_MS : END_MS, undefined, { ref: false })])
    return !this.#detached.has(id)
  }

  /** The kernel side is gone. Answers what it was, or null where it was unknown, or taken away by us. */
  forget(id: number): Mounted | null {
    const mounted = this.#all.get(id) ?? null
    const detached = this.#detached.get(id)
    const rest = this.#ends.get(id)?.()
    for (const each of [this.#all, this.#own, this.#ends, this.#detached]) each.delete(id)
    detached?.done(rest)
    this.checkEmpty()
    return detached === undefined ? mounted : null
  }

  /** Gives every mount that shows, or would show, the layer its new stack. */
  async restack(records: readonly LayerRecord[], layer: string): Promise<Mounted[]> {
    const concerned = this.served().filter(
      (mounted) => mounted.shows.includes(layer) || idsOf(records, mounted.choice).includes(layer),
    )
    if (concerned.length === 0) return []
    await this.#engine.restack(
      concerned.map(({ id, choice }) => ({ id, stack: stackOf(this.#places, records, choice) })),
    )
    for (const mounted of concerned) mounted.shows = idsOf(records, mounted.choice)
    return concerned
  }

  /** Tells the listener of `whenEmpty` where nothing is mounted. */
  checkEmpty(): void {
    if (this.isEmpty) this.#empty()
  }

  #view({ view, mountPoint }: Pick<MountWish, 'view' | 'mountPoint'>): ViewOptions {
    return {
      ...view,
      blocked: [...this.list().map((mounted) => mounted.mountPoint), mountPoint].map(bytesOf),
      privileged: process.geteuid?.() === 0,
      // fuse-native cannot tell the kernel that a name changed.
      timeout: this.#transport === 'direct' ? Number.POSITIVE_INFINITY : 1,
    }
  }
}

const idsOf = (records: readonly LayerRecord[], choice: StackChoice): string[] =>
  chosenLayers(records, choice).map(({ id }) => id)

const deeper = (a: Mounted | null, b: Mounted): Mounted =>
  a !== null && a.mountPoint.length > b.mountPoint.length ? a : b

/** Fails where the layer is shown by a mount. */
export function refuseMounted(mounts: Mounts | null, record: LayerRecord): void {
  const showing = mounts?.showing(record.id)[0]
  if (showing === undefined) return
  throw new Failure('SVS_LAYER_BUSY', record.name, showing.mountPoint)
}
