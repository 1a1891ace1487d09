// `npm run bench`: svsfs beside its peers, over one backing directory, in one run.
//
//   npm run bench -- [--quick] [--rounds N] [--dir DIR] [--tree DIR]
//                   [--cores shared|awake|free] [ROW…]
//
//   for each round, for each subject in turn:  mount ─▶ every row twice, by the loader ─▶ unmount
//
// Rule: numbers of one run may be compared, numbers of two machines never; the point is to notice
// a change, and to see where the peers are better.

import { type ChildProcess, fork, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { basename, dirname, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { Answer, Order } from './loader.ts'
import { footprint, makeEmptyFiles } from './memory.ts'
import { CORES, machine, type Presence, publish, type Results } from './report.ts'
import { type Load, MIB, NAMES, namePath, ROWS, writeLarge } from './rows.ts'
import { mount, type Place, run, SUBJECTS, type Subject, unmount } from './subjects.ts'

type Loads = { readonly warm: Load; readonly timed: Load }

const MEMORY_FILES = 200_000
const TREE_COPIES = 4

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    dir: { type: 'string', default: '/dev/shm' },
    tree: { type: 'string', default: 'node_modules/puppeteer-core' },
    cores: { type: 'string', default: 'shared' },
  },
})

const cores = options.cores as Results['cores']
const names = [...Object.keys(ROWS), 'memory']
const wanted = positionals.length === 0 ? names : positionals
const unknown = wanted.find((row) => !names.includes(row))
if (unknown !== undefined || !(cores in CORES)) {
  console.error(`rows: ${names.join(', ')}; --cores ${Object.keys(CORES).join('|')}`)
  process.exit(2)
}

const home = mkdtempSync(`${resolve(options.dir)}/svsfs-bench-`)
const children: ChildProcess[] = []
try {
  await main()
} finally {
  for (const child of children) child.kill('SIGKILL')
  rmSync(home, { recursive: true, force: true })
}

async function main(): Promise<void> {
  const results: Results = {
    ...machine(),
    backing: `${options.dir} (${run(['stat', '-fc', '%T', options.dir]).trim()})`,
    cores,
    tree: basename(options.tree),
    subjects: SUBJECTS.map(presence),
    values: {},
    footprints: {},
  }
  const lower = `${home}/lower`
  const loads = makeLower(lower)
  if (cores === 'shared') run(['taskset', '-pc', '0', `${process.pid}`]) // children inherit it
  if (cores === 'awake') keepAwake()

  const loader = fork(new URL('./loader.js', import.meta.url))
  children.push(loader)
  const memoryOnly = wanted.every((row) => row === 'memory')
  const rounds = memoryOnly ? 0 : Number(options.rounds ?? (options.quick ? 2 : 5))
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < SUBJECTS.length; turn++) {
      const subject = SUBJECTS[(turn + round) % SUBJECTS.length]!
      await mounted(subject, lower, results, (root) =>
        runRows(loader, subject, root, loads, results),
      )
      process.stderr.write(`round ${round + 1} of ${rounds}: ${subject.name}\n`)
    }
  }
  if (wanted.includes('memory') && !(options.quick && positionals.length === 0))
    await measureFootprints(results)
  publish(results, options.quick || positionals.length > 0 ? null : resolve('bench/results'))
}

function presence(subject: Subject): Presence {
  try {
    return { name: subject.name, version: subject.version(), missing: null }
  } catch (err) {
    return { name: subject.name, version: '', missing: (err as Error).message }
  }
}

/** Makes the lower tree that every subject shows, and the archive that is unpacked. */
function makeLower(lower: string): Loads {
  const tree = resolve(options.tree)
  const tar = `${home}/tree.tar`
  run(['tar', '-cf', tar, '-C', dirname(tree), basename(tree)])
  const loads = {
    warm: { operations: 2000, bytes: 16 * MIB, tar },
    timed: {
      operations: options.quick ? 1000 : 2000,
      bytes: (options.quick ? 64 : 128) * MIB,
      tar,
    },
  }
  makeRoot(`${lower}/warm`, loads.warm, 1)
  makeRoot(`${lower}/timed`, loads.timed, TREE_COPIES)
  return loads
}

