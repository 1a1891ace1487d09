// The workers of one run, as processes.
//
// Rule: the first that fails fails all; whoever starts a crew dismisses it.

import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { FromWorker, ToWorker } from './worker.ts'

const PROGRAM = fileURLToPath(new URL('./worker.js', import.meta.url))

export class Crew {
  readonly #workers: readonly ChildProcess[]
  #failure: Error | null = null
  #answers = 0
  #acts = 0
  #settle: (() => void) | null = null

  constructor(mount: string, count: number, seed: number) {
    this.#workers = Array.from({ length: count }, (_, i) => {
      const child = fork(PROGRAM, [mount, String(i), String(seed * 100 + i)], { execArgv: [] })
      child.on('message', (message: FromWorker) => this.#hears(i, message))
      child.on('exit', (status, signal) => this.#fails(`worker ${i} ended: ${signal ?? status}`))
      return child
    })
  }

  #hears(worker: number, message: FromWorker): void {
    if (message.kind === 'failed') {
      const acts = message.acts.map((act) => `  ${act}`).join('\n')
      this.#fails(`worker ${worker}: ${message.why}\nits last acts:\n${acts}`)
      return
    }
    this.#answers += 1
    this.#acts += message.acts
    if (this.#answers === this.#workers.length) this.#settle?.()
  }

  #fails(why: string): void {
    this.#failure ??= new Error(why)
    this.#settle?.()
  }

  /** Throws what a worker failed with, if one did. */
  check(): void {
    if (this.#failure !== null) throw this.#failure
  }

  go(): void {
    this.#tell('go')
  }

  /** Ends the acts; the answer is how many there were. */
  stop(): Promise<number> {
    return this.#ask('stop')
  }

  /** Every worker looks at everything. */
  async look(): Promise<void> {
    await this.#ask('check')
  }

  async #ask(message: ToWorker): Promise<number> {
    this.check()
    this.#answers = 0
    this.#acts = 0
    const all = new Promise<void>((settle) => {
      this.#settle = settle
    })
    this.#tell(message)
    await all
    this.check()
    return this.#acts
  }

  #tell(message: ToWorker): void {
    for (const worker of this.#workers) if (worker.connected) worker.send(message)
  }

  /** Ends the processes. */
  async dismiss(): Promise<void> {
    this.#failure ??= new Error('dismissed')
    const ends = this.#workers.map(
      (worker) =>
        new Promise<void>((ended) => {
          if (worker.exitCode !== null || worker.signalCode !== null) ended()
          else worker.once('exit', () => ended())
        }),
    )
    for (const worker of this.#workers) worker.kill('SIGKILL')
    await Promise.all(ends)
  }
}
