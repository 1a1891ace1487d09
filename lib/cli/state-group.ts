// svsfs state …: names, tags and pins of states that there are; deleting them.

import { Failure } from '../base/failure.ts'
import type { StateLine } from '../daemon/state-methods.ts'
import { splitName, splitRange } from '../snapshot/state-name.ts'
import { confirm } from './ask.ts'
import { type CommandRow, option, repeated } from './command.ts'
import { describe, fullName, tagsOf } from './state-commands.ts'
import { plural } from './words.ts'

interface Named {
  readonly layer: string
  readonly state: string
}

function named(word: string): Named {
  const { layer, state } = splitName(word)
  if (state === null || state === '')
    throw new Failure('SVS_USAGE', `name the state: ${layer}@STATE`)
  return { layer, state }
}

export const label: CommandRow<Named & { label: string | null }, StateLine> = {
  about: 'One word, which no other state of the layer has. --none takes the label away.',
  options: [option('--none', 'no label any more')],
  examples: ['svsfs state label firefox@3f9a clean', 'svsfs state label firefox@clean --none'],
  parse: (words) => {
    const wanted = words.optionalArg(1)
    if ((wanted === null) !== words.flag('none'))
      throw new Failure('SVS_USAGE', 'give either a label or --none')
    return { ...named(words.arg(0)), label: wanted }
  },
  run: ({ session }, wish) => session.call('state.label', wish),
  print: (state, out) =>
    out.line(
      state.label === null
        ? `state ${state.id} has no label`
        : `state ${state.id} is ${state.layer}@${state.label}`,
    ),
}

interface TagWish extends Named {
  readonly set: Record<string, string>
  readonly remove: string[]
}

export const tag: CommandRow<TagWish, StateLine> = {
  about:
    'A tag is KEY=VALUE, or KEY alone. svsfs forget --keep-tag keeps the states that have one.',
  options: [repeated('--remove <key>', 'a tag that goes; as often as wanted')],
  examples: [
    'svsfs state tag firefox@latest release=12 tested',
    'svsfs state tag firefox@latest --remove tested',
  ],
  parse: (words) => {
    const set = tagsOf(words.args(1))
    const remove = words.list('remove') ?? []
    if (Object.keys(set).length + remove.length === 0)
      throw new Failure('SVS_USAGE', 'give tags as KEY=VALUE, or --remove KEY')
    return { ...named(words.arg(0)), set, remove }
  },
  run: ({ session }, wish) => session.call('state.tag', wish),
  print: (state, out) => out.line(`state ${state.id}: ${describe(state)}`),
}

const pinning = (pinned: boolean): CommandRow<Named, StateLine> => ({
  examples: [`svsfs state ${pinned ? 'pin' : 'unpin'} firefox@clean`],
  parse: (words) => named(words.arg(0)),
  run: ({ session }, wish) => session.call('state.pin', { ...wish, pinned }),
  print: (state, out) =>
    out.line(`state ${fullName(state)} is ${state.pinned ? 'pinned' : 'not pinned'}`),
})

export const pin = pinning(true)
export const unpin = pinning(false)

export const remove: CommandRow<Named & { yes: boolean }, StateLine[]> = {
  about:
    'The layer stays as it is; what only this state held is removed by svsfs gc, which the daemon also runs by itself. NAME@A..B deletes all from A to B. A pinned state is not deleted.',
  options: [option('--yes', 'do not ask')],
  examples: ['svsfs state delete firefox@3f9a --yes', 'svsfs state delete firefox@..clean'],
  parse: (words) => ({ ...named(words.arg(0)), yes: words.flag('yes') }),
  run: async ({ session }, { yes, ...wish }) => {
    if (!yes) {
      const found = await session.call('snapshots', wish)
      const what = splitRange(wish.state) === null ? '' : ` (${wish.state})`
      await confirm(`Delete ${plural(found.length, 'state')} of ${wish.layer}${what}?`)
    }
    return session.call('state.delete', wish)
  },
  print: (states, out) => {
    for (const state of states) out.line(`deleted state ${fullName(state)}`)
  },
}
