// What a daemon does by itself, when nobody waits for it: removing garbage, storing programs better.
//
//   states or layers deleted ─┐
//   a day since the last time ─┴▶ a quiet minute ─▶ recodeDue ─▶ collectStore, a tenth of the time
//
// Rule: it never keeps the process, is broken off when the process ends, and what fails is logged
// and tried again later. A command that opens the store itself leaves its garbage to the next daemon.

import { Failure } from '../base/failure.ts'
import type { Control } from './control.ts'

const DAY_MS = 24 * 3600 * 1000
const QUIET_MS = 60_000
/** The part of the time that it takes of the main thread. */
const SHARE = 0.1

export class Upkeep {
  readonly #control: Control
  #quiet = QUIET_MS
  #timer: NodeJS.Timeout | null = null
  #running = false
  /** Something was deleted while it worked, or it could not work. */
  #more = false
  #started = false

  constructor(control: Control) {
    this.#control = control
  }

  /** From now on it works by itself, after so many quiet milliseconds. */
  async start(quiet = QUIET_MS): Promise<void> {
    this.#started = true
    this.#quiet = quiet
    const swept = await this.#control.catalogue.swept()
    this.#wait(Math.max(this.#quiet, swept + DAY_MS - Date.now()))
  }

  /** Something was deleted: what it alone held is garbage. */
  garbage(): void {
    if (this.#running) this.#more = true
    else if (this.#started) this.#wait(this.#quiet)
  }

  #wait(ms: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    // Longer waits than setTimeout knows of end early, which does no harm.
    this.#timer = setTimeout(() => void this.#collect(), Math.min(ms, DAY_MS)).unref()
  }

  async #recode(): Promise<void> {
    const { ending, log } = this.#control
    try {
      const { recodeDue } = await import('./recoding.ts')
      const recoded = await recodeDue(this.#control)
      if (recoded > 0) log.info(`${recoded} programs of states are stored better`)
    } catch (err) {
      if (!ending.signal.aborted) log.warn('programs of states stay as they are', err)
    }
  }

  async #collect(): Promise<void> {
    const { ending, log } = this.#control
    if (ending.signal.aborted) return
    this.#running = true
    this.#more = false
    try {
      await this.#recode()
      const { Pace } = await import('../snapshot/pace.ts')
      const { collectStore } = await import('./garbage.ts')
      const pace = new Pace(SHARE, ending.signal)
      const found = await collectStore(this.#control, {
        dryRun: false,
        all: false,
        pace,
        progress() {},
      })
      if (found.chunks > 0) log.info(`removed ${found.chunks} chunks that no state needs`)
    } catch (err) {
      // Somebody looks for garbage at this moment, perhaps without removing any.
      if (err instanceof Failure && err.code === 'SVS_STORE_BUSY') this.#more = true
      else if (!ending.signal.aborted) log.warn('garbage is left where it is', err)
    } finally {
      this.#running = false
      this.#wait(this.#more ? this.#quiet : DAY_MS)
    }
  }
}
