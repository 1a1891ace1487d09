// `--at TIME`: which state a time means, in words or as a date.
//
//   "yesterday", "10 min ago", 2026-11-20T18:00 ─▶ at:<milliseconds> ─▶ the newest state of then
//
// Rule: the whole text is a time, or it is refused: nothing is restored by half an understanding.

import { Failure } from '../base/failure.ts'
import { nameAt } from '../snapshot/state-name.ts'
import { option } from './command.ts'

/** The option, wherever a state may be named. */
export const atOption = () =>
  option(
    '--at <time>',
    'the newest state of that time: "yesterday", "10 min ago", 2026-11-20T18:00',
  )

/** The state that was the newest at a time, as findState takes it. Throws SVS_USAGE. */
export async function stateAt(text: string, now = new Date()): Promise<string> {
  const { parse } = await import('chrono-node/en')
  const [found, further] = parse(text, now)
  const isWhole = found?.text.trim().toLowerCase() === text.trim().toLowerCase()
  if (found === undefined || further !== undefined || !isWhole || found.end)
    throw new Failure(
      'SVS_USAGE',
      `"${text}" is no time; --at takes "yesterday", "10 min ago", "18 Nov 9:00" or 2026-11-20T18:00`,
    )
  const time = found.date()
  if (time > now)
    throw new Failure(
      'SVS_USAGE',
      `"${text}" would be ${time.toISOString()}, which is still to come`,
    )
  return nameAt(time.getTime())
}
