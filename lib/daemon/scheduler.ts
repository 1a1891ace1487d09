// Taking states by themselves: the schedules of a store, run by its daemon.
//
//   tick ─▶ what is due ─▶ a state, where something changed ─▶ what its policy does not keep goes
//    ▲                                                        └▶ when it ran: synced
//    └── at the next one's time, and every half minute: clocks are set, machines sleep
//
// Rule: one at a time; what fails is told as an event and kept with the schedule, which goes on.

import { notifyPerson } from '../host/notification.ts'
import type { LayerRecord, Schedule } from '../snapshot/records.ts'
import type { Control } from './control.ts'
import { errorWords } from './errors.ts'

/** How long a clock is trusted. */
const LONGEST_WAIT_MS = 30_000

export class Scheduler {
  readonly #control: Control
  #timer: NodeJS.Timeout | null = null
  #started = false
  #ticking: Promise<void> | null = null
  #again = false

  constructor(control: Control) {
    this.#control = control
  }

  start(): void {
    this.#started = true
    this.wake()
  }

  /** Schedules have changed: looks at them now. */
  wake(): void {
    if (!this.#started || this.#control.ending.signal.aborted) return
    if (this.#ticking !== null) {
      this.#again = true
      return
    }
    this.#again = false
    this.#ticking = this.#tick().finally(() => {
      this.#ticking = null
      if (this.#again) this.wake()
    })
  }

  async #tick(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer)
    let wait = LONGEST_WAIT_MS
    try {
      const schedules = await this.#control.catalogue.schedules()
      if (schedules.length > 0) wait = Math.min(wait, await this.#runDue(schedules))
    } catch (err) {
      this.#control.log.error('schedules cannot be run', err)
    }
    this.#timer = setTimeout(() => this.wake(), Math.max(wait, 10)).unref()
  }

  /** Runs what is due, and answers how long it is until the next is. */
  async #runDue(schedules: readonly Schedule[]): Promise<number> {
    const { nextRun } = await import('./next-run.ts')
    for (const schedule of schedules) {
      if (this.#control.ending.signal.aborted) return LONGEST_WAIT_MS
      const at = schedule.paused ? null : nextRun(schedule)
      if (at !== null && at <= Date.now()) await this.#run(schedule)
    }
    const due = (await this.#control.catalogue.schedules())
      .filter(({ paused }) => !paused)
      .map((each) => nextRun(each) ?? Number.POSITIVE_INFINITY)
    return Math.min(LONGEST_WAIT_MS, ...due.map((at) => at - Date.now()))
  }

  async #run(schedule: Schedule): Promise<void> {
    const { catalogue, queue } = this.#control
    await queue.run(schedule.layer, async () => {
      const layer = await catalogue.layer(schedule.layer)
      // Deleted, and perhaps brought back one day; removed or paused while it waited its turn.
      const now = (await catalogue.schedules()).find(({ id }) => id === schedule.id)
      if (now === undefined || now.paused) return
      const at = Date.now()
      const done = layer === null ? { state: '', failure: null } : await this.#take(layer, now)
      await catalogue.putSchedule({ ...now, last: { at, ...done } })
    })
  }

  async #take(
    layer: LayerRecord,
    { keep }: Schedule,
  ): Promise<{ state: string; failure: string | null }> {
    const { events, log } = this.#control
    try {
      const { takeState } = await import('./states.ts')
      const wish = { message: '', label: null, trigger: 'scheduled' } as const
      const taken = await takeState(this.#control, layer, wish)
      const { forgetStates } = await import('./forgetting.ts')
      if (keep !== null) await forgetStates(this.#control, layer, keep)
      return { state: taken.kind === 'taken' ? taken.snapshot.id : '', failure: null }
    } catch (err) {
      const { message } = errorWords(err)
      log.warn(`a scheduled state of layer ${layer.name} failed`, err)
      events.tell('failed', `scheduled state of ${layer.name}: ${message}`, { layer: layer.name })
      notifyPerson({ title: `No state of ${layer.name} was kept`, text: message, failure: true })
      return { state: '', failure: message }
    }
  }
}
