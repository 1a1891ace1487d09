// When a schedule is due.
//
// Rule: counted from when it last ran (or was made or resumed), so that what was slept over is due
// once, at once. Cron patterns are in local time.

import { Cron } from 'croner'
import { Failure } from '../base/failure.ts'
import type { Schedule } from '../snapshot/records.ts'

/** Milliseconds since 1970; null for a pattern that never comes again. */
export function nextRun({ when, last, created }: Schedule): number | null {
  const from = Math.max(created, last?.at ?? 0)
  if ('every' in when) return from + (when.every as number)
  return (
    cronOf(when.cron as string)
      .nextRun(new Date(from))
      ?.getTime() ?? null
  )
}

/** Throws SVS_SCHEDULE_INVALID. */
export function cronOf(pattern: string): Cron {
  try {
    return new Cron(pattern)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new Failure('SVS_SCHEDULE_INVALID', pattern, why.replace(/^CronPattern: /, ''), { cause })
  }
}
