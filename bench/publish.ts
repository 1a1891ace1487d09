// How results are shown and kept: a Markdown table for people, JSON for comparing later, plots.

import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { MEASURES } from './daemon-rows.ts'
import { plots } from './plots.ts'
import { type Cell, placeWords, type Results, type Run, type Table } from './results.ts'
import type { Row } from './rows/row.ts'
import { geometricMean, type Interval, median, medianOf, ratioOf, verdictOf } from './statistics.ts'

export interface Shown {
  readonly results: Results
  readonly rows: Readonly<Record<string, Row>>
}

/** Who svsfs is held against. */
export const RIVALS = ['fuse-overlayfs', 'kernel overlayfs'] as const

/** Keeps a result as the one of its data path. */
export function keep(shown: Shown, folder: string): void {
  mkdirSync(folder, { recursive: true })
  const file = join(folder, shown.results.dataPath)
  for (const name of readdirSync(folder))
    if (name.startsWith(`${shown.results.dataPath}-`)) rmSync(join(folder, name))
  writeFileSync(`${file}.md`, show(shown))
  writeFileSync(`${file}.json`, `${JSON.stringify(shown.results)}\n`)
  for (const [name, picture] of Object.entries(plots(shown)))
    writeFileSync(`${file}-${name}.svg`, picture)
  process.stderr.write(
    `kept as ${file}.md, .json and .svg; docs/speed.md follows by: npm run bench -- readme\n`,
  )
}

/** The result as Markdown. */
export function show({ results, rows }: Shown): string {
  return [
    `# svsfs beside its peers, ${results.runs.at(-1)!.date}`,
    '',
    `${results.machine}; Linux ${results.kernel}; Node ${results.node}; data path: ${results.dataPath}.`,
    '',
    ...results.runs.map(runLine),
    '',
    'Medians, with 95 % intervals (bootstrap over rounds and samples). A ratio says how many times as fast svsfs is; it is ahead or',
    'behind where the interval of the ratio leaves out 1. "First" and "cold" mean: not looked at before through this mount; the disk\'s own',
    `caches know it. ${warmWords(results)}`,
    '',
    ...results.subjects.map(({ name, version, missing }) =>
      missing === null
        ? `- ${name} ${version}`.trimEnd()
        : `- ${name}: **not measured**: ${missing}`,
    ),
    ...Object.entries(results.missing).map(
      ([row, why]) => `- row ${row}: **not measured**: ${why}`,
    ),
    ...Object.entries(results.cells).flatMap(([place, table]) =>
      placeLines(results, rows, place, table),
    ),
    ...measureLines(results.measures),
    '',
    ...Object.keys(rows)
      .filter((row) => Object.values(results.cells).some((table) => row in table))
      .map((row) => `- **${row}**: ${rows[row]!.what}`),
    '',
  ].join('\n')
}

/** What the compiler of a daemon knows before a row. */
export const warmWords = ({ warm = 600 }: Results): string =>
  `Rows of single calls follow ${warm} calls that count for nothing, as a daemon lives for weeks; rows "new" are the first calls of one.`

const runLine = ({ date, rows, rounds, minutes, load, busy }: Run) =>
  `- ${date}: ${rows} rows, ${rounds} rounds in ${minutes.toFixed(0)} minutes; the load before was ${load.toFixed(1)}, and other programs used ${(busy * 100).toFixed(0)} % of the processors`

function measureLines(measures: Results['measures']): string[] {
  const lines = Object.entries(measures).flatMap(([name, { values, files, missing }]) => {
    const { what, unit } = MEASURES[name] ?? { what: '', unit: '' }
    if (missing !== undefined) return [[name, what, `failed: ${missing}`, '']]
    return Object.entries(values).map(([of, tries]) => [
      name,
      `${what}${/find$|find in/.test(name) ? `, ${files} files` : ''}`,
      of,
      `${short(median(tries))} ${unit}${tries.length > 1 ? ` (${short(Math.min(...tries))}–${short(Math.max(...tries))})` : ''}`,
    ])
  })
  if (lines.length === 0) return []
  const head = ['measure', 'of', 'who or what', 'median (lowest–highest)']
  return ['', '## Daemon and store', '', ...markdownTable([head, head.map(() => '---'), ...lines])]
}

