// How long commands take to start, beside Node alone: `npm run bench -- start`.
//
//   round: node -e 0 ─▶ svsfs --help ─▶ svsfs status, without and with its daemon ─▶ …
//
// Rule: all are run in turn, so that whatever else the machine does meets them alike; the median
// of their ratios to Node alone is what counts.

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { median } from './statistics.ts'

export interface StartOptions {
  readonly rounds: number
  readonly disk: string
  readonly json?: true
}

interface Row {
  readonly name: string
  /** Medians, in milliseconds. */
  readonly wall: number
  readonly cpu: number
  /** The same as multiples of Node alone, each of its own round. */
  readonly times: number
  readonly cpuTimes: number
}

const PROGRAM = join(dirname(fileURLToPath(import.meta.url)), '..', 'bin', 'svsfs.js')

/** Prints a row a command; exit status 0. */
export async function benchStart({ rounds, disk, json }: StartOptions): Promise<number> {
  const dir = mkdtempSync(join(disk, 'svsfs-start-'))
  const store = ['--store', join(dir, 'store')]
  const served = ['--store', join(dir, 'served')]
  const at = join(dir, 'mount')
  mkdirSync(at)
  try {
    for (const each of [store, served]) run([PROGRAM, 'layer', 'create', 'app', '--empty', ...each])
    run([PROGRAM, 'activate', 'app', ...served])
    run([PROGRAM, 'mount', at, ...served])
    run([PROGRAM, 'snapshot', 'app', '--allow-empty', ...served])
    const rows = measured(rounds, {
      'node -e 0': ['-e', '0'],
      'svsfs --help': [PROGRAM, '--help'],
      'svsfs status': [PROGRAM, 'status', ...store],
      'svsfs status, with a daemon': [PROGRAM, 'status', ...served],
      'svsfs snapshot, nothing changed': [PROGRAM, 'snapshot', 'app', ...served],
    })
    print(rows, json === true)
  } finally {
    run([PROGRAM, 'umount', '--all', '--lazy', ...served])
    rmSync(dir, { recursive: true, force: true })
  }
  return 0
}

function measured(rounds: number, commands: Readonly<Record<string, readonly string[]>>): Row[] {
  const names = Object.keys(commands)
  const taken = names.map((): { wall: number; cpu: number }[] => [])
  for (let round = 0; round < rounds; round++)
    for (const [index, words] of Object.values(commands).entries()) taken[index]!.push(run(words))
  return names.map((name, index) => {
    const own = taken[index]!
    const ratios = (of: 'wall' | 'cpu') => own.map((one, round) => one[of] / taken[0]![round]![of])
    return {
      name,
      wall: median(own.map(({ wall }) => wall)),
      cpu: median(own.map(({ cpu }) => cpu)),
      times: median(ratios('wall')),
      cpuTimes: median(ratios('cpu')),
    }
  })
}

/** Runs Node with these words to its end. Throws where it fails. */
function run(words: readonly string[]): { wall: number; cpu: number } {
  const before = cpuOfChildren()
  const begun = performance.now()
  // A daemon that it starts may keep pipes open: nothing is read from them.
  const { status } = spawnSync(process.execPath, words, { stdio: 'ignore' })
  const wall = performance.now() - begun
  if (status !== 0) throw new Error(`${words.slice(1).join(' ')}: exit status ${status}`)
  return { wall, cpu: cpuOfChildren() - before }
}

/** Milliseconds of all children that have ended, by the clock ticks that the kernel counts: 10 ms each. */
function cpuOfChildren(): number {
  const [, rest = ''] = readFileSync('/proc/self/stat', 'latin1').split(') ', 2)
  const [user = 0, system = 0] = rest.split(' ').slice(13, 15).map(Number)
  return (user + system) * 10
}

function print(rows: readonly Row[], json: boolean): void {
  if (json) return void process.stdout.write(`${JSON.stringify(rows)}\n`)
  process.stdout.write(`${'command'.padEnd(34)}  wall ms        cpu ms\n`)
  for (const { name, wall, cpu, times, cpuTimes } of rows) {
    const cells = [
      `${wall.toFixed(0)} (x ${times.toFixed(2)})`,
      `${cpu.toFixed(0)} (x ${cpuTimes.toFixed(2)})`,
    ]
    process.stdout.write(`${name.padEnd(34)}  ${cells[0]!.padEnd(15)}${cells[1]}\n`)
  }
}
