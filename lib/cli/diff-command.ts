// svsfs diff: what differs between two states, or between one and now.
//
//   A app/new.conf            added            --stat   bytes of both sides
//   M app/old.conf  (attr)    changed          --patch  what files hold (contents.ts)
//   R app/b ← app/a           renamed
//
// Rule: names go to the terminal with nothing in them that steers it.

import { Failure } from '../base/failure.ts'
import type { DifferenceLine } from '../daemon/diff-methods.ts'
import { namedState, splitRange } from '../snapshot/state-name.ts'
import { atOption, stateAt } from './at-time.ts'
import { createColors, type Paint } from './colors.ts'
import { type CommandRow, hostOption, option } from './command.ts'
import { contentLines, diffContents, type ReadAnswer } from './contents.ts'
import { type Output, printable } from './output.ts'
import { size } from './words.ts'

interface DiffWish {
  readonly layer: string
  readonly from: string | null
  readonly at: string | null
  readonly to: string
  readonly paths: string[] | null
  readonly stat: boolean
  readonly patch: boolean
  readonly text: boolean
  readonly exitCode: boolean
  readonly color: boolean | null
}

/** Exit status where something differs. */
const DIFFERENT = 12

export const diff: CommandRow<DiffWish, ReadAnswer> = {
  paged: true,
  about: `RANGE is A..B, or A for what differs between A and now. A and B are states as svsfs restore takes them; "ro" is the layer as it was installed, "now" the layer as it is. Without a range it is what changed since the state that the layer came from. NAME@A..B is the same.

A is added, M changed, D deleted, R renamed, m other attributes alone. A file counts as renamed by its inode number, or where the bytes of one that is gone are those of one that came; what lies in a renamed directory is not named again. Paths, from the layer's root on or where a mount shows them, name what is wanted.

--patch shows what files of at most 1 MiB hold: settings (JSON, TOML, INI and .desktop, prefs.js, property lists, .reg) key by key, other text line by line. A file that is not what it seems to be is text. SQLite databases of at most 256 MiB are compared table by table, their write-ahead logs with them: rows are told apart by their primary key, and the first of them shown. Of everything else it says how many bytes differ.`,
  options: [
    atOption(),
    option('--stat', 'with the bytes of both sides'),
    option(
      '-p, --patch',
      'with what differs in them: settings by key, tables by row, text by line',
    ),
    option('--text', 'as --patch, but settings as lines of text, and databases as bytes'),
    option('--exit-code', 'exit with 12 where something differs'),
    hostOption(),
  ],
  onHost: true,
  examples: [
    'svsfs diff firefox                       # what changed since the last state',
    'svsfs diff firefox clean --stat          # since the state that is labelled clean',
    'svsfs diff firefox@-2..-1 etc --patch',
    'svsfs diff firefox latest home/.mozilla -p     # 1 bookmark added, a setting changed',
    'svsfs diff firefox@-2..-1 --patch --json       # as before and after of each key and row',
    'svsfs diff firefox ro..latest --exit-code',
  ],
  parse: (words) => {
    const { layer, state } = namedState(words.arg(0), null)
    const rest = words.args(2)
    const word = words.optionalArg(1)
    // NAME@A..B PATH: then the second word is a path.
    const at = words.text('at')
    const paths = (state ?? at) !== null && word !== null ? [word, ...rest] : rest
    const range = state ?? (at === null ? word : null)
    if (at !== null && state !== null)
      throw new Failure('SVS_USAGE', '--at takes the place of a state')
    const ends = range === null ? null : splitRange(range)
    return {
      layer,
      at,
      from: ends === null ? range : ends.from || 'ro',
      to: ends === null ? 'now' : ends.to || 'now',
      paths: paths.length === 0 ? null : paths,
      stat: words.flag('stat'),
      patch: words.flag('patch') || words.flag('text'),
      text: words.flag('text'),
      exitCode: words.flag('exitCode'),
      color: words.choice('color'),
    }
  },
  run: async ({ session, exit, out }, wish) => {
    const { layer, at, to, paths, patch, text, exitCode } = wish
    const from = at === null ? wish.from : await stateAt(at)
    const wanted = { layer, from, to, paths }
    const found = patch
      ? await diffContents(session, wanted, { text, json: out.json })
      : await session.call('diff', wanted)
    if (exitCode && found.differences.length > 0) exit(DIFFERENT)
    return found
  },
  print: ({ differences, from, to }, out, { stat, patch, color }) => {
    const paint = createColors(color)
    if (differences.length === 0)
      out.note(`nothing differs between ${from?.id ?? 'ro'} and ${to?.id ?? 'now'}`)
    for (const one of differences) {
      out.line(lineOf(one, stat, paint))
      if (patch) for (const line of contentLines(one, paint)) out.line(line)
    }
    if (stat) printSum(differences, out)
  },
}

const LETTERS = { A: 'A', M: 'M', D: 'D', R: 'R', attr: 'm' } as const

function lineOf(one: DifferenceLine, stat: boolean, paint: Paint): string {
  const { mark, path, from, also, before, after } = one
  const name = printable(path.slice(1) || '.')
  const was = from === undefined ? '' : ` <- ${printable(from.slice(1))}`
  const more = also === undefined ? '' : also === 'M' ? '  (changed)' : '  (attributes)'
  const isDir = (after ?? before)?.kind === 'dir' ? '/' : ''
  const bytes = stat ? `  ${sizeOf(before)} -> ${sizeOf(after)}` : ''
  const colour = mark === 'A' ? 'green' : mark === 'D' ? 'red' : mark === 'R' ? 'cyan' : 'yellow'
  return `${paint(colour, LETTERS[mark])} ${name}${isDir}${was}${more}${bytes}`
}

const sizeOf = (side: DifferenceLine['before']): string => (side === null ? '-' : size(side.size))

function printSum(differences: readonly DifferenceLine[], out: Output): void {
  const count = (mark: DifferenceLine['mark']) =>
    differences.filter((one) => one.mark === mark).length
  const bytes = (side: 'before' | 'after') =>
    differences.reduce((sum, one) => sum + (one[side]?.size ?? 0), 0)
  const parts = [
    [count('A'), 'added'],
    [count('M'), 'changed'],
    [count('D'), 'deleted'],
    [count('R'), 'renamed'],
    [count('attr'), 'with other attributes'],
  ] as const
  const said = parts.filter(([number]) => number > 0).map(([number, what]) => `${number} ${what}`)
  if (said.length === 0) return
  out.line(`${said.join(', ')}; ${size(bytes('before'))} -> ${size(bytes('after'))}`)
}
