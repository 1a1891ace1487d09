// svsfs log: in which states a path changed, and how; or the states with their counts.
//
//   M  9f31c02ab4  2026-11-18 09:12:44  3 days ago  1.2 KiB  manual  before the update
//   R  51d0ee97c1  …                                                 etc/a -> etc/b
//
// Rule: names go to the terminal with nothing in them that steers it (Output.table).

import type { LogAnswer, LogChange, LogLine } from '../daemon/log-methods.ts'
import { type CommandRow, option } from './command.ts'
import { describe, differenceWords } from './state-commands.ts'
import { ago, clock, size } from './words.ts'

interface LogWish {
  readonly layer: string
  readonly path: string | null
  readonly limit: number | null
}

export const log: CommandRow<LogWish, LogAnswer> = {
  paged: true,
  about: `Each state is compared with the one that it came from, the first with the layer as it was installed; after a restore that is not always the one before it in time. With a PATH, from the layer's root on or where a mount shows it, only those states are listed in which it changed, or something below it; the history goes on under the name that it had before a rename.

A is added, M changed, D deleted, R renamed, m other attributes alone, ? unknown, because the read-only part was replaced. SIZE is that of the file then, or of what changed below a directory. * marks the state that the layer came from.`,
  options: [option('-n, --limit <n>', 'only so many, the newest')],
  examples: [
    'svsfs log firefox',
    'svsfs log firefox etc/firefox/prefs.js',
    'svsfs log firefox etc --limit 5       # a directory: whatever changed in it',
  ],
  parse: (words) => ({
    layer: words.arg(0),
    path: words.optionalArg(1),
    limit: words.number('limit', { whole: true, least: 1 }),
  }),
  run: ({ session }, wish) => session.call('log', wish),
  print: ({ layer, path, lines }, out) => {
    if (lines.length === 0)
      return out.note(
        path === null
          ? `no states of ${layer} yet; svsfs snapshot makes one`
          : `${path} changed in no state of ${layer}`,
      )
    out.table(
      ['', 'STATE', 'WHEN', '', path === null ? 'STORED' : 'SIZE', 'WHY', 'WHAT'],
      lines.map(({ state, change }) => [
        `${change === null ? '' : LETTERS[change.mark]}${state.current ? '*' : ''}`,
        state.id,
        clock(state.time),
        ago(state.time),
        change === null ? size(state.stored) : sizeOf(change),
        state.trigger,
        whatOf({ state, change }),
      ]),
    )
  },
}

const LETTERS = { A: 'A', M: 'M', D: 'D', R: 'R', attr: 'm', other: '?' } as const

function sizeOf({ after, below }: LogChange): string {
  if (after === null) return '-'
  if (after.kind !== 'dir') return size(after.size)
  return size(below.reduce((sum, one) => sum + (one.after?.size ?? 0), 0))
}

function whatOf({ state, change }: Pick<LogLine, 'state' | 'change'>): string {
  const why = describe(state)
  if (change === null) {
    const counts = differenceWords(state.counts)
    return why === counts ? why : `${why} (${counts})`
  }
  const { mark, path, from, to, also, counts } = change
  const plain = (name: string) => name.slice(1) || '.'
  const said = [
    mark === 'R' ? `${plain(from ?? '')} -> ${plain(path)}` : '',
    also === undefined ? '' : also === 'M' ? 'changed' : 'other attributes',
    to === undefined ? '' : `renamed to ${plain(to)}`,
    mark === 'other' ? 'another read-only part' : '',
    Object.values(counts).some((count) => count > 0) ? `below: ${differenceWords(counts)}` : '',
  ].filter(Boolean)
  return said.length === 0 ? why : `${why} (${said.join('; ')})`
}
