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
import type { Control } from '../daemon/control.ts'
import { needsOf } from '../daemon/needs.ts'
import { type StorePlaces, storePlaces } from '../daemon/store-path.ts'
import { isAlive } from '../host/alive.ts'

/** How long a store that is in use is waited for. */
const PATIENCE_MS = 20_000

export class Session {
  /** True where another machine's store is asked. */
  readonly isRemote: boolean = false
  readonly places: StorePlaces
  #progress: (text: string) => void
  #client: Client | null = null
  #transport: 'direct' | 'fuse-native' = 'direct'

  constructor(root: string, progress: (text: string) => void) {
    this.places = storePlaces(root)
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

  async close(): Promise<void> {
    this.#drop()
  }

  async #once<Name extends MethodName>(name: Name, params: Params<Name>): Promise<Answer<Name>> {
    this.#client ??= await Client.connect(this.places)
    if (this.#client !== null) return this.#client.call(name, params, this.#progress)
    const { daemon, creates = false } = needsOf(name)
    if (!daemon) return this.#direct(name, params, creates)
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
    const { perform } = await import('../daemon/api.ts')
    const { openControl } = await import('../daemon/control.ts')
    const doing = `svsfs ${name.replace('.', ' ')}`
    const interrupts = new Interrupts()
    const control: Control = await openControl({ root: this.places.root, doing, create })
    try {
      const call = { progress: this.#progress, whenGone: interrupts.listen }
      return (await perform(control, name, params, call)) as Answer<Name>
    } finally {
      interrupts.end()
      await control.close()
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
