// All tests: every test/**/*.test.ts as a process of its own, four at a time.
//
//   node dist/test/all.js [WORD…]     only files whose name contains one of the words
//
//   as root    the root part, then the user part under a second user number
//   as a user  the user part; the root part is counted as skipped, file by file, by name
//
// Each part begins with the files that take longest (runner/parts.ts), so that none is left to run
// alone. While what a file started ends by itself, the next one runs.
//
// Rule: the last line is `N passed, N failed`, with `, N skipped` where something was. What a
// file leaves behind (a mount, a process, a directory) is a failure of that file.

import { chmodSync, chownSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { leftovers, MARK, marked, removeTree, strays } from './runner/leftovers.ts'
import { mountsBelow } from './runner/mounts.ts'
import { type TestFile, testFiles } from './runner/parts.ts'
import { findPlace } from './runner/place.ts'
import { type Outcome, runFile, type Skipped } from './runner/run-file.ts'
import { readableByAll, secondUser, type User } from './runner/second-user.ts'

// Files wait for daemons and disks longer than they compute.
const AT_ONCE = 4
const SECONDS_A_FILE = 480
/** What the stores of a few tests may need at a time, and a copy of the project. */
const ROOM_BYTES = 2e9

interface Part {
  readonly name: 'root' | 'user'
  readonly user?: User
  /** The project as this part sees it. */
  readonly root: string
  readonly files: readonly TestFile[]
}

const project = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const { dir: scratch } = findPlace('svt-', ROOM_BYTES)
const id = scratch.slice(scratch.lastIndexOf('/') + 1)
const stop = new AbortController()
const total = { passed: 0, failed: 0, skipped: 0 }
let started = 0

process.once('SIGINT', () => stop.abort())
process.once('SIGTERM', () => stop.abort())
process.stdout.on('error', () => stop.abort()) // nobody reads any more

const words = process.argv.slice(2)
const files = testFiles(project, words)
const before = strays()
try {
  chmodSync(scratch, 0o755)
  for (const part of parts()) await runPart(part)
  if (process.getuid?.() !== 0) countRootPart()
  // With some files chosen, others may be at work beside this run.
  const after = words.length > 0 ? [] : strays().filter((what) => !before.includes(what))
  for (const what of after) console.log(`not ok: left behind by one of the files: ${what}`)
  total.failed += after.length
} finally {
  for (const what of marked(id)) console.log(`still running: ${what}`)
  if (mountsBelow(scratch).length === 0) removeTree(scratch)
}
if (stop.signal.aborted) {
  total.failed++
  console.log('interrupted: not every file was run')
}
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : ''
console.log(`${total.passed} passed, ${total.failed} failed${skipped}`)
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0

/** The parts that this process can run. */
function parts(): Part[] {
  const forUsers = files.filter((file) => file.needsRoot === null)
  if (process.getuid?.() !== 0) return [{ name: 'user', root: project, files: forUsers }]
  const root = readableByAll(project, scratch)
  return [
    { name: 'root', root, files: files.filter((file) => !file.forUsers) },
    {
      name: 'user',
      root,
      user: secondUser(),
      files: forUsers.filter((file) => !file.once),
    },
  ]
}

async function runPart(part: Part): Promise<void> {
  console.log(`# ${part.name} part: ${part.files.length} files`)
  const queue = [...part.files]
  const ending: Promise<void>[] = []
  const worker = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      if (stop.signal.aborted) return
      const end = endOf(part, file, await runOne(part, file))
      end.catch(() => {}) // thrown below, once no file runs any more
      ending.push(end)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  await Promise.all(ending)
}

/** A file that was run, and where. */
interface Ran {
  readonly outcome: Outcome
  readonly dir: string
  readonly home: string
  readonly mark: string
}

async function runOne(part: Part, file: TestFile): Promise<Ran> {
  const number = ++started
  const dir = join(scratch, String(number))
  const home = join(scratch, `home-${number}`)
  for (const made of [dir, home]) {
    mkdirSync(made)
    chmodSync(made, 0o1777) // as /tmp is: tests make files there as several users
    if (part.user !== undefined) chownSync(made, part.user.uid, part.user.gid)
  }
  const mark = `${id}.${number}`
  const outcome = await runFile({
    script: join(part.root, file.script),
    cwd: part.root,
    env: environment(dir, home, mark),
    ...part.user,
    seconds: SECONDS_A_FILE,
    signal: stop.signal,
  })
  return { outcome, dir, home, mark }
}

async function endOf(part: Part, file: TestFile, ran: Ran): Promise<void> {
  const { outcome, dir, home, mark } = ran
  const left = await leftovers(mark, dir)
  removeTree(dir)
  removeTree(home)
  report(part, file, outcome, left)
}

/** What a test sees of the caller's environment: enough to find programs, nothing of the caller's. */
function environment(dir: string, home: string, mark: string): NodeJS.ProcessEnv {
  const path = process.env.PATH ?? ''
  return {
    PATH: path.includes('/usr/sbin') ? path : `${path}:/usr/sbin:/sbin`,
    LANG: 'C.UTF-8',
    TMPDIR: dir,
    HOME: home,
    TAP_TIMEOUT: String(SECONDS_A_FILE),
    // A view over the whole machine, which another file shows, holds what is mounted here.
    SVSFS_UMOUNT_SECONDS: '60',
    [MARK]: mark,
  }
}

function report(part: Part, file: TestFile, outcome: Outcome, left: readonly string[]): void {
  const failures = [
    ...outcome.failures,
    ...left.map((what) => ({ name: `left behind: ${what}`, detail: '' })),
  ]
  total.passed += outcome.passed
  total.failed += failures.length
  // What only root can do was done in the root part, where there was one.
  const skips = outcome.skips.filter(
    ({ reason }) => part.user === undefined || !reason.includes('needs root'),
  )
  total.skipped += skips.length
  const word = failures.length > 0 ? 'FAILED' : 'ok    '
  const counts = `${outcome.passed} passed`
  console.log(`${word} ${part.name} ${file.name}: ${counts} (${outcome.seconds.toFixed(1)} s)`)
  for (const failure of failures) {
    console.log(`  not ok: ${failure.name}`)
    for (const line of failure.detail.split('\n')) if (line !== '') console.log(`      ${line}`)
  }
  for (const [reason, names] of byReason(skips)) {
    console.log(`  skipped${reason === '' ? '' : `, ${reason}`}: ${names.join('; ')}`)
  }
}

function byReason(skips: readonly Skipped[]): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const { name, reason } of skips) found.set(reason, [...(found.get(reason) ?? []), name])
  return found
}

function countRootPart(): void {
  const rootOnly = files.filter((file) => file.needsRoot !== null)
  for (const file of rootOnly) console.log(`  not run: root ${file.name}: ${file.needsRoot}`)
  total.skipped += rootOnly.length
}
