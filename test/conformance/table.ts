// The table of a conformance run: a row for each group, a column for each subject.
//
//   | group | plain directory | one layer | one layer, user |
//   | mkdir |          67/67  |   134/134 |         120/120 |

import type { Column } from './conformance.ts'
import { DIFFERS, unknown } from './differs.ts'

/** Markdown. A cell is `passed/answers`, with what is known to differ behind a plus. */
export function tableOf(columns: readonly Column[]): string {
  const names = [...new Set(columns.flatMap((column) => column.scores.map(({ group }) => group)))]
  const head = ['group', ...columns.map(({ subject, user }) => titleOf(subject, user))]
  const rows = names.map((name) => [name, ...columns.map((column) => cell(column, name))])
  const total = ['all', ...columns.map((column) => cell(column, null))]
  return aligned([head, ...rows, total])
}

const titleOf = (subject: string, user: Column['user']): string =>
  user === 'root' ? subject : `${subject}, user`

function cell(column: Column, group: string | null): string {
  const scores = column.scores.filter((score) => group === null || score.group === group)
  const sum = (count: (score: Column['scores'][number]) => number) =>
    scores.reduce((all, score) => all + count(score), 0)
  const checks = sum((score) => score.checks)
  if (checks === 0) return '-'
  const judged = DIFFERS[column.subject] !== undefined
  const known = judged
    ? sum((score) => score.failures.length - unknown(column.subject, score).length)
    : 0
  return `${sum((score) => score.passed)}${known > 0 ? `+${known}` : ''}/${checks}`
}

function aligned(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  const line = (row: readonly string[]) =>
    `| ${row.map((text, i) => (i === 0 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!))).join(' | ')} |`
  const [head, ...rest] = rows.map(line)
  const rule = `|${widths.map((width, i) => (i === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`
  return [head, rule, ...rest].join('\n')
}
