// svsfs timeline: the states of a layer as a drawing, with their branches and where now stands.

import type { TimelineAnswer } from '../daemon/log-methods.ts'
import { createColors } from './colors.ts'
import { type CommandRow, option } from './command.ts'
import { drawTimeline } from './timeline-drawing.ts'

interface TimelineWish {
  readonly layer: string
  readonly limit: number | null
  readonly color: boolean | null
}

export const timeline: CommandRow<TimelineWish, TimelineAnswer> = {
  paged: true,
  about:
    'The newest state is above; a line leads from each to the one that it came from. What a restore left behind branches off. The circle is the layer as it is now, on the line of the state that it came from; a dotted line passes states that were deleted. The size is what a state added to the store.',
  options: [option('-n, --limit <n>', 'only so many, the newest')],
  examples: ['svsfs timeline firefox', 'svsfs timeline firefox --limit 20'],
  parse: (words) => ({
    layer: words.arg(0),
    limit: words.number('limit', { whole: true, least: 1 }),
    color: words.choice('color'),
  }),
  run: ({ session }, { layer, limit }) => session.call('timeline', { layer, limit }),
  print: (answer, out, { color, limit }) => {
    const { states, layer, total } = answer
    if (states.length === 0) return out.note(`no states of ${layer} yet; svsfs snapshot makes one`)
    const columns = process.stdout.columns ?? 80
    for (const line of drawTimeline(answer, columns, createColors(color))) out.line(line)
    if (limit !== null && total > states.length)
      out.note(`${total - states.length} older states are not shown`)
  },
}
