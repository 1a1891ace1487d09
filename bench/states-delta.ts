// What the second of two states costs: ours beside a delta of the two trees' tars, and beside
// bsdiff for programs that were built again.
//
//   node dist/bench/states-delta.js [DIR]     sizes in bytes, processor time in seconds
//
// The first tree is the read-only sublayer; what differs in the second is the writable one, as
// the mount would have it. `ours` counts frames, records, and the list; processor time is that of
// this process with its threads.
//
// Rule: peers get the same bytes, and every row of ours is restored and compared before it counts.

import { execFileSync, spawnSync } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Catalogue, openCatalogue } from '../lib/snapshot/catalogue.ts'
import { below } from '../lib/snapshot/keys.ts'
import { recodeState } from '../lib/snapshot/recode.ts'
import type { LayerRecord, SnapshotRecord } from '../lib/snapshot/records.ts'
import { buildState } from '../lib/snapshot/restore.ts'
import { takeSnapshot } from '../lib/snapshot/snapshot.ts'
import { listChunks, stampChunks } from '../lib/snapshot/tree.ts'
import { makeBuilds, makeProfiles } from './states-trees.ts'

export interface DeltaRow {
  readonly data: string
  readonly who: string
  /** Bytes of the delta, and of what describes it (records and lists; the peers have none). */
  readonly bytes: number
  readonly metadata: number
  /** Processor time in seconds, of the delta alone. */
  readonly cpu: number
  /** Bytes of the files that differ. */
  readonly changed: number
}

/** All rows, in a directory that is left as it was. */
export async function measureDeltas(home: string): Promise<DeltaRow[]> {
  const rows: DeltaRow[] = []
  for (const used of [false, true]) {
    const dir = join(home, used ? 'used' : 'idle')
    const [before, after] = makeProfiles(dir, used)
    rows.push(...(await compare(used ? 'used profile' : 'idle profile', dir, before, after)))
  }
  const dir = join(home, 'build')
  const builds = makeBuilds(dir)
  if (builds !== null) rows.push(...(await compare('rebuilt program', dir, ...builds)))
  return rows
}

async function compare(
  data: string,
  dir: string,
  before: string,
  after: string,
): Promise<DeltaRow[]> {
  const rw = join(dir, 'rw')
  const changed = differing(before, after, rw)
  const rows = [
    { data, changed, ...tarDelta(dir, before, after) },
    ...(await ours(dir, before, rw)).map((row) => ({ data, changed, ...row })),
  ]
  const programs = [join(before, 'program'), join(after, 'program')] as const
  if (statSync(programs[0], { throwIfNoEntry: false })?.isFile() === true)
    rows.push(...bsdiff(dir, ...programs).map((row) => ({ data, changed, ...row })))
  return rows
}

type Cost = Pick<DeltaRow, 'who' | 'bytes' | 'metadata' | 'cpu'>

/** Makes `rw` hold the files of `after` that `before` has not, or has otherwise. Returns their bytes. */
export function differing(before: string, after: string, rw: string): number {
  mkdirSync(rw, { recursive: true })
  let bytes = 0
  for (const path of readdirSync(after, { recursive: true, encoding: 'utf8' })) {
    const [from, to] = [join(after, path), join(rw, path)]
    if (!statSync(from).isFile()) continue
    const now = readFileSync(from)
    const was = statSync(join(before, path), { throwIfNoEntry: false })
    if (was?.isFile() === true && readFileSync(join(before, path)).equals(now)) continue
    mkdirSync(dirname(to), { recursive: true })
    cpSync(from, to, { preserveTimestamps: true })
    bytes += now.length
  }
  return bytes
}

function tarDelta(dir: string, before: string, after: string): Cost {
  const tars = [join(dir, '1.tar'), join(dir, '2.tar')] as const
  for (const [at, tree] of [before, after].entries())
    execFileSync('tar', ['--sort=name', '-C', tree, '-cf', tars[at]!, '.'])
  const out = join(dir, 'delta.zst')
  const flags = [
    '-q',
    '-f',
    '-3',
    '--single-thread',
    `--patch-from=${tars[0]}`,
    '--long=31',
    tars[1],
    '-o',
    out,
  ]
  const cpu = timed('zstd', flags)
  return { who: 'zstd -3 --patch-from of the tars', bytes: statSync(out).size, metadata: 0, cpu }
}

function bsdiff(dir: string, before: string, after: string): Cost[] {
  const out = join(dir, 'delta.bsdiff')
  const cpu = timed('bsdiff', [before, after, out])
  return cpu === -1 ? [] : [{ who: 'bsdiff', bytes: statSync(out).size, metadata: 0, cpu }]
}