function makeRoot(root: string, { bytes, tar }: Load, trees: number): void {
  const small = Buffer.alloc(4096, 'svsfs')
  for (let i = 0; i < NAMES.dirs * NAMES.files; i++) {
    const file = `${root}/${namePath('f', i)}`
    if (i % NAMES.files === 0) mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, small)
  }
  for (const file of ['big', 'random']) writeLarge(`${root}/${file}`, bytes)
  for (let copy = 0; copy < trees; copy++) {
    mkdirSync(`${root}/trees/${copy}`, { recursive: true })
    run(['tar', '-xf', tar, '-C', `${root}/trees/${copy}`])
  }
}

/** Runs `work` on a new mount of the subject over `lower`; one that cannot be mounted is named as missing. */
async function mounted(
  subject: Subject,
  lower: string,
  { subjects }: Results,
  work: (root: string) => Promise<void>,
): Promise<void> {
  const presence = subjects.find(({ name }) => name === subject.name)!
  if (presence.missing !== null) return
  const dir = mkdtempSync(`${home}/mount-`)
  const place: Place = {
    lower,
    upper: `${dir}/upper`,
    work: `${dir}/work`,
    mount: `${dir}/mount`,
  }
  for (const made of [place.upper, place.work, place.mount]) mkdirSync(made)
  try {
    const root = mount(subject, place)
    await work(root)
  } catch (err) {
    presence.missing = (err as Error).message
  } finally {
    await unmount(place)
    rmSync(dir, { recursive: true, force: true })
    for (const part of ['warm', 'timed'])
      rmSync(`${lower}/${part}/out`, { recursive: true, force: true })
  }
}

async function runRows(
  loader: ChildProcess,
  subject: Subject,
  root: string,
  loads: Loads,
  { values }: Results,
): Promise<void> {
  const plain = root === `${home}/lower`
  for (const [part, load] of Object.entries(loads)) {
    mkdirSync(`${root}/${part}/out`)
    for (const row of Object.keys(ROWS)) {
      const { unit, unionOnly } = ROWS[row]!
      if (!wanted.includes(row) || (unionOnly && plain)) continue
      const answer = await ask(loader, { row, root: `${root}/${part}`, load })
      if ('failed' in answer) process.stderr.write(`${subject.name}: ${row}: ${answer.failed}\n`)
      else if (part === 'timed') {
        const { seconds, amount } = answer
        const value = unit === 'µs' ? (seconds * 1e6) / amount : amount / seconds
        ;((values[row] ??= {})[subject.name] ??= []).push(value)
      }
    }
  }
}

function ask(loader: ChildProcess, order: Order): Promise<Answer> {
  return new Promise((answer, reject) => {
    const ended = () => reject(new Error('the loader ended'))
    loader.once('exit', ended)
    loader.once('message', (message) => {
      loader.off('exit', ended)
      answer(message as Answer)
    })
    loader.send(order)
  })
}

async function measureFootprints(results: Results): Promise<void> {
  const lower = `${home}/many`
  makeEmptyFiles(lower, MEMORY_FILES)
  for (const subject of SUBJECTS) {
    if (!/fuse|svsfs/.test(subject.name)) continue // the others have no daemon
    await mounted(subject, lower, results, async (root) => {
      results.footprints[subject.name] = await footprint(root, 5)
    })
  }
}

/** A spinner for each core, at SCHED_IDLE: it yields at once, but the core never sleeps. */
function keepAwake(): void {
  for (let core = 0; core < availableParallelism(); core++)
    children.push(
      spawn('taskset', ['-c', String(core), 'chrt', '-i', '0', 'sh', '-c', 'while :; do :; done']),
    )
}
