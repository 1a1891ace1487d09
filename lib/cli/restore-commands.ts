// svsfs restore: a layer goes back to a state.

import type { Command } from 'commander'
import { Failure } from '../base/failure.ts'
import type { RestoreAnswer } from '../daemon/restore-methods.ts'
import { needTerminal, pick } from './ask.ts'
import { addCommand, type CommandRow, type Context, option } from './command.ts'
import { describe } from './state-commands.ts'
import { ago, clock, plural, shellWord, size } from './words.ts'

interface RestoreWish {
  readonly layer: string | null
  readonly state: string | null
  readonly pick: boolean
}

const restore: CommandRow<RestoreWish, RestoreAnswer> = {
  usage: 'restore [name] [state]',
  summary: 'put a layer back to a state, at once and for running programs too',
  about: `A state is named by its id or the beginning of it, by its label, by "latest", or by -1 for the one before the latest, -2 and so on. What is replaced is kept as a state first, so that a restore can be undone.

Files that a program has open go on as they were; it sees the restored ones when it opens them again.`,
  options: [option('--pick', 'choose from a list')],
  examples: [
    'svsfs restore firefox --pick',
    'svsfs restore firefox latest',
    'svsfs restore firefox 3f9a',
    'svsfs restore firefox -1',
  ],
  parse: (words) => ({
    layer: words.optionalArg(0),
    state: words.optionalArg(1),
    pick: words.flag('pick'),
  }),
  run: async (context, wish) => {
    const { layer, state } = await chosen(context, wish)
    return context.session.call('restore', { layer, state })
  },
  print: ({ layer, state, before, changed, mounts }, out) => {
    const done =
      changed === null
        ? 'as a whole'
        : `${changed.write} written, ${changed.remove} removed, ${changed.attrs} with other attributes`
    out.line(`layer ${layer} is as ${ago(state.time)} (state ${state.id}): ${done}`)
    if (mounts.length > 0) out.line(`seen at ${mounts.join(', ')}`)
    out.note(`svsfs restore ${shellWord(layer)} ${before.id} undoes this`)
  },
}

async function chosen(
  context: Context,
  { layer, state, pick: picks }: RestoreWish,
): Promise<{ layer: string; state: string }> {
  if (!picks) {
    if (layer === null)
      throw new Failure('SVS_USAGE', 'restore needs a layer and a state, or --pick')
    return { layer, state: state ?? (await refuseWithoutState(context, layer)) }
  }
  if (state !== null) throw new Failure('SVS_USAGE', 'give either a state or --pick')
  needTerminal('a layer and a state (svsfs snapshots lists them)')
  return pickState(context, layer)
}

async function refuseWithoutState({ session }: Context, layer: string): Promise<never> {
  const last = (await session.call('snapshots', { layer })).slice(0, 5)
  if (last.length === 0) throw new Failure('SVS_STATE_NONE', layer)
  const list = last.map((state) => `\n  ${state.id}  ${ago(state.time)}  ${describe(state)}`)
  throw new Failure('SVS_STATE_MISSING', layer, list.join(''))
}

async function pickState(
  { session }: Context,
  layer: string | null,
): Promise<{ layer: string; state: string }> {
  const states = await session.call('snapshots', { layer })
  if (states.length === 0) throw new Failure('SVS_STATE_NONE', layer ?? 'any layer')
  const instead = 'a layer and a state'
  const id = await pick(
    layer === null ? 'Which state?' : `Which state of ${layer}?`,
    states.map((state) => ({
      value: state.id,
      label: `${ago(state.time)}  ${layer === null ? `${state.layer}  ` : ''}${describe(state)}`,
      hint: `${clock(state.time)}, ${plural(state.entries, 'name')}, ${size(state.bytes)}`,
    })),
    instead,
  )
  return { layer: states.find((state) => state.id === id)?.layer ?? layer ?? '', state: id }
}

export function addRestoreCommands(program: Command): void {
  addCommand(program, restore)
}
