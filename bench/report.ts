// How results are shown and kept: a Markdown table for people, JSON for comparing later.

import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'
import type { Footprint } from './memory.ts'
import { ROWS } from './rows.ts'

/** Where caller and daemon run. Waking a sleeping core costs more than a request, so it is said. */
export const CORES = {
  shared: 'caller and daemon share one core: what a request costs, without waking another core',
  awake: 'cores are kept awake by an idle-priority spinner each',
  free: 'cores sleep between requests as they like',
} as const

export interface Presence {
  readonly name: string
  readonly version: string
  /** Why it takes no part, or none any more; null where it does. */
  missing: string | null
}

export interface Results {
  readonly date: string
  readonly machine: string
  readonly kernel: string
  readonly node: string
  /** What other programs did before the run: above one or two the numbers are noise. */
  readonly loadBefore: number
  readonly backing: string
  readonly cores: keyof typeof CORES
  /** The source tree of `untar` and `find`. */
  readonly tree: string
  readonly subjects: readonly Presence[]
  /** By row, then by subject: one value a round. */
  readonly values: Record<string, Record<string, number[]>>
  readonly footprints: Record<string, Footprint>
}

export function machine(): Pick<Results, 'date' | 'machine' | 'kernel' | 'node' | 'loadBefore'> {
  const cores = cpus()
  return {
    date: new Date().toISOString().slice(0, 16).replace('T', ' '),
    machine: `${cores.length} × ${cores[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    kernel: release(),
    node: process.version,
    loadBefore: loadavg()[0] ?? 0,
  }
}

/** Prints the table; keeps it and the numbers in `folder`, where one is given. */
export function publish(results: Results, folder: string | null): void {
  const text = markdown(results)
  process.stdout.write(text)
  if (folder === null) return
  mkdirSync(folder, { recursive: true })
  const file = `${folder}/${results.date.slice(0, 10)}-${results.kernel.split('-')[0]}-${results.cores}`
  writeFileSync(`${file}.md`, text)
  writeFileSync(`${file}.json`, `${JSON.stringify(results, null, 1)}\n`)
  process.stderr.write(`kept as ${file}.md and .json\n`)
}

const COMPARED = ['fuse-overlayfs', 'kernel overlayfs']

function markdown(results: Results): string {
  const names = results.subjects
    .map(({ name }) => name)
    .filter((name) => Object.values(results.values).some((row) => name in row))
  const peers = COMPARED.filter((peer) => names.includes(peer) && names.includes('svsfs'))
  const head = ['row', 'unit', ...names, ...peers.map((peer) => `svsfs : ${peer}`)]
  const rows = Object.entries(results.values).map(([row, values]) => [
    row,
    ROWS[row]!.unit,
    ...names.map((name) => cell(values[name])),
    ...peers.map((peer) => ratio(ROWS[row]!.unit, values.svsfs, values[peer])),
  ])
  const what = Object.keys(results.values).map((row) => `- **${row}**: ${ROWS[row]!.what}`)
  return [
    `# svsfs beside its peers, ${results.date}`,
    '',
    `${results.machine}; Linux ${results.kernel}; Node ${results.node}; over ${results.backing}; ${CORES[results.cores]}; load before the run ${results.loadBefore.toFixed(1)}.`,
    `Median of ${rounds(results)} interleaved rounds (lowest–highest), each on a new mount. A ratio says how many times`,
    `as fast svsfs is. The plain directory and kernel overlayfs find in the backing disk's cache what is cold for the others.`,
    '',
    ...results.subjects.map(presenceLine),
    '',
    ...(rows.length === 0 ? [] : table([head, head.map(() => '---'), ...rows])),
    '',
    ...what,
    ...footprintLines(results.footprints),
    '',
  ].join('\n')
}

const table = (rows: readonly (readonly string[])[]) => rows.map((row) => `| ${row.join(' | ')} |`)

const rounds = ({ values }: Results) =>
  Math.max(0, ...Object.values(values).flatMap((row) => Object.values(row).map((v) => v.length)))

const presenceLine = ({ name, version, missing }: Presence) =>
  missing === null ? `- ${name} ${version}`.trimEnd() : `- ${name}: **not measured**: ${missing}`

function cell(values: number[] | undefined): string {
  if (values === undefined) return '–'
  return `${short(median(values))} (${short(Math.min(...values))}–${short(Math.max(...values))})`
}

/** How many times as fast `ours` is as `theirs`. */
function ratio(unit: string, ours: number[] | undefined, theirs: number[] | undefined): string {
  if (ours === undefined || theirs === undefined) return '–'
  const quotient = median(ours) / median(theirs)
  return `${(unit === 'µs' ? 1 / quotient : quotient).toFixed(2)}×`
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

const short = (value: number) => (value < 100 ? value.toFixed(1) : value.toFixed(0))

function footprintLines(footprints: Results['footprints']): string[] {
  const entries = Object.entries(footprints)
  if (entries.length === 0) return []
  const rows = entries.map(([name, { files, memory, idleSeconds, idleTicks }]) => [
    name,
    `${files}`,
    `${memory.toFixed(0)} MiB`,
    `${idleTicks * 10} ms in ${idleSeconds} s`,
  ])
  const head = ['daemon', 'files found', 'memory after it', 'processor time while idle']
  return ['', ...table([head, head.map(() => '---'), ...rows])]
}
