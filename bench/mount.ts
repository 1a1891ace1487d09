// The command `mount`: which rows run where and how often, and what becomes of the result.
//
//   options ─▶ plan ─▶ make the lower directories ─▶ rounds, as many as time allows ─▶ publish, or compare
//
// Rule: a round measures every row once in each place, so that what is compared has as many samples.

import { join } from 'node:path'
import { compare } from './compare.ts'
import { MEASURES, takeMeasures } from './daemon-rows.ts'
import { onGround } from './ground.ts'
import type { Lower } from './lower.ts'
import { run } from './processes.ts'
import { keep, type Shown, show } from './publish.ts'
import { beginRun, machine, merged, type Presence, type Results, readResults } from './results.ts'
import { measureAll } from './rounds.ts'
import { type Amounts, mustHaveLoader, type Row, type Setting, WARM } from './rows/row.ts'
import { ROWS } from './rows/rows.ts'
import { type Subject, subjectsOf } from './subjects.ts'

export interface MountOptions {
  readonly quick?: true
  readonly full?: true
  readonly rows?: string[]
  readonly subjects?: string[]
  readonly rounds?: number
  readonly minutes?: number
  readonly settings?: string[]
  readonly layers?: string[]
  readonly dataPath: string
  readonly tmpfs: string
  readonly disk: string
  readonly json?: true
  readonly keep?: true
}

export interface Plan {
  readonly rows: Readonly<Record<string, Row>>
  readonly subjects: readonly Subject[]
  readonly settings: readonly Setting[]
  readonly layers: readonly number[]
  /** Names of what only svsfs's daemon is asked. */
  readonly measures: readonly string[]
  readonly amounts: Lower['amounts']
  readonly most: number
  readonly until: number
}

const AMOUNTS: Amounts = { names: 1000, batches: 5, large: 256, random: 2000, tree: 5000 }
const FULL: Amounts = { ...AMOUNTS, large: 1024, tree: 50_000 }

/** Kinds of disk below, and what the cores do. */
export const SETTINGS: Readonly<Record<string, Setting>> = Object.fromEntries(
  (['tmpfs', 'disk'] as const).flatMap((backing) =>
    (['one', 'free', 'busy'] as const).map((cores) => [`${backing}-${cores}`, { backing, cores }]),
  ),
)
const USUAL_SETTINGS = ['tmpfs-one', 'tmpfs-free', 'disk-free']

/** Who is looked at before a change to the hot path. */
const QUICK_SUBJECTS = ['plain', 'kernel overlayfs', 'fuse-overlayfs', 'svsfs']

const MOST_ROUNDS = 9
const QUICK_MINUTES = 2
const MINUTES = 12

/** Runs the benchmark; answers the exit status. */
export async function benchMount(options: MountOptions, folder: string): Promise<number> {
  mustHaveLoader()
  const kept = readResults(join(folder, `${options.dataPath}.json`))
  if (options.quick && kept === null)
    throw new Error(`nothing is kept in ${folder} to compare with: npm run bench -- mount`)
  const started = Date.now()
  const plan = await planOf(options, started)
  const results = await emptyResults(options, plan)
  await onGround(async () => {
    const files = options.full ? 100_000 : 20_000
    Object.assign(results.measures, await takeMeasures(plan.measures, options.tmpfs, files, say))
    if (Object.keys(plan.rows).length > 0) await measureAll(plan, options, results, say)
  })
  results.runs[0]!.minutes = (Date.now() - started) / 60_000
  const shown: Shown = { results, rows: ROWS }
  if (options.json) process.stdout.write(`${JSON.stringify(results, null, 1)}\n`)
  else process.stdout.write(show(shown))
  const part = [options.quick, options.rows, options.subjects, options.settings, options.layers]
  const whole = part.every((option) => option === undefined)
  if (whole)
    // What only --full measures stays.
    keep(
      { ...shown, results: { ...results, measures: { ...kept?.measures, ...results.measures } } },
      folder,
    )
  else if (options.keep) keep({ ...shown, results: merged(kept, results) }, folder)
  return options.quick ? compare(results, kept!) : 0
}

async function planOf(options: MountOptions, started: number): Promise<Plan> {
  const wanted = (name: string) =>
    options.subjects?.includes(name) ?? (!options.quick || QUICK_SUBJECTS.includes(name))
  const rows = Object.fromEntries(
    Object.entries(ROWS).filter(
      ([name, row]) => options.rows?.includes(name) ?? (!options.quick || row.quick),
    ),
  )
  const settings = options.settings ?? (options.quick ? ['tmpfs-one'] : USUAL_SETTINGS)
  return {
    rows,
    subjects: subjectsOf(options.dataPath).filter(({ name }) => wanted(name)),
    settings: settings.map((name) => SETTINGS[name]!),
    layers: (options.layers ?? (options.quick ? ['1'] : ['1', '3', '10'])).map(Number),
    measures: Object.keys(MEASURES).filter(
      (name) =>
        options.rows?.includes(name) ?? (!options.quick && (options.full || !MEASURES[name]!.full)),
    ),
    amounts: { warm: WARM, timed: options.full ? FULL : AMOUNTS },
    most: options.rounds ?? MOST_ROUNDS,
    until:
      options.rounds === undefined || options.minutes !== undefined
        ? started + (options.minutes ?? (options.quick ? QUICK_MINUTES : MINUTES)) * 60_000
        : Number.POSITIVE_INFINITY,
  }
}

async function emptyResults(options: MountOptions, plan: Plan): Promise<Results> {
  const missing: Record<string, string> = {}
  for (const [name, row] of Object.entries(plan.rows))
    await row.needs?.().catch((err: Error) => {
      missing[name] = err.message
    })
  const disks: Record<string, string> = {}
  for (const backing of new Set(plan.settings.map(({ backing }) => backing)))
    disks[backing] = (await run(['findmnt', '-no', 'FSTYPE', '-T', options[backing]]))
      .trim()
      .split('\n')
      .at(-1)!
  return {
    ...machine(),
    dataPath: options.dataPath,
    disks,
    amounts: plan.amounts.timed,
    warm: plan.amounts.warm.names,
    runs: [await beginRun(Object.keys(plan.rows).length + plan.measures.length)],
    subjects: await Promise.all(plan.subjects.map(presence)),
    missing,
    cells: {},
    measures: {},
  }
}

async function presence(subject: Subject): Promise<Presence> {
  try {
    return { name: subject.name, version: await subject.version(), missing: null }
  } catch (err) {
    return { name: subject.name, version: '', missing: (err as Error).message }
  }
}

const say = (text: string) => process.stderr.write(`${text}\n`)
