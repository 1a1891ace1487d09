// The command `mount`: which rows run where and how often, and what becomes of the result.
//
//   options ─▶ plan ─▶ make the lower directories ─▶ rounds, as many as time allows ─▶ publish, or compare
//
// Rule: a round measures every row once in each place, so that what is compared has as many samples.

import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { compare } from './compare.ts'
import { onGround } from './ground.ts'
import { type Lower, makeLower } from './lower.ts'
import { run } from './processes.ts'
import { keep, type Shown, show } from './publish.ts'
import { machine, type Presence, placeName, type Results, readResults } from './results.ts'
import { measureRound } from './round.ts'
import { type Amounts, mustHaveLoader, type Row, type Setting } from './rows/row.ts'
import { ROWS } from './rows/rows.ts'
import { SUBJECTS, type Subject } from './subjects.ts'

export interface MountOptions {
  readonly quick?: true
  readonly full?: true
  readonly rows?: string[]
  readonly subjects?: string[]
  readonly rounds?: number
  readonly minutes?: number
  readonly backing?: string[]
  readonly cores?: string[]
  readonly layers?: string[]
  readonly dataPath: string
  readonly tmpfs: string
  readonly disk: string
  readonly json?: true
  readonly keep?: true
}

interface Plan {
  readonly rows: Readonly<Record<string, Row>>
  readonly subjects: readonly Subject[]
  readonly settings: readonly Setting[]
  readonly layers: readonly number[]
  readonly amounts: Lower['amounts']
  readonly most: number
  readonly until: number
}

const AMOUNTS: Amounts = { names: 1000, batches: 5, large: 256, random: 2000, tree: 5000 }
const FULL: Amounts = { ...AMOUNTS, large: 1024, tree: 50_000 }
const WARM: Amounts = { names: 300, batches: 1, large: 8, random: 200, tree: 100 }

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
  await onGround(() => measureAll(plan, options, results))
  results.minutes = (Date.now() - started) / 60_000
  const shown: Shown = { results, rows: ROWS }
  if (options.json) process.stdout.write(`${JSON.stringify(results, null, 1)}\n`)
  else process.stdout.write(show(shown))
  const whole = !options.quick && !options.rows && !options.subjects
  if (whole || options.keep) keep(shown, folder)
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
  const backing = options.backing ?? (options.quick ? ['tmpfs'] : ['tmpfs', 'disk'])
  const cores = options.cores ?? (options.quick ? ['one'] : ['one', 'free'])
  const settings = backing.flatMap((backing) =>
    cores.map((cores) => ({ backing, cores }) as Setting),
  )
  return {
    rows,
    subjects: SUBJECTS.filter(({ name }) => wanted(name)),
    settings,
    layers: (options.layers ?? (options.quick ? ['1'] : ['1', '3', '10'])).map(Number),
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
    ...(await machine()),
    dataPath: options.dataPath,
    disks,
    amounts: plan.amounts.timed,
    rounds: 0,
    minutes: 0,
    subjects: await Promise.all(plan.subjects.map(presence)),
    missing,
    cells: {},
  }
}

async function presence(subject: Subject): Promise<Presence> {
  try {
    return { name: subject.name, version: await subject.version(), missing: null }
  } catch (err) {
    return { name: subject.name, version: '', missing: (err as Error).message }
  }
}

async function measureAll(plan: Plan, options: MountOptions, results: Results): Promise<void> {
  const rows = Object.fromEntries(
    Object.entries(plan.rows).filter(([name]) => !(name in results.missing)),
  )
  const lowers = new Map<string, Lower>()
  for (const { backing } of plan.settings)
    if (!lowers.has(backing)) {
      say(`makes directories in ${options[backing]}`)
      lowers.set(
        backing,
        await makeLower(
          options[backing],
          rows,
          plan.subjects,
          plan.amounts,
          Math.max(...plan.layers),
        ),
      )
    }
  for (
    let longest = 0;
    results.rounds < plan.most && Date.now() + longest < plan.until;
    results.rounds++
  ) {
    const began = Date.now()
    for (const setting of plan.settings)
      await measureIn(plan, setting, lowers.get(setting.backing)!, rows, results)
    longest = Math.max(longest, Date.now() - began)
  }
}

/** One round in one setting: each number of layers in turn. */
async function measureIn(
  plan: Plan,
  setting: Setting,
  lower: Lower,
  rows: Plan['rows'],
  results: Results,
): Promise<void> {
  const hogs = setting.cores === 'busy' ? keepBusy() : []
  try {
    for (const layers of plan.layers) {
      const place = placeName(setting, layers)
      const here = Object.entries(rows).filter(
        ([, row]) =>
          (layers === plan.layers[0] || row.depth) &&
          (row.where?.(setting) ?? true) &&
          results.rounds < (row.most ?? Number.POSITIVE_INFINITY),
      )
      const round = {
        number: results.rounds,
        setting,
        layers,
        rows: Object.fromEntries(here),
        subjects: plan.subjects.filter(({ kind }) => layers === 1 || kind !== 'mirror'),
        presences: results.subjects,
        lower,
        pinned: setting.cores === 'one' ? ['taskset', '-c', String(firstCore())] : [],
        say: (text: string) => say(`round ${results.rounds + 1}, ${place}: ${text}`),
      }
      await measureRound(round, (results.cells[place] ??= {}))
    }
  } finally {
    for (const hog of hogs) hog.kill('SIGKILL')
  }
}

const say = (text: string) => process.stderr.write(`${text}\n`)

/** The first core that this process may use. */
function firstCore(): number {
  const allowed = /Cpus_allowed_list:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))
  return Number(allowed?.[1] ?? 0)
}

/** A program for each core that does nothing but use it. */
function keepBusy(): ChildProcess[] {
  return Array.from({ length: availableParallelism() }, () =>
    spawn('sh', ['-c', 'while :; do :; done'], { stdio: 'ignore' }),
  )
}
