// svsfs snapshot, snapshots: states of layers in time.

import type { Command } from 'commander'
import type { SnapshotAnswer, StateLine } from '../daemon/state-methods.ts'
import { addCommand, type CommandRow, option } from './command.ts'
import { ago, clock, size } from './words.ts'

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

/** Label and message of a state, or what it changed. */
export const describe = (state: StateLine): string =>
  [state.label === null ? '' : `[${state.label}]`, state.message || difference(state)]
    .filter(Boolean)
    .join(' ')

export function addStateCommands(program: Command): void {
  addCommand(program, snapshot)
  addCommand(program, snapshots)
}