function placeLines(results: Results, rows: Shown['rows'], place: string, table: Table): string[] {
  const names = results.subjects
    .map(({ name }) => name)
    .filter((name) => Object.values(table).some((row) => row[name] !== undefined))
  const known = Object.keys(table).filter((row) => rows[row] !== undefined)
  if (names.length === 0 || known.length === 0) return []
  const rivals = RIVALS.filter((rival) => names.includes(rival) && names.includes('svsfs'))
  const head = ['row', 'unit', ...names, ...rivals.map((rival) => `against ${rival}`), 'daemon µs']
  const lines = known.map((row) => [
    row,
    rows[row]!.unit,
    ...names.map((name) => cellText(rows[row]!.unit, table[row]![name])),
    ...rivals.map((rival) => ratioText(ratioIn(table, row, rival))),
    names.includes('svsfs') ? cpuText(table[row]!) : '–',
  ])
  return [
    '',
    `## ${placeWords(place, results.disks)}`,
    '',
    ...markdownTable([head, head.map(() => '---'), ...lines]),
    ...rivals.map((rival) => meanLine(table, known, rival)),
  ]
}

export interface Ratio extends Interval {
  readonly verdict: ReturnType<typeof verdictOf>
}

/** How many times as fast svsfs is as a rival in one row; null where one of them was not measured. */
export function ratioIn(table: Table, row: string, rival: string): Ratio | null {
  const ours = table[row]?.svsfs
  const theirs = table[row]?.[rival]
  if (ours === undefined || theirs === undefined) return null
  const known = RATIOS.get(ours)?.get(theirs)
  if (known !== undefined) return known
  const ratio = withVerdict(ours, theirs)
  if (!RATIOS.has(ours)) RATIOS.set(ours, new WeakMap())
  RATIOS.get(ours)!.set(theirs, ratio)
  return ratio
}

/** Ratios of cells that are asked for again: in the table, the plot, the README. */
const RATIOS = new WeakMap<Cell, WeakMap<Cell, Ratio | null>>()

function withVerdict(ours: Cell, theirs: Cell): Ratio | null {
  const ratio = ratioOf(ours.rounds, theirs.rounds)
  if (ratio === null) return null
  const samples = Math.min(ours.rounds.flat().length, theirs.rounds.flat().length)
  return { ...ratio, verdict: verdictOf(ratio, samples) }
}

function meanLine(table: Table, rows: readonly string[], rival: string): string {
  const ratios = rows.flatMap((row) => ratioIn(table, row, rival) ?? [])
  if (ratios.length === 0) return ''
  const count = (verdict: string) => ratios.filter((ratio) => ratio.verdict === verdict).length
  const mean = geometricMean(ratios.map(({ middle }) => middle))
  return `\nAgainst ${rival}: ${mean.toFixed(2)} times as fast in the geometric mean; ahead in ${count('ahead')} rows, level in ${count('level')}, behind in ${count('behind')}.`
}

export const markdownTable = (rows: readonly (readonly string[])[]): string[] =>
  rows.map((row) => `| ${row.join(' | ')} |`)

function cellText(unit: Row['unit'], cell: Cell | undefined): string {
  if (cell === undefined) return '–'
  if (cell.missing !== undefined) return 'failed'
  const found = medianOf(cell.rounds)
  if (found === null) return '–'
  const [low, high] = [inUnit(unit, found.low), inUnit(unit, found.high)].sort((a, b) => a - b)
  return `${short(inUnit(unit, found.middle))} (${short(low!)}–${short(high!)})`
}

/** µs of an operation in the unit of its row. */
function inUnit(unit: Row['unit'], cost: number): number {
  if (unit === 'MiB/s') return 1e6 / cost
  return unit === 'ms' ? cost / 1000 : cost
}

export function ratioText(ratio: Ratio | null): string {
  if (ratio === null) return '–'
  const { middle, low, high, verdict } = ratio
  return `${middle.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)}) ${verdict}`
}

/** Processor time of our daemon, and of the rival's. */
function cpuText(row: Record<string, Cell>): string {
  const [ours, theirs] = ['svsfs', RIVALS[0]].map((name) => {
    const used = row[name]?.cpu ?? []
    return used.length === 0 ? '–' : short(medianOf([used])!.middle)
  })
  return `${ours} (${RIVALS[0]} ${theirs})`
}

export const short = (value: number): string =>
  value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0)
