// What a run found out, as it is kept in bench/results: every sample, and where it comes from.
//
//   cells["tmpfs one 1"]["lookup"]["svsfs"] = { rounds: [[µs, …], …], cpu: [µs, …] }
//          backing cores layers
//
// Rule: samples are kept, not medians, so that a later run can be compared with their spread. A
// file of another version is refused.

import { readFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { busyShare } from './processes.ts'
import type { Amounts, Setting } from './rows/row.ts'

export const VERSION = 3

export interface Cell {
  /** µs for one operation: one list a round, empty for a round that left it out. */
  readonly rounds: number[][]
  /** Processor time of the daemon for one operation in µs, one a round; empty without a daemon. */
  readonly cpu: number[]
  /** Why it was not measured. */
  missing?: string
}

export interface Presence {
  readonly name: string
  readonly version: string
  /** Why it takes no part; null where it does. */
  missing: string | null
}

/** Values by subject or by what was looked at, one a try. */
export type Values = Record<string, number[]>

export interface Measured {
  readonly values: Values
  /** Files that were looked through, where that is not said otherwise. */
  readonly files: number
  missing?: string
}

/** One call of the command; a kept result may come from several. */
export interface Run {
  readonly date: string
  readonly rows: number
  rounds: number
  minutes: number
  /** One minute's load average, and the share of processor time used in the second before it. */
  readonly load: number
  readonly busy: number
}

/** Cells of one place of the table, by row, then by subject. */
export type Table = Record<string, Record<string, Cell>>

export interface Results {
  readonly version: number
  readonly machine: string
  readonly kernel: string
  readonly node: string
  readonly dataPath: string
  /** What lies below, by backing. */
  readonly disks: Record<string, string>
  readonly amounts: Amounts
  /** Calls that came before each row of single calls and count for nothing; absent: 600. */
  readonly warm?: number
  readonly runs: Run[]
  readonly subjects: readonly Presence[]
  /** Rows that this machine cannot do, and why. */
  readonly missing: Record<string, string>
  /** By place: backing, cores, number of layers. */
  readonly cells: Record<string, Table>
  /** What is no row of all subjects. */
  readonly measures: Record<string, Measured>
}

export const placeName = ({ backing, cores }: Setting, layers: number): string =>
  `${backing} ${cores} ${layers}`

/** What a place's name says, in words. */
export function placeWords(place: string, disks: Results['disks']): string {
  const [backing, cores, layers] = place.split(' ')
  const where = `${disks[backing!] ?? backing}`
  const what = { one: 'caller and daemon on one core', free: 'all cores', busy: 'all cores, busy' }
  return `${where}, ${what[cores as Setting['cores']]}, ${layers} layer${layers === '1' ? '' : 's'}`
}

/** The machine. */
export function machine(): Pick<Results, 'version' | 'machine' | 'kernel' | 'node'> {
  const cores = cpus()
  return {
    version: VERSION,
    machine: `${cores.length} × ${cores[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    kernel: release(),
    node: process.version,
  }
}

/** A run that is about to begin, with what the machine does meanwhile. */
export async function beginRun(rows: number): Promise<Run> {
  const date = new Date().toISOString().slice(0, 16).replace('T', ' ')
  const load = loadavg()[0] ?? 0
  const busy = await busyShare(() => sleep(1000))
  return { date, rows, rounds: 0, minutes: 0, load, busy }
}

/** What is kept, with what a later run measured put in its place. */
export function merged(kept: Results | null, now: Results): Results {
  if (kept === null || kept.machine !== now.machine || kept.kernel !== now.kernel) return now
  const cells = { ...kept.cells }
  for (const [place, table] of Object.entries(now.cells))
    cells[place] = { ...cells[place], ...table }
  const missing = Object.entries(kept.missing).filter(([row]) => !isIn(now, row))
  return {
    ...kept,
    ...now,
    runs: [...kept.runs, ...now.runs],
    disks: { ...kept.disks, ...now.disks },
    subjects: [
      ...now.subjects,
      ...kept.subjects.filter(({ name }) => !now.subjects.some((one) => one.name === name)),
    ],
    missing: { ...Object.fromEntries(missing), ...now.missing },
    cells,
    measures: { ...kept.measures, ...now.measures },
  }
}

const isIn = ({ cells }: Results, row: string) => Object.values(cells).some((table) => row in table)

/** Reads what was kept; null where nothing is. */
export function readResults(file: string): Results | null {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw err
  }
  const results = JSON.parse(text) as Results
  if (results.version !== VERSION)
    throw new Error(`${file} has format ${results.version}, this program reads ${VERSION}`)
  return results
}
