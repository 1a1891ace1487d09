// What a row of the table is, and how a task of it is run.
//
//   prepare(dir)            makes, on the disk below, what the row looks at
//   before(task)            through the mount, uncounted: makes the files that are renamed then, say
//   run(task) ─▶ Sample     through the mount; costs in µs for one operation
//
// Rule: a row leaves nothing that another row looks at: it has a prepared directory of its own, and
// what it makes goes into `task.out`.

import { existsSync } from 'node:fs'
import { type RunOptions, run } from '../processes.ts'
import { BUILT } from '../subjects.ts'
import type { Templates } from './templates.ts'

export const UNITS = {
  µs: 'per operation',
  ms: 'once',
  'MiB/s': 'of data',
} as const

/** Where a run takes place: which kind of disk lies below, and what the cores do. */
export interface Setting {
  readonly backing: 'tmpfs' | 'disk'
  readonly cores: 'one' | 'free' | 'busy'
}

/** How much is done. */
export interface Amounts {
  /** Names of a row of single calls. */
  readonly names: number
  readonly batches: number
  /** MiB of a large file. */
  readonly large: number
  /** Random reads or writes of a large file. */
  readonly random: number
  /** Files of a source tree. */
  readonly tree: number
}

/** What teaches a daemon's compiler, and counts for nothing. */
export const WARM: Amounts = { names: 6000, batches: 1, large: 8, random: 200, tree: 100 }

export interface Sample {
  /** µs for one operation (for one MiB where the unit is MiB/s), one for each batch. */
  readonly costs: readonly number[]
  /** How many operations that were in all. */
  readonly amount: number
}

export interface Task {
  /** What was prepared, seen through the mount. */
  readonly root: string
  /** The same on the disk below. */
  readonly disk: string
  /** A new directory, through the mount. */
  readonly out: string
  readonly amounts: Amounts
  /** In front of each command: where it may run. */
  readonly pinned: readonly string[]
  /** Of the mount, so that what hangs there can be ended with it. */
  readonly place: string
}

export interface Row {
  readonly group: string
  readonly what: string
  readonly unit: keyof typeof UNITS
  /** It changes what was prepared: only unions take part. */
  readonly changesLower?: true
  /** Measured in stacks of 3 and 10 too. */
  readonly depth?: true
  /** Part of the two minutes of --quick. */
  readonly quick?: true
  /** First a task that counts for nothing: most daemons live long. */
  readonly warm?: true
  /** Mounted anew just before: what the first calls of a daemon cost. */
  readonly newDaemon?: true
  /** It makes large files: they are removed after each task. */
  readonly large?: true
  /** In no more rounds than this. */
  readonly most?: number
  /** Settings that it says something in; all where absent. */
  readonly where?: (setting: Setting) => boolean
  /** Throws an Error that says what this machine lacks for it. */
  needs?(): Promise<unknown>
  prepare?(dir: string, amounts: Amounts, templates: Templates): Promise<unknown>
  /** What must have happened before, uncounted. */
  before?(task: Task): Promise<unknown>
  run(task: Task): Promise<Sample>
  after?(task: Task): Promise<unknown>
}

/** For what takes long: one place where the processors' share shows, and one where the disk's does. */
export const inTwoPlaces = ({ backing, cores }: Setting): boolean =>
  (backing === 'tmpfs') === (cores === 'one')

/** Names are spread over so many directories. */
const DIRS = 10

export interface Shape {
  readonly dirs: number
  readonly files: number
  readonly batches: number
}

export const namesOf = ({ names, batches }: Amounts): Shape => ({
  dirs: DIRS,
  files: names / DIRS,
  batches,
})

const LOADER = `${BUILT}/load`

export interface LoadOptions {
  readonly threads?: number
  /** Bytes of a file that is made. */
  readonly size?: number
}

/** Lets the loader make its calls below `dir`. */
export async function load(
  task: Pick<Task, 'pinned' | 'place'>,
  operation: string,
  dir: string,
  { dirs, files, batches }: Shape,
  { threads = 1, size = 4096 }: LoadOptions = {},
): Promise<Sample> {
  const words = [operation, dir, dirs, files, batches, threads, size].map(String)
  const said = await run([...task.pinned, LOADER, ...words], { place: task.place })
  const lines = said.trim().split('\n')
  const measured = lines.map((line) => line.split(' ').map(Number) as [number, number])
  return {
    costs: measured.map(([nanoseconds, operations]) => nanoseconds / 1000 / operations),
    amount: measured.reduce((sum, [, operations]) => sum + operations, 0),
  }
}

/** The same on the disk below, before anything is mounted. */
export const make = (operation: string, dir: string, shape: Shape, options: LoadOptions = {}) =>
  load({ pinned: [], place: '' }, operation, dir, shape, options)

/** Times one command. */
export async function command(
  task: Task,
  words: readonly string[],
  options: Pick<RunOptions, 'cwd' | 'env' | 'input'> = {},
): Promise<Sample> {
  const start = process.hrtime.bigint()
  await run([...task.pinned, ...words], { place: task.place, ...options })
  const microseconds = Number(process.hrtime.bigint() - start) / 1000
  return { costs: [microseconds], amount: 1 }
}

/** Throws an Error that names the first of the programs that is not installed. */
export async function installed(...programs: string[]): Promise<void> {
  for (const program of programs)
    await run(['sh', '-c', `command -v ${program}`]).catch(() => {
      throw new Error(`${program} is not installed`)
    })
}

/** Throws an Error where the loader was not compiled. */
export function mustHaveLoader(): void {
  if (existsSync(LOADER)) return
  throw new Error('the loader is not compiled: sh test/setup.sh bench does it, with gcc')
}
