// The rounds of a run: every row once in each place, again and again while there is time.
//
//   round 1:  tmpfs one 1, tmpfs one 3, …, disk free 1    round 2: the same    …
//
// Rule: no round begins that would end too late, by the longest so far; the first always runs.

import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { makeGround } from './ground.ts'
import { type Lower, makeLower } from './lower.ts'
import type { Plan } from './mount.ts'
import { markedEnvironment } from './processes.ts'
import { placeName, type Results } from './results.ts'
import { measureRound } from './round.ts'
import type { Setting } from './rows/row.ts'
import { Templates } from './rows/templates.ts'

type Say = (text: string) => void
type Disks = Readonly<Record<Setting['backing'], string>>

/** Makes the directories below, and measures. */
export async function measureAll(plan: Plan, disks: Disks, results: Results, say: Say) {
  const lowers = await makeLowers(plan, disks, results, say)
  let longest = 0
  const thisRun = results.runs.at(-1)!
  while (
    thisRun.rounds < plan.most &&
    (thisRun.rounds === 0 || Date.now() + longest < plan.until)
  ) {
    const began = Date.now()
    for (const setting of plan.settings) {
      const hogs = setting.cores === 'busy' ? keepBusy(lowers[setting.backing]!.home) : []
      try {
        for (const layers of plan.layers)
          if (layers === plan.layers[0] || isDeep(setting))
            await measureIn(plan, setting, layers, lowers[setting.backing]!, results, say)
      } finally {
        for (const hog of hogs) hog.kill('SIGKILL')
      }
    }
    thisRun.rounds++
    longest = Math.max(longest, Date.now() - began)
  }
}

/** More layers cost the daemon's time, not the disk's: they are looked at in one place. */
const isDeep = ({ backing, cores }: Setting) => backing === 'tmpfs' && cores === 'one'

async function makeLowers(plan: Plan, disks: Disks, { missing }: Results, say: Say) {
  const rows = Object.fromEntries(Object.entries(plan.rows).filter(([name]) => !(name in missing)))
  const lowers: Partial<Record<Setting['backing'], Lower>> = {}
  const templates = new Templates(join(makeGround(disks.tmpfs), 'templates'))
  for (const backing of new Set(plan.settings.map(({ backing }) => backing))) {
    say(`makes directories in ${disks[backing]}`)
    const here = plan.settings.filter((setting) => setting.backing === backing)
    const wanted = Object.entries(rows).filter(([, row]) => here.some(row.where ?? (() => true)))
    lowers[backing] = await makeLower(disks[backing], {
      rows: Object.fromEntries(wanted),
      subjects: plan.subjects,
      amounts: plan.amounts,
      deepest: here.some(isDeep) ? Math.max(...plan.layers) : plan.layers[0]!,
      templates,
    })
  }
  return lowers
}

async function measureIn(
  plan: Plan,
  setting: Setting,
  layers: number,
  lower: Lower,
  results: Results,
  say: Say,
): Promise<void> {
  const place = placeName(setting, layers)
  const round = results.runs.at(-1)!.rounds
  const rows = Object.entries(plan.rows).filter(
    ([name, row]) =>
      !(name in results.missing) &&
      (layers === plan.layers[0] || row.depth) &&
      (row.where?.(setting) ?? true) &&
      round < (row.most ?? Number.POSITIVE_INFINITY),
  )
  await measureRound(
    {
      number: round,
      setting,
      layers,
      rows: Object.fromEntries(rows),
      subjects: plan.subjects.filter(({ kind }) => layers === 1 || kind !== 'mirror'),
      presences: results.subjects,
      lower,
      pinned: setting.cores === 'one' ? ['taskset', '-c', String(firstCore())] : [],
      say: (text: string) => say(`round ${round + 1}, ${place}: ${text}`),
    },
    (results.cells[place] ??= {}),
  )
}

/** The first core that this process may use. */
function firstCore(): number {
  const allowed = /Cpus_allowed_list:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))
  return Number(allowed?.[1] ?? 0)
}

/** A program for each core that does nothing but use it. */
function keepBusy(place: string): ChildProcess[] {
  return Array.from({ length: availableParallelism() }, () =>
    spawn('sh', ['-c', 'while :; do :; done'], { stdio: 'ignore', env: markedEnvironment(place) }),
  )
}
