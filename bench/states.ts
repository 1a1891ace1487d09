// The command `states`: svsfs beside the programs that people keep states with.
//
//   set ─▶ keeper: state 1, change, state 2 … state 10, then the fifth is brought back, and one file of it
//
// Rule: all keepers have the same data in the same order on the same disk, one after the other in
// each round, and every restored tree is held against what was there. A keeper that fails is named.

import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeGround, onGround } from './ground.ts'
import { run } from './processes.ts'
import { markdownTable, short } from './publish.ts'
import { beginRun, machine, type Run } from './results.ts'
import { Templates } from './rows/templates.ts'
import { KEEPERS, type Keeper, type Kept, Peak } from './states/keepers.ts'
import { type DataSet, SETS } from './states/sets.ts'
import { median } from './statistics.ts'

export interface StatesOptions {
  readonly sets?: string[]
  readonly keepers?: string[]
  readonly rounds: number
  readonly disk: string
  readonly json?: true
  readonly keep?: true
}

const STATES = 10
/** The state that is brought back. */
const EARLIER = 5

/** What is measured, and its unit. */
export const STATE_ROWS = {
  'first state': 'ms',
  'second state': 'ms',
  'tenth state': 'ms',
  'restore of the fifth': 'ms',
  'restore of a file': 'ms',
  'bytes after the first': 'KiB',
  'bytes of the second': 'KiB',
  'bytes of the tenth': 'KiB',
  'peak memory': 'MiB',
} as const
type RowName = keyof typeof STATE_ROWS

/** One value a round, by set, row and keeper. */
type Cells = Record<string, Partial<Record<RowName, Record<string, number[]>>>>

interface StatesResults extends ReturnType<typeof machine> {
  readonly runs: Run[]
  readonly keepers: Record<string, string>
  readonly cells: Cells
  /** Why a keeper was not measured, or a set. */
  readonly failed: Record<string, string>
}

const say = (text: string) => process.stderr.write(`${text}\n`)

/** Runs the benchmark; answers the exit status. */
export async function benchStates(options: StatesOptions, folder: string): Promise<number> {
  const results: StatesResults = {
    ...machine(),
    runs: [await beginRun(Object.keys(STATE_ROWS).length)],
    keepers: {},
    cells: {},
    failed: {},
  }
  const keepers = await present(options, results)
  const started = Date.now()
  await onGround(() => measureSets(options, keepers, results))
  const [thisRun] = results.runs
  thisRun!.rounds = options.rounds
  thisRun!.minutes = (Date.now() - started) / 60_000
  const text = show(results)
  process.stdout.write(options.json ? `${JSON.stringify(results, null, 1)}\n` : text)
  if (options.keep) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'states.md'), text)
    writeFileSync(join(folder, 'states.json'), `${JSON.stringify(results)}\n`)
  }
  return Object.keys(results.failed).length === 0 ? 0 : 1
}

async function present(options: StatesOptions, { keepers, failed }: StatesResults) {
  const found: Keeper[] = []
  for (const keeper of KEEPERS) {
    if (options.keepers?.includes(keeper.name) === false) continue
    try {
      keepers[keeper.name] = await keeper.version()
      found.push(keeper)
    } catch (err) {
      failed[keeper.name] = (err as Error).message
    }
  }
  return found
}

async function measureSets(
  { disk, rounds, sets }: StatesOptions,
  keepers: readonly Keeper[],
  results: StatesResults,
): Promise<void> {
  const home = makeGround(disk)
  const templates = new Templates(join(home, 'templates'))
  for (const [name, set] of Object.entries(SETS)) {
    if (sets?.includes(name) === false) continue
    try {
      await set.needs()
      say(`${name}: makes the data`)
      await set.prepare(templates)
    } catch (err) {
      results.failed[name] = (err as Error).message
      continue
    }
    for (let round = 0; round < rounds; round++)
      for (const keeper of keepers) {
        const place = join(home, `${keeper.name}-${round}`.replaceAll(/\W+/g, '-'))
        say(`round ${round + 1}, ${name}: ${keeper.name}`)
        await history(place, keeper, set, templates, (row, value) => {
          const cells = ((results.cells[name] ??= {})[row] ??= {})
          ;(cells[keeper.name] ??= []).push(value)
        }).catch((err: Error) => {
          results.failed[`${name}, ${keeper.name}`] = err.message
          say(err.message)
        })
        await run(['rm', '-rf', '--one-file-system', place])
      }
  }
}

