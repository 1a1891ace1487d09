// The process that owns a store while something is mounted.
//
//   start.ts ─▶ catalogue ─▶ socket ─▶ ready ─▶ … ─▶ last mount gone ─▶ stop
//
// Rule: it ends by itself with its last mount (unless it is a service, which stays), on `stop`,
// SIGTERM or SIGINT, always the same way: no new requests, mounts away, catalogue closed, lock released, exit.

import type { Log } from '../base/log.ts'
import { bytesOf } from '../base/path.ts'
import { unmountFuse } from '../host/mount.ts'
import { sys } from '../host/sys.ts'
import { loadAll } from './api.ts'
import { type Control, controlOf } from './control.ts'
import type { Engine, EngineEvent, MountSpec } from './engine-api.ts'
import { Server } from './server.ts'
import type { Store } from './store.ts'

/** A daemon lives for weeks, and its program may be replaced: what it may need is loaded while it is the same. */
const LOAD_MS = 3000
/** How long a daemon waits for its first mount: whoever started it may have died. */
const IDLE_MS = 10_000
/** Id in events that concern the engine itself, not one mount. */
const ENGINE = 0
/** A second way out: threads that a kernel call holds must not keep the process. */
const EXIT_MS = 15_000

export class Daemon {
  readonly control: Control
  /** Resolves when everything is down. */
  readonly ended: Promise<void>
  readonly #engine: Engine
  readonly #server: Server
  readonly #log: Log
  #stopping = false
  #end: () => void = () => {}

  /** Serves a store that is taken, with an engine that is started (start.ts): both are its own. */
  static async serve(parts: {
    store: Store
    engine: Engine
    transport: MountSpec['transport']
    log: Log
    stays: boolean
  }): Promise<Daemon> {
    const { store, engine, transport, log, stays } = parts
    let control: Control | null = null
    try {
      control = await controlOf(store, log)
      control.serveMounts(engine, transport)
      control.stays = stays
      await control.frozen.recall()
      await control.shown.removeDead()
      const daemon = new Daemon(control, engine, log)
      await daemon.#server.listen()
      await control.upkeep.start()
      control.scheduler.start()
      setTimeout(() => void daemon.#loadRest(), LOAD_MS).unref()
      log.info(`process ${process.pid} serves the store ${store.places.root} by ${transport}`)
      return daemon
    } catch (err) {
      await engine.stop()
      await control?.close()
      throw err
    }
  }

  private constructor(control: Control, engine: Engine, log: Log) {
    this.control = control
    this.#engine = engine
    this.#log = log
    this.#server = new Server(control, log)
    this.ended = new Promise((resolve) => {
      this.#end = resolve
    })
    control.stop = () => void this.stop('it was asked to')
    engine.onEvent((event) => this.#onEvent(event))
    process.on('uncaughtException', (err) => this.#breakOff('an unexpected failure', err))
    process.on('unhandledRejection', (err) => log.error('a failure that nobody waited for', err))
    if (!control.stays) this.#watchIdle()
  }

  /** Ends the daemon; further calls wait for the same end. */
  async stop(reason: string): Promise<void> {
    if (this.#stopping) return this.ended
    this.#stopping = true
    this.#log.info(`stopping: ${reason}`)
    this.#server.drain()
    this.control.ending.abort()
    const guard = setTimeout(() => this.#breakOff('something did not end'), EXIT_MS)
    try {
      await this.control.queue.idle()
      // What has just ended is being answered.
      await new Promise((resolve) => setImmediate(resolve))
      this.#server.end()
      for (const { mountPoint } of this.control.mounts?.list() ?? [])
        this.control.events.tell('unmounted', `unmounted ${mountPoint}: ${reason}`, { mountPoint })
      await this.#engine.stop()
      await this.control.frozen.stop()
      await this.control.shown.stop()
      await this.control.close()
    } catch (err) {
      this.#log.error('not everything could be ended in order', err)
    }
    clearTimeout(guard)
    this.#end()
  }

  /** Ends at once. The mounts are detached first, because a dead one hangs whoever looks at it. */
  #breakOff(why: string, cause?: unknown): void {
    this.#log.error(`breaking off: ${why}`, cause)
    this.#detachAll()
    // process.exit would wait for the thread that hangs.
    sys.exit(1)
  }

  #detachAll(): void {
    this.control.frozen.detachAll()
    for (const { mountPoint } of this.control.mounts?.list() ?? []) {
      try {
        unmountFuse(bytesOf(mountPoint), true)
      } catch (err) {
        this.#log.error(`${mountPoint} could not be detached`, err)
      }
    }
  }

  #onEvent(event: EngineEvent): void {
    if (event.kind === 'trace') this.#log.info(event.line)
    else if (event.kind === 'freeze-failed') void this.control.frozen.failed(event.id, event.reason)
    else if (event.id === ENGINE) this.#engineFailed(event.reason)
    else this.#mountGone(event)
  }

  #mountGone(event: Extract<EngineEvent, { kind: 'unmounted' | 'failed' }>): void {
    const mounted = this.control.mounts?.forget(event.id) ?? null
    if (mounted === null) return
    const { mountPoint } = mounted
    const kind = event.kind === 'failed' ? 'failed' : 'unmounted'
    this.#log.warn(`${kind} ${mountPoint}: ${event.reason}`)
    this.control.events.tell(kind, `${mountPoint}: ${event.reason}`, { mountPoint })
  }

  // Nobody answers the kernel any more.
  #engineFailed(reason: string): void {
    this.control.events.tell('failed', `the engine ended: ${reason}`)
    this.#detachAll()
    void this.stop(reason)
  }

  #watchIdle(): void {
    const first = setTimeout(() => this.#stopIfIdle(), IDLE_MS)
    this.control.mounts?.whenEmpty(() => {
      clearTimeout(first)
      this.#stopIfIdle()
    })
  }

  async #loadRest(): Promise<void> {
    try {
      await loadAll()
    } catch (err) {
      this.#log.error('a part of the program cannot be loaded', err)
    }
  }

  // What is under way may be a mount, or the answer to the umount that got us here.
  async #stopIfIdle(): Promise<void> {
    await this.control.queue.idle()
    if (this.control.mounts?.isEmpty === true) await this.stop('nothing is mounted')
  }
}
