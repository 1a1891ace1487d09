// What states are taken of: trees of real applications, and their changes from state to state.
//
//   begin(dir)       the tree of the first state
//   change(dir, 2)   the application has worked: the second state
//   change(dir, 3…)  a little more each time
//
// Rule: the same bytes for every keeper, whoever comes first: contents come from a fixed sequence, or
// were made once and are copied.

import { appendFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { run } from '../processes.ts'
import { installed } from '../rows/row.ts'
import type { Templates } from '../rows/templates.ts'
import { fileOf } from '../rows/templates.ts'
import { copyChanged } from './copy-changed.ts'
import { firefoxProfile } from './firefox-profile.ts'

export interface DataSet {
  readonly what: string
  /** A file that is brought back alone. */
  readonly file: string
  /** Throws an Error that says what this machine lacks for it. */
  needs(): Promise<unknown>
  /** Makes what `begin` and `change` copy from. */
  prepare(templates: Templates): Promise<unknown>
  begin(dir: string, templates: Templates): Promise<unknown>
  /** Makes state `number` of the one before; 2 is the large change. */
  change(dir: string, number: number, templates: Templates): Promise<unknown>
}

const FILES = 20_000

/** Appends a line to every so many-th file of the source tree. */
function touch(dir: string, count: number, seed: number): void {
  for (let i = 0; i < count; i++)
    appendFileSync(
      join(dir, fileOf((i * 397 + seed * 31) % FILES)),
      `changed for state ${seed}, ${i}\n`,
    )
}

const ROWS = 262_144

const sql = (file: string, text: string) => run(['sqlite3', file], { input: text })

/** One page of 4 KiB for each row, nearly full, of bytes that do not compress. */
const MAKE_ROWS = `PRAGMA page_size=4096; CREATE TABLE row (id INTEGER PRIMARY KEY, bytes BLOB);
WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ${ROWS})
INSERT INTO row SELECT n, randomblob(3900) FROM number;`

/** Every hundredth row, each time others; from the third state on a hundred in all. */
const changeRows = (number: number) =>
  `UPDATE row SET bytes = randomblob(3900) WHERE id % ${number === 2 ? 100 : ROWS / 100} = ${number};`

const database = (dir: string) => join(dir, 'database')

export const SETS: Readonly<Record<string, DataSet>> = {
  firefox: {
    what: 'a Firefox profile after its first session and after its second, then a line of settings each time',
    file: 'prefs.js',
    needs: () => firefoxProfile.needs(),
    async prepare(templates) {
      await firefoxProfile.first(templates)
      await firefoxProfile.second(templates)
    },
    begin: async (dir, templates) => copyChanged(await firefoxProfile.first(templates), dir),
    async change(dir, number, templates) {
      if (number === 2) copyChanged(await firefoxProfile.second(templates), dir)
      else appendFileSync(join(dir, 'prefs.js'), `user_pref("bench.state", ${number});\n`)
    },
  },
  'working tree': {
    what: `a git working tree of ${FILES} files; 50 of them change, then 10 each time`,
    file: fileOf(0),
    needs: () => installed('git'),
    prepare: (templates) => templates.repositoryOnce(FILES),
    begin: async (dir, templates) => copyChanged(await templates.repositoryOnce(FILES), dir),
    change: async (dir, number) => touch(dir, number === 2 ? 50 : 10, number),
  },
  database: {
    what: 'a SQLite database of 1 GiB; 1 % of its pages change, then 100 pages each time',
    file: 'database',
    needs: () => installed('sqlite3'),
    prepare: (templates) => made(templates),
    begin: async (dir, templates) => copyChanged(await made(templates), dir),
    change: (dir, number) => sql(database(dir), changeRows(number)),
  },
}

const made = (templates: Templates) =>
  templates.once('database', async (dir) => {
    mkdirSync(dir)
    await sql(database(dir), MAKE_ROWS)
  })
