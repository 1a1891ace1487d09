// Rows of large applications: PostgreSQL and Firefox, where they are installed.

import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { run } from '../processes.ts'
import { BUILT } from '../subjects.ts'
import { command, inTwoPlaces, type Row, type Task } from './row.ts'

const POSTGRES = '/usr/lib/postgresql'
const TRANSACTIONS = 300
/** What set-up fetches: a tree with Firefox and all that it needs. */
export const FIREFOX = `${BUILT}/firefox`

/** Firefox of a tree, from its start to a screenshot of a page. */
export function firefoxCommand(tree: string, profile: string, screenshot: string, page: string) {
  const usr = `${tree}/usr/lib`
  const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64'
  const words = [
    '--headless',
    '--no-remote',
    '--profile',
    profile,
    '--screenshot',
    screenshot,
    page,
  ]
  return {
    words: [`${usr}/firefox-esr/firefox-esr`, ...words],
    env: {
      HOME: dirname(profile),
      MOZ_CRASHREPORTER_DISABLE: '1',
      LD_LIBRARY_PATH: `${usr}/firefox-esr:${usr}/${machine}-linux-gnu`,
    },
  }
}

/** A program of PostgreSQL; the server refuses to run as root. */
function postgres(program: string, ...words: string[]): string[] {
  const version = existsSync(POSTGRES) ? readdirSync(POSTGRES).at(-1) : undefined
  if (version === undefined) throw new Error('PostgreSQL is not installed')
  const { uid, gid } = postgresUser()
  const as = ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups']
  return [...as, `${POSTGRES}/${version}/bin/${program}`, ...words]
}

function postgresUser(): { uid: number; gid: number } {
  const line = readFileSync('/etc/passwd', 'utf8').match(/^postgres:[^:]*:(\d+):(\d+):/m)
  if (line === null) throw new Error('there is no user postgres')
  return { uid: Number(line[1]), gid: Number(line[2]) }
}

const server = (dir: string, ...words: string[]) =>
  postgres('pg_ctl', '-s', '-w', '-D', `${dir}/database`, '-l', '/dev/null', ...words)

/** Only a socket, beside the database; nothing on the network. */
const start = (dir: string) => server(dir, '-o', `-c listen_addresses='' -k '${dir}'`, 'start')
const stop = (dir: string) => server(dir, '-m', 'fast', 'stop')

async function makeDatabase(dir: string): Promise<void> {
  mkdirSync(dir)
  const { uid, gid } = postgresUser()
  chownSync(dir, uid, gid)
  await run(postgres('initdb', '-A', 'trust', '-D', `${dir}/database`))
  await run(start(dir))
  await run(postgres('pgbench', '-i', '-q', '-h', dir, 'postgres'))
  await run(stop(dir))
}

const inPlace = (task: Task) => `${task.root}/template`

export const SERVERS: Readonly<Record<string, Row>> = {
  pgbench: {
    group: 'work',
    what: `${TRANSACTIONS} transactions of pgbench on a database of the lowest layer`,
    unit: 'ms',
    large: true,
    where: inTwoPlaces,
    async needs() {
      postgres('initdb')
      if (process.getuid!() !== 0) throw new Error('needs root, to become the user postgres')
    },
    prepare: (dir, _, templates) => templates.copy('database', `${dir}/template`, makeDatabase),
    before: (task) =>
      run([...task.pinned, ...start(inPlace(task))], { place: `${task.place}/server` }),
    run: (task) =>
      command(
        task,
        postgres('pgbench', '-n', '-t', String(TRANSACTIONS), '-h', inPlace(task), 'postgres'),
      ),
    after: (task) => run(stop(inPlace(task))),
  },
  firefox: {
    group: 'work',
    what: 'Firefox from its start to a screenshot of an empty page, with a new profile',
    unit: 'ms',
    large: true,
    where: inTwoPlaces,
    async needs() {
      if (!existsSync(FIREFOX)) throw new Error('set-up could not fetch Firefox')
    },
    prepare: (dir) => run(['cp', '-a', FIREFOX, `${dir}/firefox`]),
    async before({ out }) {
      mkdirSync(`${out}/profile`)
    },
    run(task) {
      const { out } = task
      const tree = `${task.root}/firefox`
      const { words, env } = firefoxCommand(
        tree,
        `${out}/profile`,
        `${out}/page.png`,
        'about:blank',
      )
      return command(task, words, { env })
    },
  },
}
