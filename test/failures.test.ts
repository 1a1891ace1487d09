// The table of failures, held against the code that throws them and the manual that lists them.

import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { EXITS, FAILURES, Failure, type FailureCode } from '../lib/base/failure.ts'

const project = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const codes = Object.keys(FAILURES) as FailureCode[]

const sources = readdirSync(join(project, 'lib'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && name !== 'base/failure.ts')
  .map((name) => ({ name, text: readFileSync(join(project, 'lib', name), 'utf8') }))

t.test('every code is used somewhere in lib', async (t) => {
  const unused = codes.filter((code) => !sources.some(({ text }) => text.includes(`'${code}'`)))
  t.same(unused, [])
})

t.test('every code in lib stands in the table', async (t) => {
  const unknown = sources.flatMap(({ name, text }) =>
    [...text.matchAll(/'(SVS_[A-Z_]+)'/g)]
      .filter(([, code]) => !(code! in FAILURES))
      .map(([, code]) => `${name}: ${code}`),
  )
  t.same(unknown, [])
})

t.test('codes are in order, and each has an exit status of the table', async (t) => {
  t.same(codes, codes.toSorted())
  const odd = codes.filter((code) => FAILURES[code][0] < 1 || !(FAILURES[code][0] in EXITS))
  t.same(odd, [])
})

t.test('a failure says its sentence with the words in their places', async (t) => {
  const failure = new Failure('SVS_LAYER_NOT_FOUND', 'tool')
  t.match(failure.message, /no layer named tool/)
  t.equal(failure.exit, FAILURES.SVS_LAYER_NOT_FOUND[0])
})

t.test('svsfs help errors lists every code with its exit status', async (t) => {
  const svsfs = join(project, 'dist/bin/svsfs.js')
  const help = spawnSync(process.execPath, [svsfs, 'help', 'errors'], { encoding: 'utf8' })
  t.equal(help.status, 0)
  const lines = help.stdout.split('\n')
  const missing = codes.filter(
    (code) => !lines.some((one) => one.includes(code) && one.includes(String(FAILURES[code][0]))),
  )
  t.same(missing, [])
})

t.test("the README's table of exit statuses is the program's", async (t) => {
  const readme = readFileSync(join(project, 'README.md'), 'utf8')
  const rows = [...readme.matchAll(/^\| (\d+) \| (.+) \|$/gm)].map(([, exit, meaning]) => [
    exit,
    meaning,
  ])
  t.same(rows, Object.entries(EXITS))
})
