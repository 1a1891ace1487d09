// svsfs schedule …, forget: states that come by themselves, and go.

import { Failure } from '../base/failure.ts'
import type { ForgetAnswer, ScheduleLine } from '../daemon/schedule-methods.ts'
import { type CommandRow, option, repeated, type Words } from './command.ts'
import { describe } from './state-commands.ts'
import { ago, clock, plural, shellWord } from './words.ts'

const KEEP_OPTIONS = [
  option('--keep-last <n>', 'the newest so many'),
  option('--keep-hourly <n>', 'the last of each of so many hours'),
  option('--keep-daily <n>', 'the last of each of so many days'),
  option('--keep-weekly <n>', 'the last of each of so many weeks'),
  option('--keep-monthly <n>', 'the last of each of so many months'),
  repeated('--keep-tag <tag>', 'those that have this tag (KEY, or KEY=VALUE); as often as wanted'),
]

interface Keep {
  readonly last?: number
  readonly hourly?: number
  readonly daily?: number
  readonly weekly?: number
  readonly monthly?: number
  readonly tags?: string[]
}

function keepOf(words: Words): Keep | null {
  const rules = ['last', 'hourly', 'daily', 'weekly', 'monthly'] as const
  const numbers = rules.flatMap((rule) => {
    const option = `keep${rule[0]!.toUpperCase()}${rule.slice(1)}`
    const most = words.number(option, { whole: true, least: 1 })
    return most === null ? [] : [[rule, most]]
  })
  const tags = words.list('keepTag')
  if (numbers.length === 0 && tags === null) return null
  return { ...Object.fromEntries(numbers), ...(tags === null ? {} : { tags }) }
}

interface ForgetWish {
  readonly layer: string
  readonly keep: Keep
  readonly dryRun: boolean
}

export const forget: CommandRow<ForgetWish, ForgetAnswer> = {
  about:
    'Each rule keeps the newest state of an hour, day, week or month, as many of these back as it says, counted are those that have a state. Pinned states stay. What only the forgotten ones held is removed by svsfs gc, which the daemon also runs by itself while something is mounted.',
  options: [...KEEP_OPTIONS, option('--dry-run', 'only say what would go')],
  examples: [
    'svsfs forget firefox --keep-last 10 --keep-daily 7 --keep-monthly 12',
    'svsfs forget firefox --keep-tag release --dry-run',
  ],
  parse: (words) => {
    const keep = keepOf(words)
    if (keep === null)
      throw new Failure('SVS_USAGE', 'say what to keep: --keep-last N, --keep-daily N, …')
    return { layer: words.arg(0), keep, dryRun: words.flag('dryRun') }
  },
  run: ({ session }, wish) => session.call('forget', wish),
  print: ({ layer, kept, forgotten, dryRun }, out) => {
    out.table(
      ['', 'STATE', 'WHEN', 'WHY', 'WHAT'],
      [
        ...kept.map((s) => [s, s.why.join(', ')] as const),
        ...forgotten.map((s) => [s, ''] as const),
      ]
        .sort(([a], [b]) => b.time - a.time)
        .map(([state, why]) => [
          why === '' ? '-' : '',
          state.id,
          clock(state.time),
          why,
          describe(state),
        ]),
    )
    const done = dryRun ? 'would be forgotten' : 'forgotten'
    out.line(`layer ${layer}: ${plural(forgotten.length, 'state')} ${done}, ${kept.length} kept`)
    if (forgotten.length === 0) return
    out.note(dryRun ? 'without --dry-run they go' : 'svsfs gc frees what only they held')
  },
}

const UNITS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const

/** `90s`, `30m`, `1h`, `2d`, `1w` in milliseconds. Throws SVS_USAGE. */
function readEvery(text: string): number {
  const found = /^(\d{1,6})\s*([smhdw])$/.exec(text.trim())
  const every = found === null ? 0 : Number(found[1]) * UNITS[found[2] as keyof typeof UNITS]
  if (every === 0)
    throw new Failure('SVS_USAGE', `--every must be like 30m, 1h or 2d, not "${text}"`)
  return every
}

