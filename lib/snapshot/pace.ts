// Long work on the main thread in small pieces, so that whoever else waits for it is served.
//
// Rule: a loop calls `breathe` often; work that nobody waits for takes its share of the time only.

import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { Failure } from '../base/failure.ts'

/** How long one piece of work may take. */
const PIECE_MS = 10

export class Pace {
  readonly #share: number
  readonly #signal: AbortSignal | null
  #since = performance.now()

  /** `share`: the part of the time that it may take, 1 for all of it. `signal` breaks it off. */
  constructor(share = 1, signal: AbortSignal | null = null) {
    this.#share = share
    this.#signal = signal
  }

  /** Gives way where it is time. Throws SVS_CANCELLED when broken off. */
  async breathe(): Promise<void> {
    const worked = performance.now() - this.#since
    if (worked < PIECE_MS) return
    if (this.#signal?.aborted === true) throw new Failure('SVS_CANCELLED')
    if (this.#share >= 1) await turn()
    else await sleep(worked / this.#share - worked)
    this.#since = performance.now()
  }
}
