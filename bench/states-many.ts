// The command `states-many`: how a catalogue grows. Listing, and opening one state by each of its
// names, with ever more states and chunks.
//
//   10, 100, … states ─▶ a catalogue of that size, opened anew ─▶ each question, its median and worst
//
// Rule: each state has a list and chunks of its own and shares others, as real ones do; a question is
// asked of an open catalogue, as a daemon has it, but of a database that was closed and opened since.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Catalogue, openCatalogue } from '../lib/snapshot/catalogue.ts'
import { sha256 } from '../lib/snapshot/depot.ts'
import { collectGarbage } from '../lib/snapshot/gc.ts'
import type { Operation } from '../lib/snapshot/key-value.ts'
import { putJson } from '../lib/snapshot/key-value.ts'
import { key } from '../lib/snapshot/keys.ts'
import type { Entry, SnapshotRecord } from '../lib/snapshot/records.ts'
import { findState } from '../lib/snapshot/state-name.ts'
import { readTree, TreeWriter } from '../lib/snapshot/tree.ts'
import { namesOf } from '../lib/snapshot/writer.ts'
import { markdownTable } from './publish.ts'
import { median } from './statistics.ts'

export interface ManyOptions {
  readonly states: number
  /** Chunks for each state. */
  readonly chunks: number
  readonly disk: string
  readonly json?: true
}

const LAYER = { id: 'l1', name: 'app' }
const ASKED = 21

interface Row {
  readonly states: number
  readonly chunks: number
  /** Milliseconds: median, worst. */
  readonly times: Readonly<Record<string, readonly [number, number]>>
}

export async function benchMany(options: ManyOptions): Promise<number> {
  mkdirSync(options.disk, { recursive: true })
  const rows: Row[] = []
  for (let states = 10; states <= options.states; states *= 10)
    rows.push(await measure(states, options))
  if (options.json) process.stdout.write(`${JSON.stringify(rows)}\n`)
  else process.stdout.write(`${tableOf(rows)}\n`)
  return 0
}

async function measure(states: number, { chunks, disk }: ManyOptions): Promise<Row> {
  const dir = mkdtempSync(join(disk, 'states-many-'))
  try {
    process.stderr.write(`${states} states with ${states * chunks} chunks\n`)
    const filled = await openCatalogue(join(dir, 'catalogue'))
    await fill(filled, states, chunks)
    await filled.close()
    const catalogue = await openCatalogue(join(dir, 'catalogue'))
    try {
      return { states, chunks: states * chunks, times: await timesOf(catalogue, states) }
    } finally {
      await catalogue.close()
    }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

async function fill(catalogue: Catalogue, states: number, chunks: number): Promise<void> {
  for (let at = 0; at < states; at++) {
    const operations: Operation[] = []
    const depot = {
      chunk: async () => null,
      content: async () => null,
      putContent: async () => {},
      putChunk: async (id: string, value: Buffer) => {
        operations.push({ type: 'put', key: key.chunk(id), value })
      },
    }
    const ids = Array.from({ length: chunks }, (_, n) => {
      const value = Buffer.from(`chunk ${n} of state ${at}`.padEnd(64, '.'))
      const id = sha256(value)
      operations.push({ type: 'put', key: key.chunk(id), value })
      return id
    })
    const content = sha256(Buffer.from(`content of ${at}`))
    const parts = [{ codec: 'raw', length: 64 * chunks, chunks: ids }]
    operations.push(
      putJson(key.content('', content), { size: 64 * chunks, depth: 0, stored: 1, parts }),
    )
    const tree = new TreeWriter(depot)
    await tree.add({ entry: entryOf(content, 64 * chunks), stamp: null })
    const record = recordOf(at)
    operations.push(
      putJson(key.tree(record.id), await tree.end()),
      ...namesOf(record),
      putJson(key.snapshot(record), record),
    )
    await catalogue.batch(operations)
  }
  await catalogue.setHead(LAYER.id, recordOf(states - 1).id)
}

const entryOf = (content: string, size: number) =>
  ({
    path: 'file',
    kind: 'file',
    mode: 0o644,
    uid: 0,
    gid: 0,
    atime: 1,
    atimeNsec: 0,
    mtime: 1,
    mtimeNsec: 0,
    number: 1,
    size,
    content,
  }) as Entry

const recordOf = (at: number): SnapshotRecord => ({
  id: sha256(Buffer.from(`state ${at}`)).slice(0, 10),
  layer: LAYER.id,
  time: 1_700_000_000_000 + at * 60_000,
  message: `what was done in step ${at}`,
  label: at % 100 === 0 ? `label-${at}` : null,
  tags: at % 7 === 0 ? { release: String(at) } : {},
  trigger: 'scheduled',
  pinned: false,
  parent: at === 0 ? null : sha256(Buffer.from(`state ${at - 1}`)).slice(0, 10),
  ro: { version: 1, digest: '' },
  rw: 1,
  entries: 1,
  bytes: 1,
  stored: 1,
  counts: { added: 1, changed: 0, deleted: 0, attributes: 0 },
  journal: null,
  dependsOnBase: false,
  owners: { users: { 0: 'root' }, groups: { 0: 'root' } },
  format: 1,
})

async function timesOf(catalogue: Catalogue, states: number): Promise<Row['times']> {
  const some = (step: number) => recordOf((step * 7919) % states)
  const opened = async (text: string) => {
    const state = await findState(catalogue, LAYER, text)
    for await (const _ of readTree(catalogue, await catalogue.pieces(state.id)));
  }
  const sweep = performance.now()
  await collectGarbage(catalogue, { dryRun: true })
  const swept = performance.now() - sweep
  return {
    'list all': await ask(() => catalogue.snapshots(LAYER.id)),
    'list the last 20': await ask(() => catalogue.lastSnapshots(LAYER.id, 20)),
    'open by id': await ask((step) => opened(some(step).id)),
    'open by its beginning': await ask((step) => opened(some(step).id.slice(0, 8))),
    'open by label': await ask(() => opened('label-0')),
    'open the latest': await ask(() => opened('latest')),
    'look for garbage': [swept, swept],
  }
}

async function ask(question: (step: number) => Promise<unknown>): Promise<[number, number]> {
  const times: number[] = []
  for (let step = 0; step < ASKED; step++) {
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
