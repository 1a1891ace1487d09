// The fuse thread waits in a read of the device where it serves one mount. Whatever wakes it from there
// reaches it: calls, io threads, a second mount, the end. Only children walk the mounts.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { silent } from '../../lib/base/log.ts'
import { createEngine } from '../../lib/daemon/engine.ts'
import type { Engine, EngineEvent, MountSpec } from '../../lib/daemon/engine-api.ts'
import { mountAt } from '../../lib/host/mount-table.ts'
import { specIn } from './spec.ts'

/** Milliseconds after which a call is lost. */
const LONG = 20_000
const READ = process.arch === 'arm64' ? 63 : 0

interface Place {
  readonly engine: Engine
  readonly events: EngineEvent[]
  /** A mount that answers. */
  mount(id: number): Promise<MountSpec>
}

async function withEngine(t: Test): Promise<Place> {
  const dir = mkdtempSync(join(tmpdir(), 'svsfs-waking-'))
  const engine = await createEngine({ log: silent, transport: 'direct' })
  const points: string[] = []
  t.teardown(async () => {
    await soon(engine.stop()).catch(() => {})
    for (const at of points) if (mountAt(at) !== null) spawnSync('umount', ['-l', at])
    rmSync(dir, { recursive: true, force: true })
  })
  const events: EngineEvent[] = []
  engine.onEvent((event) => events.push(event))
  const mount = async (id: number) => {
    const spec = specIn(mkdtempSync(join(dir, 'mount-')), id, `app${id}`)
    writeFileSync(join(spec.mountPoint, '../rw/file'), `of ${id}`)
    points.push(spec.mountPoint)
    await soon(engine.mount(spec))
    return spec
  }
  return { engine, events, mount }
}

/** The same answer, or a failure where it does not come. */
async function soon<T>(answer: Promise<T>): Promise<T> {
  const over = new AbortController()
  const late = pause(LONG, null, { signal: over.signal }).then(
    () => Promise.reject(new Error('no answer')),
    () => new Promise<never>(() => {}),
  )
  try {
    return await Promise.race([answer, late])
  } finally {
    over.abort()
  }
}

/** Whether a thread of this process waits in read(2) of a device. */
function reads(): boolean {
  return readdirSync('/proc/self/task').some((thread) => {
    try {
      const call = readFileSync(`/proc/self/task/${thread}/syscall`, 'utf8').split(' ')
      if (Number(call[0]) !== READ) return false
      return readlinkSync(`/proc/self/fd/${Number(call[1])}`) === '/dev/fuse'
    } catch {
      return false
    }
  })
}

async function until(t: Test, what: string, is: () => boolean): Promise<void> {
  const end = Date.now() + LONG
  while (!is() && Date.now() < end) await pause(5)
  t.ok(is(), what)
}

