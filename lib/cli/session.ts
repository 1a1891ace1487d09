// How a command reaches a store: through the daemon where one runs, otherwise by opening the
// store itself; a mount starts the daemon.
//
//   call ─▶ socket answers?  yes ─▶ ask the daemon
//                            no  ─▶ needs a mount? ─▶ start the daemon, ask it
//                                                  └▶ open the store, run the row, close it
//
// Rule: what runs is the same row of the same table. A store that another process holds for a
// moment (it is starting, ending, or one command long) is waited for, and no longer.

import { setTimeout as sleep } from 'node:timers/promises'
import { Failure } from '../base/failure.ts'
import type { Answer, MethodName, Params } from '../daemon/api.ts'
import { Client } from '../daemon/client.ts'
import { needsOf } from '../daemon/needs.ts'
import { type StorePlaces, storePlaces } from '../daemon/store-path.ts'
import { isAlive } from '../host/alive.ts'
import { OwnStore } from './own-store.ts'

/** How long a store that is in use is waited for. */
const PATIENCE_MS = 20_000
/** How long a store that is kept open waits for the next call. */
const PAUSE_MS = 300

export class Session {
  /** True where another machine's store is asked. */
  readonly isRemote: boolean = false
  readonly places: StorePlaces
  #progress: (text: string) => void
  #client: Client | null = null
  #transport: 'direct' | 'fuse-native' = 'direct'
  readonly #own: OwnStore

  constructor(root: string, progress: (text: string) => void) {
    this.places = storePlaces(root)
    this.#own = new OwnStore(root)
    this.#progress = progress
  }

  /** Who hears of work that takes long, from now on. */
  onProgress(progress: (text: string) => void): void {
    this.#progress = progress
  }

  /** The transport of a daemon that this command has to start. */
  preferTransport(transport: 'direct' | 'fuse-native'): void {
    this.#transport = transport
  }

  async call<Name extends MethodName>(name: Name, params: Params<Name>): Promise<Answer<Name>> {
    const until = Date.now() + PATIENCE_MS
    for (;;) {
      try {
        return await this.#once(name, params)
      } catch (err) {
        if (!isPassing(err) || Date.now() > until) throw err
        this.#drop()
        await sleep(50)
      }
    }
  }

  /** Waits until no process holds the store any more: the daemon ends a moment after its last mount. */
  async untilFree(): Promise<void> {
    this.#drop()
    await this.rest()
    const { lastHolder, lockStore } = await import('../daemon/store-lock.ts')
    const holder = lastHolder(this.places)
    const until = Date.now() + PATIENCE_MS
    while (Date.now() < until) {
      try {
        lockStore(this.places, 'waiting').release()
        // It has its log open to its very end, and with that the disk.
        while (holder !== null && holder !== process.pid && isAlive(holder) && Date.now() < until)
          await sleep(10)
        return
      } catch (err) {
        if (!isPassing(err)) throw err
        await sleep(20)
      }
    }
  }

  /** Where it opens the store itself, it keeps it open between calls that come soon after each other. */
  keepOpen(doing: string): void {
    this.#own.keep(PAUSE_MS, doing)
  }

  /** Gives the store back, until the next call. */
  rest(): Promise<void> {
    return this.#own.close()
  }

  async close(): Promise<void> {
    this.#drop()
    await this.rest()
  }

  async #once<Name extends MethodName>(name: Name, params: Params<Name>): Promise<Answer<Name>> {
    // Where this process has the store, no daemon has.
    if (!this.#own.isOpen) this.#client ??= await Client.connect(this.places)
    if (this.#client !== null) return this.#client.call(name, params, this.#progress)
    const { daemon, creates = false } = needsOf(name)
    if (!daemon) return this.#direct(name, params, creates)
    await this.rest()
    await this.#startDaemon(creates)
    this.#client = await Client.connect(this.places)
    if (this.#client === null) throw new Failure('SVS_DAEMON_STOPPING')
    return this.#client.call(name, params, this.#progress)
  }

  async #direct<Name extends MethodName>(
    name: Name,
    params: Params<Name>,
    create: boolean,
  ): Promise<Answer<Name>> {
    const interrupts = new Interrupts()
    const call = { progress: this.#progress, whenGone: interrupts.listen }
    try {
      return await this.#own.perform(name, params, call, create)
    } finally {
      interrupts.end()
    }
  }

  async #startDaemon(create: boolean): Promise<void> {
    const { takeStore } = await import('../daemon/store.ts')
    const { openLog } = await import('../daemon/daemon-log.ts')
    const { startDetached } = await import('../daemon/detach.ts')
    const { root } = this.places
    // Made here, so that what the disk cannot hold is said before anything is started.
    takeStore(root, 'svsfs mount', create).release()
    await startDetached({ kind: 'store', root, transport: this.#transport }, openLog(this.places))
  }

  #drop(): void {
    this.#client?.close()
    this.#client = null
  }
}

/**
 * Ctrl-C for work in this process that can be broken off; whatever else runs ends the usual way.
 * A second one ends the process where it is.
 */
class Interrupts {
  readonly #givenBack: (() => void)[] = []

  readonly listen = (giveBack: () => void): void => {
    if (this.#givenBack.length === 0) for (const signal of SIGNALS) process.once(signal, this.#act)
    this.#givenBack.push(giveBack)
  }

  end(): void {
    for (const signal of SIGNALS) process.off(signal, this.#act)
  }

  readonly #act = (): void => {
    this.end()
    for (const giveBack of this.#givenBack) giveBack()
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

const isPassing = (err: unknown): boolean =>
  err instanceof Failure && (err.code === 'SVS_STORE_LOCKED' || err.code === 'SVS_DAEMON_STOPPING')
