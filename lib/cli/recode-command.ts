// svsfs recode: programs in states are stored better, when there is time for it.

import { Failure } from '../base/failure.ts'
import type { RecodeAnswer } from '../daemon/recode-methods.ts'
import { type CommandRow, option } from './command.ts'
import { plural, size } from './words.ts'

interface RecodeWish {
  readonly layer: string | null
  readonly state: string | null
  readonly seconds: number | null
}

export const recode: CommandRow<RecodeWish, RecodeAnswer> = {
  about: `A snapshot is stored in a moment. This takes more time for programs and libraries (ELF) that were built again: old and new code are aligned, and what is stored is how they differ, often a third of what it was. Mounts, snapshots and restores go on meanwhile; states keep their names and their files; it may be broken off at any time, and goes on where it was.

Without a state it is done for all states of the layer, without a name for the whole store. What it replaces is removed at once, or, where the time is over, by svsfs gc, as by the daemon itself.

While something is mounted the daemon does it by itself, for two minutes each time that it looks for garbage: for states that are a day old, each once; not on battery, and not with SVSFS_RECODE=off in its environment.`,
  options: [option('--seconds <number>', 'begin nothing more after so many')],
  examples: ['svsfs recode', 'svsfs recode firefox latest', 'svsfs recode firefox --seconds 60'],
  parse: (words) => ({
    layer: words.optionalArg(0),
    state: words.optionalArg(1),
    seconds: secondsOf(words.text('seconds')),
  }),
  run: ({ session }, wish) => session.call('recode', wish),
  print: ({ states, programs, recoded, saved, freed, unfinished }, out) => {
    out.line(
      `${plural(states, 'state')}, ${plural(programs, 'program')} looked at, ${recoded} stored better: ${size(saved)} saved`,
    )
    if (freed === null) out.note('svsfs gc, or the daemon by itself, frees what that replaced')
    if (unfinished) out.note('not all was looked at; svsfs recode goes on')
  },
}

function secondsOf(text: string | null): number | null {
  if (text === null) return null
  const seconds = Number(text)
  if (Number.isFinite(seconds) && seconds > 0) return seconds
  throw new Failure('SVS_USAGE', `--seconds must be a number above 0, not ${text}`)
}
