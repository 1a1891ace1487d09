// The section about speed of docs/speed.md, made from the kept result.
//
//   <!-- speed: made by npm run bench -- readme -->  …  <!-- /speed -->
//
// Rule: what stands between the marks is made, never written; a test holds it against bench/results.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { markdownTable, type Ratio, RIVALS, ratioIn, warmWords } from './publish.ts'
import { placeWords, type Results, readResults } from './results.ts'
import { ROWS } from './rows/rows.ts'
import { geometricMean, ratioOf } from './statistics.ts'

const BEGIN = '<!-- speed: made by `npm run bench -- readme` -->'
const END = '<!-- /speed -->'

/** Writes the section anew; with `check` it only answers whether it is as it would be written. */
export function writeReadme(project: string, check: boolean): boolean {
  const file = join(project, 'docs', 'speed.md')
  const text = readFileSync(file, 'utf8')
  const begin = text.indexOf(BEGIN)
  const end = text.indexOf(END)
  if (begin < 0 || end < begin) throw new Error(`${file} has no marks ${BEGIN} … ${END}`)
  const made = `${text.slice(0, begin)}${BEGIN}\n${section(project)}\n${text.slice(end)}`
  if (made === text) return true
  if (!check) writeFileSync(file, made)
  return !check
}

function section(project: string): string {
  const results = readResults(join(project, 'bench', 'results', 'cached.json'))
  if (results === null) throw new Error('nothing is kept: npm run bench -- mount')
  const { load, busy, rounds } = results.runs.at(-1)!
  const places = PLACES.filter((place) => place in results.cells)
  return [
    `From \`bench/results\`, measured on ${results.machine}, Linux ${results.kernel}, in ${rounds} rounds (load before it ${load.toFixed(1)}, ${(busy * 100).toFixed(0)} % of the processors`,
    'in use by others): how many times as fast svsfs is as its rival; above 1 it is ahead. **Bold**: the rival is ahead. "~": the 95 %',
    'intervals do not tell the two apart.',
    warmWords(results),
    '',
    ...ratioTable(results, places),
    '',
    ...places.flatMap((place) => aheadLines(results, place)),
    ...depthLine(results),
    '',
    ...places.map(
      (place) =>
        `![${placeWords(place, results.disks)}](../bench/results/cached-${place.replaceAll(' ', '-')}.svg)`,
    ),
  ].join('\n')
}

/** Where it looks: the processors' share alone, and a disk with all cores. */
const PLACES = ['tmpfs one 1', 'disk free 1'] as const

function ratioTable(results: Results, places: readonly string[]): string[] {
  const rows = Object.keys(ROWS).filter((row) =>
    places.some((place) => row in results.cells[place]!),
  )
  const columns = places.flatMap((place) => RIVALS.map((rival) => ({ place, rival })))
  const head = ['', ...columns.map(({ place, rival }) => `${rival}, ${shortPlace(place, results)}`)]
  const lines = rows.map((row) => [
    row,
    ...columns.map(({ place, rival }) => ratioCell(ratioIn(results.cells[place]!, row, rival))),
  ])
  const means = columns.map(({ place, rival }) => {
    const ratios = rows.flatMap((row) => ratioIn(results.cells[place]!, row, rival)?.middle ?? [])
    return ratios.length === 0 ? '' : geometricMean(ratios).toFixed(2)
  })
  return markdownTable([head, head.map(() => '---'), ...lines, ['geometric mean', ...means]])
}

const shortPlace = (place: string, { disks }: Results) =>
  place.startsWith('tmpfs') ? 'tmpfs, one core' : `${disks.disk}, all cores`

function ratioCell(ratio: Ratio | null): string {
  if (ratio === null) return ''
  const text = ratio.middle < 10 ? ratio.middle.toFixed(2) : ratio.middle.toFixed(0)
  if (isBehind(ratio)) return `**${text}**`
  return ratio.verdict === 'level' ? `~${text}` : text
}

/** What has too few samples for an interval is taken as it is. */
const isBehind = ({ verdict, middle }: Ratio) =>
  verdict === 'behind' || (verdict === 'too few' && middle < 1)

/** Every row where a peer is ahead, peer by peer. */
function aheadLines(results: Results, place: string): string[] {
  const table = results.cells[place]!
  const peers = results.subjects
    .map(({ name }) => name)
    .filter((name) => !/^(plain|svsfs)/.test(name))
  return peers.map((peer) => {
    const compared = Object.keys(table).flatMap((row) => {
      const ratio = ratioIn(table, row, peer)
      return ratio === null ? [] : [{ row, ratio }]
    })
    const behind = compared.filter(({ ratio }) => isBehind(ratio)).map(({ row }) => row)
    const where = `- ${shortPlace(place, results)}, ${peer}: `
    if (compared.length === 0) return `${where}not measured.`
    if (behind.length === 0) return `${where}ahead in none of ${compared.length} rows.`
    return `${where}ahead in ${behind.length} of ${compared.length} rows: ${behind.join(', ')}.`
  })
}

/** What a lookup costs through ten layers, in lookups through one. */
function depthLine({ cells }: Results): string[] {
  const one = cells['tmpfs one 1']?.lookup?.svsfs
  const ten = cells['tmpfs one 10']?.lookup?.svsfs
  if (one === undefined || ten === undefined) return []
  const ratio = ratioOf(one.rounds, ten.rounds)
  return ratio === null
    ? []
    : [
        `- A lookup through 10 layers takes ${ratio.middle.toFixed(2)} times as long as through one.`,
      ]
}
