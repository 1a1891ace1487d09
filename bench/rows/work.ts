// Rows of real work: programs as people run them, over generated trees.

import { copyFileSync, existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from '../processes.ts'
import { BUILT } from '../subjects.ts'
import { command, installed, inTwoPlaces, type Row, type Task } from './row.ts'
import { GIT } from './templates.ts'

const project = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..')

const WORK = { group: 'work', unit: 'ms', large: true, where: inTwoPlaces } as const

/** A program that looks at a source tree which nobody looked at before on this mount. */
const look = (what: string, words: (task: Task) => string[]): Row => ({
  ...WORK,
  what,
  prepare: (dir, { tree }, templates) => templates.tree(`${dir}/tree`, tree),
  run: (task) => command(task, words(task)),
})

const git = (what: string, words: (task: Task) => string[], of: Partial<Row> = {}): Row => ({
  ...WORK,
  what,
  needs: () => installed('git'),
  prepare: (dir, { tree }, templates) => templates.repository(`${dir}/repository`, tree),
  run: (task) => command(task, ['git', ...words(task)], { env: GIT }),
  ...of,
})

const inRepository = (task: Task, ...words: string[]) => ['-C', `${task.root}/repository`, ...words]

const NPM_CACHE = `${BUILT}/npm-cache`

const TRANSACTIONS = 100
const ROWS_OF_TRANSACTION = 10

const SQL = [
  'CREATE TABLE row (id INTEGER PRIMARY KEY, text TEXT);',
  ...Array.from(
    { length: TRANSACTIONS },
    (_, i) =>
      `BEGIN; ${`INSERT INTO row (text) VALUES ('transaction ${i}');`.repeat(ROWS_OF_TRANSACTION)} COMMIT;`,
  ),
].join('\n')

export const REAL_WORK: Readonly<Record<string, Row>> = {
  untar: {
    ...WORK,
    what: 'tar -x of the source tree',
    prepare: (dir, { tree }, templates) =>
      templates.copy(`tree-${tree}.tar`, `${dir}/tree.tar`, async (file) => {
        await templates.tree(`${file}-tree`, tree)
        await run(['tar', '-cf', file, '-C', `${file}-tree`, '.'])
      }),
    run: (task) => command(task, ['tar', '-xf', `${task.disk}/tree.tar`, '-C', task.out]),
  },
  'git clone': git('git clone (local) of a repository of the source tree', (task) => [
    'clone',
    '-q',
    `${task.root}/repository`,
    `${task.out}/clone`,
  ]),
  'git status': git('the first git status in it', (task) => inRepository(task, 'status')),
  'git checkout': git(
    'git checkout of a branch in which every eighth file differs, and back',
    (task) => inRepository(task, 'checkout', '-q', 'other'),
    {
      async run(task) {
        const checkout = `git checkout -q other && git checkout -q main`
        return command(task, ['sh', '-c', checkout], { env: GIT, cwd: `${task.root}/repository` })
      },
    },
  ),
  'npm ci': {
    ...WORK,
    what: 'npm ci --offline --omit=dev of the own lock file',
    async needs() {
      if (!existsSync(NPM_CACHE)) throw new Error('set-up could not make the cache of npm')
    },
    async before({ out }) {
      for (const file of ['package.json', 'package-lock.json'])
        copyFileSync(join(project, file), join(out, file))
    },
    run: (task) =>
      command(
        task,
        [
          'npm',
          'ci',
          '--offline',
          '--omit=dev',
          '--ignore-scripts',
          '--no-audit',
          '--no-fund',
          '--cache',
          NPM_CACHE,
        ],
        { cwd: task.out },
      ),
  },
  'find -ls': look('find -ls of the source tree', ({ root }) => ['find', `${root}/tree`, '-ls']),
  'grep -r': look('grep -r of a word that is not there', ({ root }) => [
    'sh',
    '-c',
    `grep -r absent-word '${root}/tree' || [ $? = 1 ]`,
  ]),
  'tar c': look('tar -c of the source tree, to a pipe', ({ root }) => [
    'sh',
    '-c',
    `tar -cf - -C '${root}' tree | cat >/dev/null`,
  ]),
  'cp -a': look('cp -a of the source tree within the mount', ({ root, out }) => [
    'cp',
    '-a',
    `${root}/tree`,
    `${out}/copy`,
  ]),
  sqlite: {
    ...WORK,
    what: `${TRANSACTIONS} sqlite transactions of ${ROWS_OF_TRANSACTION} rows`,
    needs: () => installed('sqlite3'),
    run: (task) => command(task, ['sqlite3', `${task.out}/database`], { input: SQL }),
  },
}
