// Storing programs better by itself, when nobody waits: each state once, when it is a day old.
//
//   recoded/<layer> ─▶ states after that time, the oldest first ─▶ recodeState ─▶ its time is noted
//
// Rule: two minutes at a time, one thread, and none on battery or with SVSFS_RECODE=off; a state
// whose time was not enough is left to `svsfs recode`.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Control } from './control.ts'
import { recodeOne } from './recode-methods.ts'

const DAY_MS = 24 * 3600 * 1000
const BUDGET_MS = 120_000
const SUPPLIES = '/sys/class/power_supply'

export interface RecodingOptions {
  /** How old a state must be, and how long it may take, in milliseconds. */
  readonly age?: number
  readonly budget?: number
  readonly supplies?: string
}

/** Recodes what is due. Returns how many programs are stored better. */
export async function recodeDue(
  control: Control,
  { age = DAY_MS, budget = BUDGET_MS, supplies = SUPPLIES }: RecodingOptions = {},
): Promise<number> {
  if (process.env.SVSFS_RECODE === 'off' || onBattery(supplies)) return 0
  const { catalogue, ending } = control
  const end = Date.now() + budget
  let recoded = 0
  let first = true
  for (const layer of await catalogue.layers()) {
    const done = await catalogue.recodedUntil(layer.id)
    for (const { id, time } of await catalogue.listed(layer.id)) {
      if (time <= done || time > Date.now() - age) continue
      const left = end - Date.now()
      if (left <= 0 || ending.signal.aborted) return recoded
      const snapshot = await catalogue.findSnapshot(layer.id, id)
      const found = snapshot === null ? null : await recodeOne(control, layer, snapshot, left)
      recoded += found?.recoded ?? 0
      // The next time it is the first, and has all the time.
      if (found?.unfinished === true && !first) return recoded
      first = false
      await catalogue.setRecodedUntil(layer.id, time)
    }
  }
  return recoded
}

/** True where the machine has mains, and none of it is there now. */
export function onBattery(supplies: string): boolean {
  const mains = suppliesOf(supplies).filter((name) => textOf(supplies, name, 'type') === 'Mains')
  return mains.length > 0 && mains.every((name) => textOf(supplies, name, 'online') === '0')
}

function suppliesOf(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch {
    return [] // not told here: a server, a container
  }
}

function textOf(...path: string[]): string {
  try {
    return readFileSync(join(...path), 'utf8').trim()
  } catch {
    return '' // plugged out in this moment
  }
}
