// Writable sublayers beside the current one: svsfs layer sublayers, and switching by activate.

import type { OrderAnswer } from '../daemon/order-methods.ts'
import type { SublayerLine } from '../daemon/sublayer-methods.ts'
import { confirm } from './ask.ts'
import { type CommandRow, type Context, option } from './command.ts'
import { ago, clock } from './words.ts'

interface SublayersWish {
  readonly layer: string
  readonly forget: string | null
  readonly yes: boolean
}

export const sublayersCommand: CommandRow<SublayersWish, SublayerLine[]> = {
  about:
    'svsfs restore --as makes one of a state, svsfs activate --sublayer switches to one; what was current is kept. * marks the current one. --delete forgets one with all that was changed in it since its state.',
  options: [
    option('--delete <sublayer>', 'forget one that is not the current one'),
    option('--yes', 'do not ask'),
  ],
  examples: ['svsfs layer sublayers firefox', 'svsfs layer sublayers firefox --delete old'],
  parse: (words) => ({
    layer: words.arg(0),
    forget: words.text('delete'),
    yes: words.flag('yes'),
  }),
  run: async ({ session }, { layer, forget, yes }) => {
    if (forget === null) return session.call('sublayers', { layer })
    if (!yes) await confirm(`Forget sublayer ${forget} of ${layer}, with what was changed in it?`)
    return session.call('sublayer.delete', { layer, sublayer: forget })
  },
  print: (lines, out) =>
    out.table(
      ['', 'SUBLAYER', 'STATE', 'VERSION', 'MADE', ''],
      lines.map(({ current, name, state, version, made }) => [
        current ? '*' : '',
        name,
        state ?? '',
        String(version),
        clock(made),
        ago(made),
      ]),
    ),
}

/** Switches one layer to a kept sublayer, and activates it. */
export const switchSublayer = (
  { session }: Context,
  layer: string,
  sublayer: string,
): Promise<OrderAnswer> => session.call('sublayer.switch', { layer, sublayer })
