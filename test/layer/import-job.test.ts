// Imports in a thread of their own: what comes back, and what is left when they are broken off.

import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { bytesOf } from '../../lib/base/path.ts'
import type { Source } from '../../lib/layer/import.ts'
import { fetchInThread, type ImportJob, importInThread } from '../../lib/layer/import-job.ts'
import { folderOf, importAs, isRoot, oneTime } from './ground.ts'
import { stuckTool, until } from './stuck-tool.ts'

const jobIn = (folder: string, source: Source): ImportJob => ({
  source,
  tree: bytesOf(join(folder, 'tree')),
  index: bytesOf(join(folder, 'tree.index')),
  options: { privileged: isRoot, base: null },
})

const waiter = (signal = new AbortController().signal) => ({ signal, onProgress() {} })

/** A directory of `count` small files. */
function manyFiles(t: Test, count: number): string {
  const from = folderOf(t)
  for (let i = 0; i < count; i++) writeFileSync(join(from, `file-${i}`), String(i))
  oneTime(from)
  return from
}

/** What the descriptors of this process lead to, in a folder. */
const openIn = (folder: string): string[] =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`)
      return path.startsWith(folder) ? [path] : []
    } catch {
      // The one that listed them.
      return []
    }
  })

/** PATH of this process, for the time of a test. */
function pathFor(t: Test, path: string): void {
  const before = process.env.PATH
  process.env.PATH = path
  t.teardown(() => {
    process.env.PATH = before
  })
}

t.test('a thread builds the tree that would be built here, and tells what it does', async (t) => {
  const from = manyFiles(t, 20)
  const folder = folderOf(t)
  const source = { kind: 'directory', path: bytesOf(from) } as const
  const said: string[] = []
  const { signal } = new AbortController()
  const { facts, warnings } = await importInThread(jobIn(folder, source), {
    signal,
    onProgress: (text) => said.push(text),
  })
  t.match(facts, { entries: 21, bytes: 10 + 20 })
  t.equal(facts.digest, (await importAs(folder, 'here', source)).digest)
  t.same(warnings, [])
  t.same(said, ['reading what was imported'])
  t.equal(readFileSync(join(folder, 'tree/file-7'), 'utf8'), '7')
})

t.test('a failure of a thread keeps its code', async (t) => {
  const folder = folderOf(t)
  const source = { kind: 'directory', path: '/nowhere/at/all' } as const
  await t.rejects(importInThread(jobIn(folder, source), waiter()), {
    code: 'SVS_IMPORT_FAILED',
    exit: 1,
    message: /\/nowhere\/at\/all: ENOENT/,
  })
  t.same(readdirSync(folder), [])
})

t.test('a copy that is broken off half-way leaves no file and no descriptor', async (t) => {
  const from = manyFiles(t, 4000)
  const folder = folderOf(t)
  const asker = new AbortController()
  const source = { kind: 'directory', path: bytesOf(from) } as const
  const imported = importInThread(jobIn(folder, source), waiter(asker.signal))
  const refused = t.rejects(imported, { code: 'SVS_CANCELLED' })
  await until(() => readdirSync(folder).length > 0, 'the tree')
  asker.abort()
  await refused
  t.same(readdirSync(folder), [])
  t.same([...openIn(folder), ...openIn(from)], [])
})

t.test('the programs of an import that is broken off end with it', async (t) => {
  const folder = folderOf(t)
  const { archive, path, pid } = stuckTool(folderOf(t))
  pathFor(t, path)
  const asker = new AbortController()
  const source = { kind: 'tar', path: bytesOf(archive) } as const
  const imported = importInThread(jobIn(folder, source), waiter(asker.signal))
  const refused = t.rejects(imported, { code: 'SVS_CANCELLED' })
  await until(() => pid() !== null, 'the program')
  // Nothing here waits for it.
  await sleep(20)
  t.same(readdirSync(folder), ['tree'])
  asker.abort()
  await refused
  t.same(readdirSync(folder), [])
  t.throws(() => process.kill(pid() ?? 0, 0), { code: 'ESRCH' })
})

t.test('fetching packages is broken off with its program', async (t) => {
  const { path, pid } = stuckTool(folderOf(t))
  pathFor(t, path)
  const asker = new AbortController()
  const options = { withDepends: true, base: null, folder: join(folderOf(t), 'apt') }
  const fetched = fetchInThread({ packages: ['svt-app'], options }, waiter(asker.signal))
  const refused = t.rejects(fetched, { code: 'SVS_CANCELLED' })
  await until(() => pid() !== null, 'the program')
  asker.abort()
  await refused
  t.throws(() => process.kill(pid() ?? 0, 0), { code: 'ESRCH' })
})

t.test('what nobody waits for any more is not begun', async (t) => {
  const folder = folderOf(t)
  const job = jobIn(folder, { kind: 'empty' })
  await t.rejects(importInThread(job, waiter(AbortSignal.abort())), { code: 'SVS_CANCELLED' })
  t.same(readdirSync(folder), [])
})
