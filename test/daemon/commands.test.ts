// Commands and a mount: what programs see follows each command at once, and one process hears what
// the others do.

import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ask, PROGRAM, svsfs } from '../cli/run-cli.ts'
import { directory, throwAway } from './place.ts'
import { toolsStore, until } from './tools-store.ts'

t.setTimeout(600_000)

t.test('what programs see follows activation, reset and restore at once', async (t) => {
  const { mountPoint, must, read, write } = toolsStore(t)
  must('mount', mountPoint)
  write('note', 'first')
  must('snapshot', 'tools', '--label', 'one')
  write('note', 'second')
  write('tool', 'changed')
  must('restore', 'tools', 'one')
  t.equal(read('note'), 'first')
  t.equal(read('tool'), 'as imported')
  must('reset', 'tools')
  t.notOk(existsSync(join(mountPoint, 'note')))
  must('restore', 'tools', 'one')
  t.equal(read('note'), 'first')
  must('deactivate', 'tools')
  t.same(readdirSync(mountPoint), [])
  must('activate', 'tools')
  t.equal(read('tool'), 'as imported')
})

t.test('svsfs which says who provides a path, and what that hides', async (t) => {
  const { mountPoint, must, write, store } = toolsStore(t)
  must('mount', mountPoint)
  write('tool', 'changed')
  t.match(ask(store, 'which', join(mountPoint, 'tool')), {
    data: {
      path: 'tool',
      providers: [
        { layer: 'tools', part: 'rw' },
        { layer: 'tools', part: 'ro' },
      ],
    },
  })
  t.match(ask(store, 'which', join(mountPoint, 'absent')), {
    error: { code: 'SVS_PATH_NOT_FOUND' },
  })
})

t.test('mounts that are asked for at once get one daemon', async (t) => {
  const { dir, store, status } = toolsStore(t)
  const places = ['a', 'b', 'c'].map((name) => directory(dir, name))
  const env = { ...process.env, SVSFS_STORE: store }
  const ended = places.map(
    (where) =>
      new Promise<number | null>((resolve) => {
        const child = spawn(process.execPath, [PROGRAM, 'mount', where], { env, stdio: 'ignore' })
        child.on('exit', resolve)
      }),
  )
  t.same(await Promise.all(ended), [0, 0, 0])
  t.same(
    status()
      .mounts.map(({ mountPoint }) => mountPoint)
      .sort(),
    places,
  )
})

t.test('events are followed from one process while others act', async (t) => {
  const { must, store, mountPoint } = toolsStore(t)
  const env = { ...process.env, SVSFS_STORE: store }
  const child = spawn(process.execPath, [PROGRAM, 'events', '--follow', '--json', '-n', '1'], {
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  t.teardown(() => child.kill())
  let heard = ''
  child.stdout.on('data', (bytes: Buffer) => {
    heard += bytes.toString()
  })
  await until(() => heard.includes('"created"'), 'the past event')
  must('deactivate', 'tools')
  must('mount', mountPoint)
  must('umount', mountPoint)
  await until(() => heard.includes('"unmounted"'), 'the events')
  const kinds = heard
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { kind: string }).kind)
  t.same(kinds, ['created', 'deactivated', 'mounted', 'unmounted'])
})

t.test('a drop-in mount clears what an earlier one left in its work directory', async (t) => {
  const dir = throwAway(t)
  const at = directory(dir, 'm')
  const [lower, upper, work] = ['a', 'u', 'w'].map((name) => directory(dir, name)) as string[]
  mkdirSync(join(work!, 't1-0'))
  writeFileSync(join(work!, 't1-0/half'), 'half')
  writeFileSync(join(work!, 'theirs'), 'kept')
  // Killed after the first of two renames: one half of what was one directory has moved.
  mkdirSync(join(upper!, 'new'))
  const { ino } = statSync(join(upper!, 'new'))
  const spot = (name: string) => ({ layer: '', part: 'rw', dir: '', name })
  const moves = [{ from: spot('old'), to: spot('new'), ino, over: false }]
  symlinkSync(JSON.stringify(moves), join(work!, 'intent-1-1-0'))
  symlinkSync('1', join(work!, 'intent-1-1'))
  const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`
  t.equal(svsfs('/nowhere', 'overlay', at, '-o', options).status, 0)
  t.teardown(() => svsfs(join(dir, 'no-store'), 'umount', at))
  t.same(readdirSync(at), ['old'])
  t.same(readdirSync(work!).sort(), ['svsfs.numbers', 'theirs'])
})
