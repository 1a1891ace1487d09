// svsfs activate, deactivate, priority, reset: what mounts show, and in which order.

import { Failure } from '../base/failure.ts'
import type { OrderAnswer } from '../daemon/order-methods.ts'
import { confirm } from './ask.ts'
import { type CommandRow, option, readNumber } from './command.ts'
import type { Output } from './output.ts'
import { switchSublayer } from './sublayer-commands.ts'
import { shellWord } from './words.ts'

export const activate: CommandRow<{ names: string[]; sublayer: string | null }, OrderAnswer[]> = {
  about:
    'Running programs see them without a remount. It stays so until svsfs deactivate, also after a restart. With --sublayer the layer writes to another of its writable sublayers from now on (svsfs layer sublayers lists them), and shows what that holds; the one before is kept as it is.',
  options: [option('--sublayer <sublayer>', 'switch one layer to this writable sublayer')],
  examples: [
    'svsfs activate tools',
    'svsfs activate tools fonts',
    'svsfs activate tools --sublayer old',
  ],
  parse: (words) => ({ names: words.args(0), sublayer: words.text('sublayer') }),
  run: async (context, { names, sublayer }) => {
    if (sublayer !== null) {
      if (names.length > 1) throw new Failure('SVS_USAGE', '--sublayer is for one layer')
      return [await switchSublayer(context, names[0]!, sublayer)]
    }
    return inTurn(names, (layer) => context.session.call('activate', { layer }))
  },
  print: (answers, out) => {
    printOrder(answers, out, 'active')
    if (answers.every(({ mounts }) => mounts.length === 0)) out.note('svsfs mount DIR shows it')
  },
}

export const deactivate: CommandRow<string[], OrderAnswer[]> = {
  about: 'Files that are open go on working. What was changed in the layer stays in it.',
  examples: ['svsfs deactivate tools'],
  parse: (words) => words.args(0),
  run: ({ session }, names) => inTurn(names, (layer) => session.call('deactivate', { layer })),
  print: (answers, out) => {
    printOrder(answers, out, 'inactive')
    const names = answers.filter(({ changed }) => changed).map(({ layer }) => shellWord(layer))
    if (names.length > 0) out.note(`svsfs activate ${names.join(' ')} takes this back`)
  },
}

/** One after the other. Where one fails, those before it are named. */
async function inTurn(
  names: readonly string[],
  act: (name: string) => Promise<OrderAnswer>,
): Promise<OrderAnswer[]> {
  const answers: OrderAnswer[] = []
  for (const name of names) {
    try {
      answers.push(await act(name))
    } catch (err) {
      if (answers.length === 0) throw err
      const done = answers.map(({ layer }) => layer).join(', ')
      const { message } = err as Error
      throw new Failure('SVS_IN_PART', done, `${name}, because ${message}`, { cause: err })
    }
  }
  return answers
}

function printOrder(answers: readonly OrderAnswer[], out: Output, now: string): void {
  for (const { layer, changed, mounts } of answers) {
    if (!changed) out.line(`layer ${layer} is ${now} already`)
    else out.line(`layer ${layer} is ${now}${where(mounts)}`)
  }
}

const where = (mounts: readonly string[]): string =>
  mounts.length === 0 ? ' (nothing mounted shows it)' : `: ${mounts.join(', ')}`

export const priority: CommandRow<{ layer: string; priority: number }, OrderAnswer> = {
  about:
    'Of two layers with the same file, the higher one shows its own. Of equals, the younger is above.',
  examples: ['svsfs priority tools 10', 'svsfs priority tools -- -5'],
  parse: (words) => ({
    layer: words.arg(0),
    priority: readNumber('the priority', words.arg(1), { whole: true }),
  }),
  run: ({ session }, wish) => session.call('priority', wish),
  print: ({ layer, mounts }, out, { priority: n }) =>
    out.line(`layer ${layer} has priority ${n}${mounts.length === 0 ? '' : where(mounts)}`),
}

interface ResetWish {
  readonly layer: string
  readonly snapshot: boolean
  readonly yes: boolean
}

export const reset: CommandRow<ResetWish, OrderAnswer & { state: string | null }> = {
  about:
    'The layer is as it was imported, at once. What it was before is kept as a state, so a reset can be undone, unless --no-snapshot says otherwise. On a full disk there is no room for a state: --no-snapshot then frees what was changed.',
  options: [
    option('--no-snapshot', 'keep nothing of what is thrown away'),
    option('--yes', 'do not ask, with --no-snapshot'),
  ],
  examples: ['svsfs reset tools', 'svsfs reset tools --no-snapshot --yes'],
  parse: (words) => ({
    layer: words.arg(0),
    snapshot: words.choice('snapshot') !== false,
    yes: words.flag('yes'),
  }),
  run: async ({ session }, { layer, snapshot, yes }) => {
    if (!snapshot && !yes) await confirm(`Throw away all changes in layer ${layer}, for good?`)
    return session.call('reset', { layer, snapshot })
  },
  print: ({ layer, state }, out) => {
    out.line(`layer ${layer} is as it was imported`)
    if (state !== null)
      out.note(`svsfs restore ${shellWord(layer)} ${state} brings back what it was`)
  },
}
