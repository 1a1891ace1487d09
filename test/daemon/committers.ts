// Programs that commit at full speed and say what they committed: a database with a write-ahead log,
// one with a rollback journal, a log with a preallocated segment, and git.
//
//   const one = startDatabase(dir, 'wal')      one.acknowledged grows until one.stop()
//   checkDatabase(copy, 'wal', 17)             throws unless commits 1 to 17 are there, and all is sound
//
// Rule: a commit counts when the program says so, which it does after its fsync.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** A program at work. */
export interface Committer {
  /** The last commit that it said is safe. */
  readonly acknowledged: number
  /** Ends it at once. */
  stop(): Promise<void>
}

/** Starts a program whose lines of output are numbers of commits. `next` is called for each. */
function started(child: ChildProcess, next: (done: number) => void = () => {}): Committer {
  let acknowledged = 0
  createInterface({ input: child.stdout! }).on('line', (line) => {
    if (!/^\d+$/.test(line)) return
    acknowledged = Number(line)
    next(acknowledged)
  })
  return {
    get acknowledged() {
      return acknowledged
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
  }
}

export type Journal = 'wal' | 'delete'

/** Rows that are overwritten at random: more than fit in a file that is preserved whole. */
const ROWS = 1500

/** sqlite3 with full synchronisation: each commit adds a row and overwrites another. */
export function startDatabase(dir: string, journal: Journal): Committer {
  const child = spawn('sqlite3', ['-batch', join(dir, `${journal}.db`)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  child.stdin.on('error', () => {})
  const commit = (number: number) => {
    child.stdin.write(`BEGIN; INSERT INTO added VALUES(${number});
      UPDATE large SET by = ${number}, filler = hex(randomblob(100))
        WHERE id = abs(random()) % ${ROWS};
      COMMIT; SELECT ${number};\n`)
  }
  child.stdin.write(`PRAGMA journal_mode=${journal}; PRAGMA synchronous=FULL;
    CREATE TABLE added(number INTEGER PRIMARY KEY);
    CREATE TABLE large(id INTEGER PRIMARY KEY, by INTEGER, filler TEXT);
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${ROWS - 1})
      INSERT INTO large SELECT i, 0, hex(randomblob(100)) FROM n;\n`)
  commit(1)
  return started(child, (done) => commit(done + 1))
}

/** Throws unless the database is sound and has commits 1 to `least`. `dir` may be written to. */
export function checkDatabase(dir: string, journal: Journal, least: number): void {
  const ask = `PRAGMA integrity_check; SELECT count(*) || ' ' || max(number) FROM added;
    SELECT count(*) || ' ' || max(by) FROM large;`
  const said = execFileSync('sqlite3', [join(dir, `${journal}.db`), ask], { encoding: 'utf8' })
  const [sound, added, large] = said.trim().split('\n')
  if (sound !== 'ok') throw new Error(`${journal}: ${said}`)
  const [count, last] = added!.split(' ').map(Number)
  if (count !== last || last! < least)
    throw new Error(`${journal}: ${count} commits up to ${last}, not ${least}`)
  const [rows, by] = large!.split(' ').map(Number)
  // A row of the last commits may have been overwritten by a later one, never by one that is not there.
  if (rows !== ROWS || by! > last!) throw new Error(`${journal}: ${rows} rows, changed by ${by}`)
}

/** Records of the segment, and the bytes of each. */
const SLOTS = 256
const SLOT = 8192

const LOGGER = `
  const fs = require('fs')
  const [dir] = process.argv.slice(1)
  const log = fs.openSync(dir + '/log', 'a'), segment = fs.openSync(dir + '/segment', 'w')
  for (let at = 0; at < ${SLOTS}; at++) fs.writeSync(segment, Buffer.alloc(${SLOT}))
  fs.fsyncSync(segment)
  for (let n = 1; ; n++) {
    fs.writeSync(segment, Buffer.alloc(${SLOT}, n + '.'), 0, ${SLOT}, (n % ${SLOTS}) * ${SLOT})
    fs.fdatasyncSync(segment)
    fs.writeSync(log, n + '\\n')
    fs.fsyncSync(log)
    fs.writeSync(1, n + '\\n')
  }
`

/** Overwrites a preallocated segment round and round, and appends to a log. */
export const startLog = (dir: string): Committer =>
  started(spawn(process.execPath, ['-e', LOGGER, dir], { stdio: ['ignore', 'pipe', 'inherit'] }))

/** Throws unless the log, and of the segment the last round, has all up to `least`. */
export function checkLog(dir: string, least: number): void {
  const lines = readFileSync(join(dir, 'log'), 'latin1').split('\n')
  for (let n = 1; n <= least; n++) {
    if (lines[n - 1] !== `${n}`) throw new Error(`log: line ${n} is ${lines[n - 1]}`)
  }
  const segment = readFileSync(join(dir, 'segment'))
  for (let n = Math.max(1, least - SLOTS + 1); n <= least; n++) {
    const slot = segment.subarray((n % SLOTS) * SLOT, ((n % SLOTS) + 1) * SLOT)
    if (slot.equals(Buffer.alloc(SLOT, `${n}.`))) continue
    // Overwritten since, and perhaps not wholly: its turn came again, rounds later, and each record is
    // in the segment before its line is in the log.
    const by = Number.parseInt(slot.toString('latin1', 0, 20), 10)
    const isTurn = by > n && (by - n) % SLOTS === 0
    if (!isTurn || by > lines.length) throw new Error(`segment: ${by} where ${n} was`)
  }
}

const GIT = `
  set -e
  export HOME="$1" GIT_CONFIG_NOSYSTEM=1
  export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
  cd "$1/repository"
  n=1
  while :; do
    echo "$n" > number
    mkdir -p "d$((n % 7))"; echo "$n" > "d$((n % 7))/f$((n % 50))"
    git add -A
    git commit -q -m "$n"
    echo "$n"
    n=$((n + 1))
  done
`

/** git with all of its files synchronised: one commit after the other. */
export function startGit(dir: string): Committer {
  const repository = join(dir, 'repository')
  mkdirSync(repository)
  const git = (...words: string[]) => execFileSync('git', ['-C', repository, ...words])
  git('init', '-q')
  for (const [name, value] of [
    ['core.fsync', 'all'],
    ['core.fsyncMethod', 'fsync'],
    ['gc.auto', '0'],
  ])
    git('config', name!, value!)
  const child = spawn('sh', ['-c', GIT, 'git', dir], { stdio: ['ignore', 'pipe', 'inherit'] })
  return started(child)
}

/** Throws unless the repository is sound and has the commits up to `least`. */
export function checkGit(dir: string, least: number): void {
  const repository = join(dir, 'repository')
  const git = (...words: string[]) =>
    execFileSync('git', ['-c', `safe.directory=*`, '-C', repository, ...words], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  git('fsck', '--full', '--strict', '--no-dangling')
  const said = git('log', '--format=%s').trim().split('\n').map(Number)
  if (said[0]! < least || said.length !== said[0]!)
    throw new Error(`git: ${said.length} commits up to ${said[0]}, not ${least}`)
  const shown = Number(git('show', 'HEAD:number'))
  if (shown !== said[0]) throw new Error(`git: commit ${said[0]} has ${shown}`)
}