/** Processor time of a program, in seconds; -1 where it is not installed. */
function timed(program: string, args: readonly string[]): number {
  const words = [program, ...args].map((word) => `'${word}'`).join(' ')
  const { status, stderr } = spawnSync('bash', ['-c', `TIMEFORMAT='%U %S'; time ${words}`])
  if (status !== 0) return -1
  const [user, system] = stderr.toString().trim().split('\n').at(-1)!.split(' ')
  return Number(user) + Number(system)
}

async function ours(dir: string, ro: string, rw: string): Promise<Cost[]> {
  const catalogue = await openCatalogue(join(dir, 'catalogue'))
  try {
    const numbers = null
    const layer = layerRecord()
    await catalogue.putLayer(layer)
    const took = await cpuOf(() =>
      takeSnapshot({ catalogue, layer, dirs: { rw, numbers, ro: [ro], area: null } }),
    )
    const { snapshot } = took.result
    await check(catalogue, dir, snapshot, ro, rw)
    const first = { who: 'svsfs snapshot', ...(await sizes(catalogue)), cpu: took.cpu }
    const again = await cpuOf(() =>
      recodeState({ catalogue, snapshot, ro: [ro], temporary: dir, budget: null }),
    )
    await check(catalogue, dir, snapshot, ro, rw)
    const { metadata } = first
    const bytes = first.bytes - again.result.saved
    return [first, { who: 'svsfs recode', bytes, metadata, cpu: again.cpu }]
  } finally {
    await catalogue.close()
  }
}

async function cpuOf<T>(work: () => Promise<T>): Promise<{ result: T; cpu: number }> {
  const before = process.cpuUsage()
  const result = await work()
  const { user, system } = process.cpuUsage(before)
  return { result, cpu: (user + system) / 1e6 }
}

async function check(
  catalogue: Catalogue,
  dir: string,
  snapshot: SnapshotRecord,
  ro: string,
  rw: string,
): Promise<void> {
  const made = join(dir, 'made')
  mkdirSync(made)
  await buildState({ catalogue, snapshot, ro: [ro], rw: made, numbers: null })
  execFileSync('diff', ['-r', rw, made])
  rmSync(made, { recursive: true })
}

/** Bytes of frames; and of lists, stamps and records with their keys. */
export async function sizes(catalogue: Catalogue): Promise<{ bytes: number; metadata: number }> {
  let all = 0
  let lists = 0
  for await (const key of catalogue.keys(below('chunk')))
    all += (await catalogue.chunk(key.slice('chunk/'.length)))!.length
  for (const snapshot of await catalogue.allSnapshots())
    for (const id of await listsOf(catalogue, snapshot))
      lists += (await catalogue.chunk(id))!.length
  let records = 0
  for await (const key of catalogue.keys(below('content'))) {
    const [, scope, id] = key.split('/')
    records += key.length + JSON.stringify(await catalogue.content(scope!, id!)).length
  }
  return { bytes: all - lists, metadata: lists + records }
}

async function listsOf(catalogue: Catalogue, { id }: SnapshotRecord): Promise<Set<string>> {
  const pieces = await catalogue.pieces(id)
  return new Set(pieces.flatMap((piece) => [...listChunks(piece), ...stampChunks(piece)]))
}

export const layerRecord = (): LayerRecord => ({
  id: 'l1',
  name: 'app',
  tag: 1,
  created: 1,
  ro: { version: 1, digest: 'a'.repeat(64), entries: 1, bytes: 0 },
  versions: [],
  rw: 1,
  active: false,
  priority: 0,
  excludes: [],
  manifest: {},
})

/** The rows as a table. */
export function deltaTable(rows: readonly DeltaRow[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, at) => (at < 2 ? cell.padEnd(at === 0 ? 16 : 34) : cell.padStart(12))).join(' | ')} |`
  return [
    line(['data', 'who', 'changed', 'delta', 'metadata', 'cpu s', 'MB/s']),
    ...rows.map(({ data, who, changed, bytes, metadata, cpu }) =>
      line([
        data,
        who,
        `${changed}`,
        `${bytes}`,
        `${metadata}`,
        cpu.toFixed(2),
        (changed / 1e6 / cpu).toFixed(0),
      ]),
    ),
  ].join('\n')
}

async function main(parent = tmpdir()): Promise<void> {
  const home = mkdtempSync(join(parent, 'svsfs-deltas-'))
  try {
    console.log(deltaTable(await measureDeltas(home)))
    console.log(
      `peak memory of this process: ${Math.round(process.resourceUsage().maxRSS / 1024)} MiB`,
    )
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main(process.argv[2])
