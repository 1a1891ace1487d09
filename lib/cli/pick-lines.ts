// What the picker of states draws: one line for each state, what is known of the one under the cursor, and what
// restoring it would change.
//
//   ❯ 3 days ago     Wed 18 Nov 09:12  +2 ~1    now +5 -1    before the update
//
// Rule: no line is wider than the terminal, and nothing that comes from a layer steers it.

import type { DiffAnswer, DifferenceLine } from '../daemon/diff-methods.ts'
import type { StateLine } from '../daemon/state-methods.ts'
import type { Paint } from './colors.ts'
import { contentLines, type ReadDifference } from './contents.ts'
import { printable } from './output.ts'
import { differenceWords } from './state-commands.ts'
import { ago, plural, size } from './words.ts'

const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u

/** Text of at most so many columns; what is cut off shows as `…`. */
export function cut(text: string, columns: number): string {
  const letters = [...printable(text)]
  const width = (letter: string): number => (WIDE.test(letter) ? 2 : 1)
  let room = columns
  for (const [at, letter] of letters.entries()) {
    const isLast = at === letters.length - 1
    if (room < width(letter) || (!isLast && room < width(letter) + 1))
      return `${letters.slice(0, at).join('')}${room > 0 ? '…' : ''}`
    room -= width(letter)
  }
  return letters.join('')
}

/** `Wed 18 Nov 09:12`; of another year with that in place of the time. */
export function dayTime(time: number, now = Date.now()): string {
  const date = new Date(time)
  const [, day, month, number] = /^(\w+) (\w+) (\d+)/.exec(date.toDateString()) ?? []
  const two = (value: number) => String(value).padStart(2, '0')
  const isThis = date.getFullYear() === new Date(now).getFullYear()
  const end = isThis ? `${two(date.getHours())}:${two(date.getMinutes())}` : date.getFullYear()
  return `${day} ${number} ${month} ${end}`
}

const REASONS: Readonly<Record<StateLine['trigger'], string>> = {
  manual: 'by hand',
  'before-restore': 'before a restore',
  'before-update': 'before an update',
  'before-deploy': 'before a deployment',
  scheduled: 'by a schedule',
}

/** Why it was made, with its label and its tags. */
export const why = ({ trigger, message, label, tags }: StateLine): string =>
  [
    label === null ? '' : `[${label}]`,
    message || REASONS[trigger],
    ...Object.entries(tags).map(([name, value]) => `#${name}${value === '' ? '' : `=${value}`}`),
  ]
    .filter(Boolean)
    .join(' ')

/** `+2 ~1 -3`: added, changed, deleted. */
export function short(counts: StateLine['counts']): string {
  const changed = counts.changed + counts.renamed + counts.attributes
  const parts = [
    [counts.added, '+'],
    [changed, '~'],
    [counts.deleted, '-'],
  ] as const
  return parts.flatMap(([count, sign]) => (count > 0 ? [`${sign}${count}`] : [])).join(' ') || '='
}

/**
 * One state, with what changed since the one before it and, in the words of `now`, from it until now; where
 * there is little room, without the time of day and what changed.
 */
export function stateRow(state: StateLine, columns: number, now = '…'): string {
  const words = ago(state.time).padEnd(14)
  if (columns < 60) return cut(`${words} ${why(state)}`, columns)
  const changed = `${short(state.counts).padEnd(9)} ${columns < 76 ? '' : `now ${now.padEnd(9)} `}`
  return cut(`${words} ${dayTime(state.time)}  ${changed}${why(state)}`, columns)
}

/** What typing is held against. */
export const searched = (state: StateLine): string =>
  [ago(state.time), dayTime(state.time), state.id, why(state), REASONS[state.trigger]]
    .join(' ')
    .toLowerCase()

/** What is known of the state under the cursor; `since`: from it until now, null while that is not known. */
export function detailsOf(
  state: StateLine,
  since: DiffAnswer | string | null,
  columns: number,
): string[] {
  const now =
    since === null ? '…' : typeof since === 'string' ? since : differenceWords(countsOf(since))
  const pin = `${state.pinned ? ', pinned' : ''}${state.current ? ', the layer came from it' : ''}`
  return [
    `${dayTime(state.time)}, state ${state.id.slice(0, 10)}, ${size(state.bytes)}${pin}`,
    `made ${REASONS[state.trigger]}; since the one before: ${differenceWords(state.counts)}`,
    `since then until now: ${now}`,
  ].map((line) => cut(line, columns))
}

/** How many names differ, and how. */
export function countsOf({ differences }: DiffAnswer): StateLine['counts'] {
  const count = (mark: DifferenceLine['mark']) =>
    differences.filter((one) => one.mark === mark).length
  return {
    added: count('A'),
    changed: count('M'),
    deleted: count('D'),
    renamed: count('R'),
    attributes: count('attr'),
  }
}

/** `2 removed, 1 back, 3 as they were`. */
export function wayBackWords(since: DiffAnswer): string {
  const { added, changed, deleted, renamed, attributes } = countsOf(since)
  const parts = [
    [added, 'removed'],
    [deleted, 'back'],
    [changed + renamed + attributes, 'as before'],
  ] as const
  const said = parts.flatMap(([count, what]) => (count > 0 ? [`${count} ${what}`] : []))
  return said.join(', ') || 'nothing changes'
}

/** What restoring would do, by what changed since: the way back. With settings, and lines of text files. */
export function wayBack(
  { differences }: { readonly differences: readonly ReadDifference[] },
  columns: number,
  paint: Paint,
): string[] {
  if (differences.length === 0) return ['nothing: the layer is as it was then']
  return differences.flatMap((one) => {
    const { mark, path, from } = one
    const name = path.slice(1) || '.'
    const said: Readonly<Record<DifferenceLine['mark'], string>> = {
      A: `- ${name}  removed`,
      D: `+ ${name}  comes back`,
      M: `~ ${name}  as it was`,
      R: `~ ${name}  is called ${(from ?? '').slice(1)} again`,
      attr: `~ ${name}  attributes as they were`,
    }
    const colour = mark === 'A' ? 'red' : mark === 'D' ? 'green' : 'yellow'
    const line = paint(colour, cut(said[mark], columns))
    if (mark !== 'M' && one.also !== 'M') return [line]
    const lines = contentLines(one, (_, text) => text, true)
    return [line, ...lines.map((each) => lineOf(each, columns, paint))]
  })
}

function lineOf(line: string, columns: number, paint: Paint): string {
  const sign = line.trimStart()[0]
  const text = cut(`  ${line}`, columns)
  return sign === '+' ? paint('green', text) : sign === '-' ? paint('red', text) : text
}

/** As many lines as there is room for; the last says how many more there are. */
export function fitting(lines: readonly string[], room: number): string[] {
  if (lines.length <= room) return [...lines]
  return [...lines.slice(0, room - 1), `… ${plural(lines.length - room + 1, 'more line')}`]
}
