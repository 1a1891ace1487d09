// Imports that take long: the daemon answers meanwhile, and whoever goes takes the import along.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { LayerLine } from '../../lib/daemon/layer-line.ts'
import type { Status } from '../../lib/daemon/status-methods.ts'
import { isAlive } from '../../lib/host/alive.ts'
import { ask, PROGRAM, svsfs } from '../cli/run-cli.ts'
import { stuckTool, until } from '../layer/stuck-tool.ts'
import { directory, type Test, throwAway } from './place.ts'

t.setTimeout(300_000)

/** A store with one layer, `old`, where imports of `stuck.archive` never end by themselves. */
function place(t: Test) {
  const dir = throwAway(t)
  const store = join(dir, 'store')
  const stuck = stuckTool(directory(dir, 'tools'))
  const from = directory(dir, 'from')
  writeFileSync(join(from, 'tool'), 'as imported')
  const before = process.env.PATH
  process.env.PATH = stuck.path
  const must = (...words: string[]): void => {
    const ran = svsfs(store, ...words)
    if (ran.status !== 0) throw new Error(`svsfs ${words.join(' ')}: ${ran.err}`)
  }
  const begun: ChildProcess[] = []
  t.teardown(() => {
    process.env.PATH = before
    for (const child of begun) child.kill('SIGKILL')
    svsfs(store, 'umount', '--all', '--lazy')
  })
  must('layer', 'create', 'old', '--from', from)

  /** Starts a command that imports, and waits until it is in the middle. */
  async function begin(...words: string[]): Promise<ChildProcess> {
    const child = spawn(process.execPath, [PROGRAM, ...words, '--from', stuck.archive], {
      env: { ...process.env, SVSFS_STORE: store },
      stdio: 'ignore',
    })
    begun.push(child)
    await until(() => stuck.pid() !== null, 'the program of the import')
    return child
  }

  /** Everything of layers and of imports under way that lies in the store. */
  const kept = (): string[] =>
    readdirSync(join(store, 'layers')).flatMap((id) =>
      ['', 'work', 'ro'].flatMap((part) =>
        readdirSync(join(store, 'layers', id, part)).map((name) => join(id, part, name)),
      ),
    )
  const layers = (): number => readdirSync(join(store, 'layers')).length
  const names = (): string[] =>
    (ask(store, 'layer', 'list').data as LayerLine[]).map(({ name }) => name)
  const mount = (): number => {
    must('mount', directory(dir, 'm'))
    return (ask(store, 'status').data as Status).daemon?.pid ?? 0
  }
  return { dir, store, from, stuck, begin, kept, layers, names, mount, must }
}

const isGone = (pid: number | null): boolean => !isAlive(pid ?? 0)

t.test('the daemon answers while it imports, and makes other layers', async (t) => {
  const { store, from, begin, names, mount, must, stuck } = place(t)
  mount()
  await begin('layer', 'create', 'slow')
  const asked = Date.now()
  t.same(names(), ['old'])
  t.ok(ask(store, 'status').ok)
  must('activate', 'old')
  must('layer', 'create', 'other', '--from', from)
  must('layer', 'rename', 'other', 'another')
  t.same(names(), ['another', 'old'])
  t.ok(Date.now() - asked < 30_000)
  t.notOk(isGone(stuck.pid()), 'the import is still under way')
})

t.test('a command that is ended takes its import along, in the daemon', async (t) => {
  const { begin, kept, layers, names, mount, stuck } = place(t)
  mount()
  const before = kept()
  const command = await begin('layer', 'create', 'slow')
  t.not(kept().length, before.length)
  command.kill('SIGINT')
  await until(() => isGone(stuck.pid()) && layers() === 1, 'the end of the import')
  t.same(kept(), before)
  t.same(names(), ['old'])
})

t.test(
  'a replacement that is broken off leaves the layer and its states as they were',
  async (t) => {
    const { store, begin, kept, mount, must, stuck } = place(t)
    mount()
    must('snapshot', 'old', '-m', 'first')
    const before = [kept(), ask(store, 'snapshots'), (ask(store, 'status').data as Status).layers]
    const command = await begin('layer', 'replace', 'old')
    command.kill('SIGTERM')
    await until(() => isGone(stuck.pid()), 'the end of the import')
    must('snapshot', 'old')
    t.same([kept(), ask(store, 'snapshots'), (ask(store, 'status').data as Status).layers], before)
  },
)

t.test('a daemon that is told to end breaks imports off', async (t) => {
  const { begin, kept, names, mount, stuck } = place(t)
  const pid = mount()
  const before = kept()
  const command = await begin('layer', 'create', 'slow')
  const ended = once(command, 'exit')
  process.kill(pid, 'SIGTERM')
  t.same(await ended, [1, null])
  await until(() => isGone(pid), 'the end of the daemon')
  t.ok(isGone(stuck.pid()))
  t.same(kept(), before)
  t.same(names(), ['old'])
})

t.test('without a daemon the command undoes its import itself', async (t) => {
  const { begin, kept, names, stuck } = place(t)
  const before = kept()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    const command = await begin('layer', 'create', 'slow')
    const ended = once(command, 'exit')
    command.kill(signal)
    t.same(await ended, [1, null], signal)
    t.ok(isGone(stuck.pid()))
    t.same(kept(), before)
    stuck.forget()
  }
  t.same(names(), ['old'])
})

t.test(
  'a layer whose making was killed is cleared away when the store is opened next',
  async (t) => {
    const { begin, kept, layers, names, stuck } = place(t)
    const before = kept()
    const command = await begin('layer', 'create', 'slow')
    const ended = once(command, 'exit')
    command.kill('SIGKILL')
    await ended
    process.kill(stuck.pid() ?? 0, 'SIGKILL')
    t.equal(layers(), 2)
    t.same(names(), ['old'])
    t.same(kept(), before)
  },
)

t.test('a version that a crash left without a record does not stop the next one', async (t) => {
  const { store, from, must, kept } = place(t)
  const id = kept()[0]?.split('/')[0] ?? ''
  const left = join(store, 'layers', id, 'ro/2')
  mkdirSync(left)
  writeFileSync(join(left, 'half'), '')
  must('layer', 'replace', 'old', '--from', from)
  t.equal(statSync(join(left, 'tool')).size, 'as imported'.length)
  t.throws(() => statSync(join(left, 'half')), { code: 'ENOENT' })
})