/** A program that runs until it is done; answers what it printed. */
async function program(script: string, ...args: string[]): Promise<string> {
  const child = spawn('sh', ['-c', script, 'sh', ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.on('data', (text) => {
    said += text
  })
  await soon(once(child, 'close'))
  return said.trim()
}

const textIn = ({ mountPoint }: MountSpec) => program('cat "$1/file"', mountPoint)

t.test('thousands of calls are answered, idle or amid requests', async (t) => {
  const { engine, mount } = await withEngine(t)
  const spec = await mount(1)
  await until(t, 'the thread waits in a read', reads)
  const before = (await soon(engine.stats(1))).requests
  await soon(engine.stats(1))
  t.equal((await soon(engine.stats(1))).requests, before, 'a ring is no request')
  const walker = spawn('sh', ['-c', 'while :; do cat "$1/file"; done', 'sh', spec.mountPoint], {
    stdio: 'ignore',
  })
  t.teardown(() => walker.kill('SIGKILL'))
  for (let i = 0; i < 6000; i++) {
    if (i === 3000) {
      walker.kill('SIGKILL')
      await once(walker, 'exit')
    }
    if (i % 3 === 1) await turn()
    else if (i % 30 === 2) await pause(i % 4)
    await soon<unknown>(i % 2 === 0 ? engine.stats(1) : engine.which(1, 'file'))
  }
  for (let i = 0; i < 50; i++) {
    await soon(Promise.all(Array.from({ length: 20 }, () => engine.stats(1))))
  }
  await until(t, 'and waits there again', reads)
})

t.test('hundreds of flushes by io threads end, one after the other and many at once', async (t) => {
  const { mount } = await withEngine(t)
  const { mountPoint } = await mount(1)
  const flush = 'dd if=/dev/zero of="$1/$2" bs=1k count=1 conv=fsync status=none'
  const loop = `i=0; while [ $i -lt 100 ]; do ${flush}; i=$((i+1)); done; echo done`
  t.equal(await program(loop, mountPoint, 'one'), 'done')
  const all = ['a', 'b', 'c', 'd'].map((name) => program(loop, mountPoint, name))
  t.same(await Promise.all(all), ['done', 'done', 'done', 'done'])
  await until(t, 'the thread waits in a read', reads)
})

t.test('a second mount is added while the first is read, and both answer', async (t) => {
  const { engine, events, mount } = await withEngine(t)
  const first = await mount(1)
  for (let round = 0; round < 5; round++) {
    await until(t, 'the first alone is read', reads)
    const second = await mount(2)
    t.notOk(reads(), 'with two, the thread polls')
    t.same(await Promise.all([textIn(first), textIn(second)]), ['of 1', 'of 2'])
    await soon(engine.umount(2, false))
    t.equal(mountAt(second.mountPoint), null)
    await until(t, 'the second has ended', () => events.length > round)
    t.equal(await textIn(first), 'of 1')
  }
  await mount(3)
  await soon(engine.umount(1, true))
  await until(t, 'the one that is left is read', reads)
  await soon(engine.stats(3))
})

t.test('a change of the stack reaches programs from there', async (t) => {
  const { engine, mount } = await withEngine(t)
  const spec = await mount(1)
  const without = { ...spec.stack, layers: [] }
  for (let round = 0; round < 20; round++) {
    await until(t, 'the mount is read', reads)
    await soon(engine.restack([{ id: 1, stack: round % 2 === 0 ? without : spec.stack }]))
    const seen = await program('ls "$1"', spec.mountPoint)
    t.equal(seen, round % 2 === 0 ? '' : 'file')
  }
})

t.test('the engine stops while a device is read', async (t) => {
  const { engine, mount } = await withEngine(t)
  const { mountPoint } = await mount(1)
  await until(t, 'the mount is read', reads)
  await soon(engine.stop())
  t.equal(mountAt(mountPoint), null)
})

t.test(
  'a mount that others take away while it is read ends, and its device is closed',
  async (t) => {
    const { engine, events, mount } = await withEngine(t)
    const before = devices()
    const root = process.geteuid?.() === 0
    for (const option of root ? ['-l', '-f'] : ['-uz', '-u']) {
      const { mountPoint } = await mount(1)
      await until(t, 'the mount is read', reads)
      spawnSync(root ? 'umount' : 'fusermount3', [option, mountPoint])
      await until(t, 'that is told', () => events.some(({ kind }) => kind === 'unmounted'))
      if (mountAt(mountPoint) !== null) spawnSync('umount', ['-l', mountPoint])
      events.length = 0
      await until(t, 'its device is closed', () => devices() === before)
      await t.rejects(soon(engine.stats(1)))
    }
  },
)

t.test('what the kernel forgets of it, it is asked to know again', async (t) => {
  if (process.geteuid?.() !== 0) return t.comment('not run: needs root')
  const { engine, mount } = await withEngine(t)
  await mount(1)
  for (let round = 0; round < 3; round++) {
    await until(t, 'the mount is read', reads)
    writeFileSync('/proc/sys/vm/drop_caches', '2')
    for (let i = 0; i < 20; i++) await soon(engine.stats(1))
  }
  await until(t, 'the mount is read', reads)
})

function devices(): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === '/dev/fuse'
    } catch {
      return false
    }
  }).length
}
