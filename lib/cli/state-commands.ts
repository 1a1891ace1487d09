// svsfs snapshot, snapshots, restore: states of layers in time.

import type { Command } from 'commander'
import { Failure } from '../base/failure.ts'
import type { RestoreAnswer, SnapshotAnswer, StateLine } from '../daemon/state-methods.ts'
import { needTerminal, pick } from './ask.ts'
import { addCommand, type CommandRow, type Context, option } from './command.ts'
import { ago, clock, plural, shellWord, size } from './words.ts'

interface SnapshotWish {
  readonly layer: string
  readonly message: string
  readonly label: string | null
  readonly always: boolean
}

const snapshot: CommandRow<SnapshotWish, SnapshotAnswer> = {
  usage: 'snapshot <name>',
  summary: 'keep a layer as it is now, to come back to',
  about:
    'The state is that of one instant, also while programs go on writing; they are not stopped. Only what differs from the read-only part is stored, compressed.',
  options: [
    option('-m, --message <text>', 'what this state is'),
    option('--label <word>', 'a name by which svsfs restore finds it'),
    option('--always', 'also where nothing changed since the last state'),
  ],
  examples: [
    'svsfs snapshot firefox -m "before the update"',
    'svsfs snapshot firefox --label clean',
  ],
  parse: (words) => ({
    layer: words.arg(0),
    message: words.text('message') ?? '',
    label: words.text('label'),
    always: words.flag('always'),
  }),
  run: ({ session }, wish) => session.call('snapshot', wish),
  print: (state, out) => {
    if (!state.taken) out.line(`nothing changed since state ${state.id}, ${ago(state.time)}`)
    else
      out.line(
        `state ${state.id} of ${state.layer}: ${difference(state)}, ${size(state.stored)} stored`,
      )
  },
}

function difference({ counts }: StateLine): string {
  const parts = [
    [counts.added, 'added'],
    [counts.changed, 'changed'],
    [counts.deleted, 'deleted'],
    [counts.attributes, 'with other attributes'],
  ] as const
  const said = parts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`)
  return said.length === 0 ? 'no difference' : said.join(', ')
}

const snapshots: CommandRow<string | null, StateLine[]> = {
  usage: 'snapshots [name]',
  summary: 'list states, newest first',
  about: '* marks the state that the layer came from.',
  examples: ['svsfs snapshots', 'svsfs snapshots firefox'],
  parse: (words) => words.optionalArg(0),
  run: ({ session }, layer) => session.call('snapshots', { layer }),
  print: (states, out, layer) => {
    if (states.length === 0) return out.note('no states yet; svsfs snapshot NAME makes one')
    out.table(
      ['', 'STATE', ...(layer === null ? ['LAYER'] : []), 'WHEN', '', 'STORED', 'WHAT'],
      states.map((state) => [
        state.current ? '*' : '',
        state.id,
        ...(layer === null ? [state.layer] : []),
        clock(state.time),
        ago(state.time),
        size(state.stored),
        describe(state),
      ]),
    )
  },
}

const describe = (state: StateLine): string =>
  [state.label === null ? '' : `[${state.label}]`, state.message || difference(state)]
    .filter(Boolean)
    .join(' ')

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

export function addStateCommands(program: Command): void {
  addCommand(program, snapshot)
  addCommand(program, snapshots)
  addCommand(program, restore)
}
