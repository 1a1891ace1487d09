// `npm run conformance`: every case on every subject, as root and as an ordinary user, as a
// table of answers that are those of a plain directory.
//
//   npm run conformance                     all of it
//   npm run conformance -- rename unlink    groups whose name contains one of the words
//   npm run conformance -- --json           the same as JSON on stdout
//
//   group | answers | plain directory | one layer | …
//
// Rule: an answer that differs, and that DIFFERS does not name, ends it with status 1.

import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { removeTree } from '../runner/leftovers.ts'
import { findPlace } from '../runner/place.ts'
import { readableByAll, secondUser } from '../runner/second-user.ts'
import type { Groups } from './case.ts'
import { compare, measure, type Score } from './compare.ts'
import { unknown } from './differs.ts'
import { GROUPS } from './groups.ts'
import { baseWritable, oneLayer, overlayfs, type Subject, threeLayers } from './subjects.ts'
import { tableOf } from './table.ts'

/** One subject's scores, under the user that it was mounted by. */
export interface Column {
  readonly subject: string
  readonly user: 'root' | 'user'
  readonly scores: readonly Score[]
}

const SUBJECTS: readonly Subject[] = [
  overlayfs,
  oneLayer(),
  threeLayers,
  baseWritable,
  oneLayer('direct', 'passthrough'),
  oneLayer('fuse-native'),
]
const ROOM_BYTES = 2e9
const SHOWN = 30

/** A whole column through fuse-native takes many minutes. */
const LONGEST_COLUMN = '3600'

process.env.SVSFS_TEST_SECONDS ??= LONGEST_COLUMN
const isRoot = process.geteuid?.() === 0
const { values: options, positionals: words } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false } },
})
const groups = chosen()
const columns = [...(await columnsHere()), ...(isRoot ? columnsOfUser() : [])]
const failures = columns.flatMap((column) =>
  column.scores.flatMap((score) =>
    unknown(column.subject, score).map((line) => `${column.subject}, ${column.user}: ${line}`),
  ),
)
if (options.json) process.stdout.write(JSON.stringify(columns))
else {
  console.log(tableOf(columns))
  for (const line of failures.slice(0, SHOWN)) console.log(`not alike: ${line}`)
  if (failures.length > SHOWN) console.log(`… and ${failures.length - SHOWN} more (--json has all)`)
  console.log(`${failures.length} answers differ without a known reason`)
}
process.exitCode = failures.length > 0 ? 1 : 0

function chosen(): Groups {
  const entries = Object.entries(GROUPS).filter(
    ([name]) => words.length === 0 || words.some((word) => name.includes(word)),
  )
  if (entries.length === 0)
    throw new Error(`no such group; there are: ${Object.keys(GROUPS).join(', ')}`)
  return Object.fromEntries(entries)
}

async function columnsHere(): Promise<Column[]> {
  const user = isRoot ? 'root' : 'user'
  const { measure: measured, scores } = await measure(groups)
  const columns: Column[] = [{ subject: 'plain directory', user, scores }]
  for (const subject of SUBJECTS) {
    if (subject.needsRoot && !isRoot) continue
    process.stderr.write(`${subject.name}, ${user}\n`)
    const scores = await compare(subject, thinned(groups, subject.oneIn ?? 1), measured)
    columns.push({ subject: subject.name, user, scores })
  }
  return columns
}

function thinned(all: Groups, oneIn: number): Groups {
  return Object.fromEntries(
    Object.entries(all).map(([name, cases]) => [name, cases.filter((_, i) => i % oneIn === 0)]),
  )
}

/** The same in a process of the second user. */
function columnsOfUser(): Column[] {
  const project = join(fileURLToPath(import.meta.url), '..', '..', '..', '..')
  const { dir } = findPlace('svt-', ROOM_BYTES)
  const { uid, gid } = secondUser()
  try {
    chmodSync(dir, 0o755)
    const home = join(dir, 'home')
    mkdirSync(home)
    chownSync(home, uid, gid)
    const script = join(readableByAll(project, dir), 'dist/test/conformance/conformance.js')
    const env = { PATH: process.env.PATH, HOME: home, TMPDIR: home, LANG: 'C.UTF-8' }
    const all = [script, '--json', ...words]
    const stdio: ['ignore', 'pipe', 'inherit'] = ['ignore', 'pipe', 'inherit']
    const limits = { maxBuffer: 1 << 28 }
    const run = spawnSync(process.execPath, all, { cwd: '/', env, uid, gid, stdio, ...limits })
    return JSON.parse(run.stdout.toString()) as Column[]
  } finally {
    removeTree(dir)
  }
}
