// The command `states-many`: how a catalogue grows. Listing, opening one state by each of its names,
// and removing garbage, with ever more states and chunks.
//
//   10, 100, … states ─▶ a catalogue of that size, opened anew ─▶ each question, its median and worst
//
// Rule: states are written as snapshots write them (states/many.ts); a question is asked of an open
// catalogue, as a daemon has it, but of a database that was closed and opened since.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { type Catalogue, openCatalogue } from '../lib/snapshot/catalogue.ts'
import { collectGarbage } from '../lib/snapshot/gc.ts'
import { findState } from '../lib/snapshot/state-name.ts'
import { readTree } from '../lib/snapshot/tree.ts'
import { markdownTable } from './publish.ts'
import { fill, LAYER, type Many } from './states/many.ts'
import { median } from './statistics.ts'

export interface ManyOptions extends Many {
  readonly disk: string
  readonly json?: true
}

const ASKED = 21

/** Milliseconds, or MiB where the name says so: median, worst. */
type Times = Record<string, readonly [number, number]>

interface Row {
  readonly states: number
  readonly chunks: number
  readonly times: Times
}

export async function benchMany(options: ManyOptions): Promise<number> {
  mkdirSync(options.disk, { recursive: true })
  const rows: Row[] = []
  for (let states = 10; states <= options.states; states *= 10)
    rows.push(await measure({ ...options, states }))
  if (options.json) process.stdout.write(`${JSON.stringify(rows)}\n`)
  else process.stdout.write(`${tableOf(rows)}\n`)
  return 0
}

async function measure({ disk, ...many }: ManyOptions): Promise<Row> {
  const dir = mkdtempSync(join(disk, 'states-many-'))
  const chunks = many.states * many.chunks
  try {
    process.stderr.write(`${many.states} states with ${chunks} chunks\n`)
    const filled = await openCatalogue(join(dir, 'catalogue'))
    const ids = await fill(filled, many)
    await filled.close()
    const catalogue = await openCatalogue(join(dir, 'catalogue'))
    try {
      return { states: many.states, chunks, times: await timesOf(catalogue, ids) }
    } finally {
      await catalogue.close()
    }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

async function timesOf(catalogue: Catalogue, ids: readonly string[]): Promise<Times> {
  const some = (step: number) => ids[(step * 7919) % ids.length]!
  const opened = async (text: string) => {
    const state = await findState(catalogue, LAYER, text)
    for await (const _ of readTree(catalogue, await catalogue.pieces(state.id)));
  }
  return {
    'list all, the first time': await ask(() => catalogue.listed(LAYER.id), 1),
    'list all': await ask(() => catalogue.listed(LAYER.id)),
    'list the last 20': await ask(() => catalogue.lastListed(LAYER.id, 20)),
    'open by id': await ask((step) => opened(some(step))),
    'open by its beginning': await ask((step) => opened(some(step).slice(0, 8))),
    'open by label': await ask(() => opened('label-0')),
    'open the latest': await ask(() => opened('latest')),
    'open the one 5 before': await ask(() => opened('-5')),
    ...(await sweep(catalogue, 'gc, nothing to remove')),
    ...(await sweep(await tenth(catalogue), 'gc, a tenth of the states')),
  }
}

/** Deletes every tenth state. */
async function tenth(catalogue: Catalogue): Promise<Catalogue> {
  const states = await catalogue.listed(LAYER.id)
  await catalogue.deleteSnapshots(states.filter((_, at) => at % 10 === 5))
  return catalogue
}

async function sweep(catalogue: Catalogue, name: string): Promise<Times> {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  let most = 0
  const look = setInterval(() => {
    most = Math.max(most, process.memoryUsage.rss())
  }, 50)
  const before = process.memoryUsage.rss()
  const begun = performance.now()
  await collectGarbage(catalogue)
  const took = performance.now() - begun
  clearInterval(look)
  delay.disable()
  const mib = Math.max(0, most - before) / 1048576
  return {
    [name]: [took, took],
    [`${name}: others wait`]: [delay.percentile(50) / 1e6, delay.max / 1e6],
    [`${name}: MiB more`]: [mib, mib],
  }
}

async function ask(
  question: (step: number) => Promise<unknown>,
  asked = ASKED,
): Promise<[number, number]> {
  const times: number[] = []
  for (let step = 0; step < asked; step++) {
    const begun = performance.now()
    await question(step)
    times.push(performance.now() - begun)
  }
  return [median(times), Math.max(...times)]
}

function tableOf(rows: readonly Row[]): string {
  const names = Object.keys(rows[0]?.times ?? {})
  const head = [
    'ms: median (worst)',
    ...rows.map(({ states, chunks }) => `${states} states, ${chunks} chunks`),
  ]
  const cells = names.map((name) => [
    name,
    ...rows.map(({ times }) => {
      const [middle, worst] = times[name]!
      return `${middle.toFixed(1)} (${worst.toFixed(1)})`
    }),
  ])
  return markdownTable([head, head.map(() => '---'), ...cells]).join('\n')
}