type Note = (row: RowName, value: number) => void

/** All states of one set with one keeper. */
async function history(
  home: string,
  keeper: Keeper,
  set: DataSet,
  templates: Templates,
  note: Note,
): Promise<void> {
  mkdirSync(home)
  chmodSync(home, 0o755)
  const peak = new Peak(join(home, 'peak'))
  const kept = await keeper.begin(home, peak)
  try {
    let earlier = ''
    for (let n = 1; n <= STATES; n++) {
      if (n === 1) await set.begin(kept.dir, templates)
      else await set.change(kept.dir, n, templates)
      await run(['sync', '-f', home])
      await keepState(kept, n, note)
      if (n === EARLIER) earlier = digestOf(kept.dir)
    }
    note(
      'restore of a file',
      await timed(() => kept.restoreFile(EARLIER, set.file, join(home, 'file'))),
    )
    let restored = ''
    const restore = async () => {
      restored = await kept.restore(EARLIER, join(home, 'restored'))
    }
    note('restore of the fifth', await timed(restore))
    if (digestOf(restored) !== earlier) throw new Error(`${keeper.name}: not what was kept`)
    note('peak memory', Math.max(peak.mib, kept.memory?.() ?? 0))
  } finally {
    await kept.end?.()
  }
}

const NOTED: Readonly<Record<number, readonly [RowName, RowName]>> = {
  1: ['first state', 'bytes after the first'],
  2: ['second state', 'bytes of the second'],
  10: ['tenth state', 'bytes of the tenth'],
}

async function keepState(kept: Kept, n: number, note: Note): Promise<void> {
  const rows = NOTED[n]
  const before = rows === undefined || n === 1 ? 0 : sizeOf(kept.repository)
  const passed = await timed(() => kept.keep(n))
  if (rows === undefined) return
  note(rows[0], passed)
  note(rows[1], sizeOf(kept.repository) - before)
}

/** ms that `work` takes. */
async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

/** KiB that a directory takes on the disk. */
const sizeOf = (dir: string) =>
  Number(execFileSync('du', ['-sk', dir], { encoding: 'utf8' }).split('\t')[0])

/** Names, kinds, modes, targets and contents of a tree in one word. */
function digestOf(dir: string): string {
  const line = `(find . -mindepth 1 -printf '%P %y %m %l\\n' | sort; find . -type f -print0 | sort -z | xargs -0 sha256sum) | sha256sum`
  return execFileSync('sh', ['-c', line], {
    cwd: dir,
    encoding: 'utf8',
    env: { LC_ALL: 'C', PATH: process.env.PATH! },
  })
}

function show({ machine, kernel, runs, keepers, cells, failed }: StatesResults): string {
  const names = Object.keys(keepers)
  const tables = Object.entries(cells).flatMap(([set, rows]) => {
    const head = ['', 'unit', ...names]
    const lines = Object.entries(rows).map(([row, values]) => [
      row,
      STATE_ROWS[row as RowName],
      ...names.map((name) => (values[name] === undefined ? '–' : short(median(values[name])))),
    ])
    return [
      '',
      `## ${set}`,
      '',
      `${SETS[set]!.what}.`,
      '',
      ...markdownTable([head, head.map(() => '---'), ...lines]),
    ]
  })
  return [
    `# States, ${runs[0]!.date}`,
    '',
    `${machine}; Linux ${kernel}; ${runs[0]!.rounds} rounds, medians. The load before was ${runs[0]!.load.toFixed(1)}.`,
    'Ten states of each set; times from the start of a command to its end. Bytes are what the repository takes on the disk.',
    'svsfs brings a state back in place, while mounted; the others write it to a new directory.',
    '',
    ...names.map((name) => `- ${name} ${keepers[name]}`),
    ...Object.entries(failed).map(([name, why]) => `- ${name}: **not measured**: ${why}`),
    ...tables,
    '',
  ].join('\n')
}
