// The runner of test files: what it counts, and that nothing bad passes for good.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { type Outcome, runFile } from './run-file.ts'

const dir = mkdtempSync(join(tmpdir(), 'runner-'))
t.teardown(() => rmSync(dir, { recursive: true }))
let count = 0

/** What the runner makes of a test file with this body. */
function outcomeOf(body: string, seconds = 30): Promise<Outcome> {
  const script = join(dir, `${++count}.mjs`)
  const tap = pathToFileURL(import.meta.resolve('tap').slice('file://'.length))
  writeFileSync(script, `import t from '${tap}'\n${body}`)
  const signal = new AbortController().signal
  return runFile({ script, cwd: dir, env: process.env, seconds, signal })
}

const namesOf = (outcome: Outcome) => outcome.failures.map(({ name }) => name)

t.test('assertions count at every depth, sums of subtests do not', async (t) => {
  const outcome = await outcomeOf(`
    t.ok(true)
    t.test('outer', async (t) => {
      t.ok(true)
      await t.test('inner', async (t) => { t.ok(true); t.equal(1, 2, 'differs') })
    })`)
  t.equal(outcome.passed, 3)
  t.same(namesOf(outcome), ['outer > inner > differs'])
  t.match(outcome.failures[0]?.detail, /diff/)
})

t.test('an exception, a rejected promise and an exit status are failures', async (t) => {
  t.match(namesOf(await outcomeOf(`t.test('throws', async () => { throw new Error('boom') })`)), [
    /boom/,
  ])
  t.same(
    namesOf(await outcomeOf('t.ok(true); process.on("exit", () => { process.exitCode = 3 })')),
    ['exit status 3'],
  )
  t.equal((await outcomeOf('Promise.reject(new Error("late"))')).failures.length > 0, true)
})

t.test('a file without an assertion fails', async (t) => {
  t.equal(namesOf(await outcomeOf('process.exit(0)')).length, 1)
})

t.test('a file that never ends is ended', async (t) => {
  const outcome = await outcomeOf('t.ok(true); setInterval(() => {}, 1000)', 2)
  t.same(namesOf(outcome), ['still running after 2 s'])
  t.ok(outcome.seconds < 10)
})

t.test('what is skipped or to do is neither passed nor failed', async (t) => {
  const outcome = await outcomeOf(`
    t.test('later', { todo: true })
    t.test('elsewhere', { skip: 'no such disk' }, async () => {})
    t.ok(true)`)
  t.equal(outcome.passed, 1)
  t.same(outcome.skips, [
    { name: 'later', reason: '' },
    { name: 'elsewhere', reason: 'no such disk' },
  ])
  t.same(outcome.failures, [])
  t.same((await outcomeOf(`t.plan(0, 'no such kernel')`)).skips, [
    { name: 'the whole file', reason: 'no such kernel' },
  ])
})