function everyText(ms: number): string {
  const units = Object.entries(UNITS).reverse()
  const [unit, size] = units.find(([, size]) => ms % size === 0) ?? ['s', UNITS.s]
  return `every ${ms / size}${unit}`
}

const whenText = ({ when }: ScheduleLine): string =>
  'every' in when ? everyText(when.every as number) : `cron ${when.cron as string}`

function keepText({ keep }: ScheduleLine): string {
  if (keep === null) return 'all'
  const { tags = [], ...rules } = keep
  const said = Object.entries(rules).map(([rule, most]) => `${most} ${rule}`)
  return [...said, ...tags.map((tag) => `#${tag}`)].join(', ')
}

interface AddWish {
  readonly layer: string
  readonly when: { readonly every: number } | { readonly cron: string }
  readonly keep: Keep | null
}

export const add: CommandRow<AddWish, ScheduleLine> = {
  about:
    'The daemon takes them while something is mounted, where something changed since the last state; what was slept over is made up for once. Cron patterns are in local time, with five fields, or six with seconds first. With rules to keep, what they do not keep is forgotten each time.',
  options: [
    option('--every <time>', 'so long after the last one: 30m, 1h, 2d'),
    option('--cron <pattern>', 'at these times, as cron writes them'),
    ...KEEP_OPTIONS,
  ],
  examples: [
    'svsfs schedule add firefox --every 1h --keep-hourly 24 --keep-daily 14',
    'svsfs schedule add firefox --cron "0 9-17 * * 1-5"',
  ],
  parse: (words) => {
    const [every, cron] = [words.text('every'), words.text('cron')]
    if ((every === null) === (cron === null))
      throw new Failure('SVS_USAGE', 'give one of --every TIME, --cron PATTERN')
    const when = every === null ? { cron: cron ?? '' } : { every: readEvery(every) }
    return { layer: words.arg(0), when, keep: keepOf(words) }
  },
  run: ({ session }, wish) => session.call('schedule.add', wish),
  print: (made, out) => {
    out.line(`schedule ${made.id}: ${made.layer} ${whenText(made)}, keeping ${keepText(made)}`)
    if (made.next !== null) out.note(`first at ${clock(made.next)}`)
  },
}

export const list: CommandRow<null, ScheduleLine[]> = {
  examples: ['svsfs schedule list', 'svsfs schedule list --json'],
  parse: () => null,
  run: ({ session }) => session.call('schedule.list', {}),
  print: (all, out) => {
    if (all.length === 0) return out.note('no schedules yet; svsfs schedule add makes one')
    out.table(
      ['SCHEDULE', 'LAYER', 'WHEN', 'KEEPS', 'NEXT', 'LAST'],
      all.map((each) => [
        each.id,
        each.layer,
        whenText(each),
        keepText(each),
        each.next === null ? 'paused' : clock(each.next),
        lastText(each),
      ]),
    )
  },
}

function lastText({ last }: ScheduleLine): string {
  if (last === null) return 'never'
  const what = last.failure ?? (last.state === '' ? 'nothing had changed' : `state ${last.state}`)
  return `${ago(last.at)}: ${what}`
}

const acting = (
  act: 'remove' | 'pause' | 'resume',
  done: string,
): CommandRow<string, ScheduleLine> => ({
  examples: [`svsfs schedule ${act} 3f9a`],
  parse: (words) => words.arg(0),
  run: ({ session }, id) => session.call(`schedule.${act}`, { id }),
  print: (line, out) => out.line(`schedule ${line.id} of ${shellWord(line.layer)} is ${done}`),
})

export const remove = acting('remove', 'removed')
export const pause = acting('pause', 'paused')
export const resume = acting('resume', 'on again')
