// What a hostile program can say to a daemon's socket, also one of the store's own owner: an error
// with a code for each request, a daemon that goes on, memory and descriptors within bounds, and
// a store as it was. Who is heard at all, and the modes that keep others away.

import { spawn } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { z } from 'zod'
import { FAILURES } from '../../lib/base/failure.ts'
import { silent } from '../../lib/base/log.ts'
import { socketPath } from '../../lib/daemon/address.ts'
import { METHOD_NAMES, rowOf } from '../../lib/daemon/api.ts'
import { Client } from '../../lib/daemon/client.ts'
import { openControl } from '../../lib/daemon/control.ts'
import { LONGEST_LINE } from '../../lib/daemon/protocol.ts'
import { Server } from '../../lib/daemon/server.ts'
import { servedStore, type Test, throwAway } from './place.ts'

interface Answer {
  readonly id: number | null
  readonly ok: boolean
  readonly error?: { code: string; message: string }
}

async function serve(t: Test) {
  const { control, told } = await servedStore(t)
  const server = new Server(control, silent)
  await server.listen()
  t.teardown(() => {
    server.drain()
    server.end()
  })
  return { control, told, path: socketPath(control.store.places) }
}

/** One connection that says what it is told to, and hears whole lines. */
class Talk {
  readonly answers: Answer[] = []
  readonly socket: Socket
  closed = false
  #rest = ''

  constructor(path: string) {
    this.socket = connect(path)
    this.socket.on('error', () => {})
    this.socket.on('close', () => {
      this.closed = true
    })
    this.socket.on('data', (data) => {
      const lines = (this.#rest + data.toString()).split('\n')
      this.#rest = lines.pop() ?? ''
      this.answers.push(...lines.map((line) => JSON.parse(line) as Answer))
    })
  }

  say(text: string | Buffer): this {
    this.socket.write(text)
    return this
  }

  async until(done: (talk: Talk) => boolean): Promise<this> {
    for (let waited = 0; waited < 30_000 && !done(this); waited += 5) await sleep(5)
    if (!done(this)) throw new Error(`${this.answers.length} answers, closed: ${this.closed}`)
    return this
  }
}

async function stillHears(
  t: { match(found: unknown, wanted: unknown): void },
  path: string,
): Promise<void> {
  const talk = new Talk(path).say('{"id":5,"method":"layer.list"}\n')
  await talk.until(({ answers }) => answers.length > 0)
  t.match(talk.answers, [{ id: 5, ok: true }])
  talk.socket.destroy()
}

const WRONG: readonly unknown[] = [
  null,
  true,
  7,
  -1,
  1.5,
  1e308,
  '',
  '..',
  '../../etc',
  'a/../../b',
  '/../..',
  'a\0b',
  '/a\0b',
  'a\nb',
  '\ud800',
  'x'.repeat(5000),
  'y'.repeat(900_000),
  [],
  ['..'],
  [[]],
  {},
  { kind: 'from', paths: ['relative'] },
  { kind: 'from', paths: [] },
  { kind: 'from', paths: ['/nowhere\0'] },
  { kind: 'from', paths: ['/proc/1/root/nowhere'], base: '..' },
  { kind: 'recipe', recipe: '../../../etc/passwd' },
  { kind: 'recipe', recipe: 'x\0' },
  { kind: 'nothing' },
  JSON.parse('{"__proto__":{"kind":"empty"}}'),
  JSON.parse('{"constructor":{"prototype":{"x":1}}}'),
]

/** Parameters that nothing is found for, so that right ones do no harm either. */
const HARMLESS: Readonly<Record<string, unknown>> = {
  layer: 'ghost',
  to: 'ghost/2',
  mountPoint: '/nowhere/at/all',
  path: '/nowhere',
  state: 'ghost',
  view: 99,
  source: { kind: 'from', paths: ['/nowhere/at/all'] },
  priority: 1,
}

const seenIn = (dir: string): string[] =>
  readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => !name.startsWith('catalogue/') && !/\.log(\.1)?$/.test(name))
    .sort()

t.test('every field of every method refuses what it is not, and nothing changes', async (t) => {
  const { control, path, told } = await serve(t)
  const before = [seenIn(control.store.places.root), await control.catalogue.layers()]
  let id = 0
  const faults: string[] = []
  for (const method of METHOD_NAMES) {
    const { shape } = (await rowOf(method)).params as z.ZodObject
    const right = Object.fromEntries(
      Object.keys(shape).flatMap((key) => (key in HARMLESS ? [[key, HARMLESS[key]]] : [])),
    )
    const talk = new Talk(path)
    for (const key of [...Object.keys(shape), '__proto__', 'surprise']) {
      const asked = new Map<number, string>()
      for (const wrong of WRONG) {
        const others = Object.entries(right).filter(([name]) => name !== key)
        const fields = [...others, [key, wrong] as const].map(
          ([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`,
        )
        asked.set(++id, `${method} ${key} ${JSON.stringify(wrong).slice(0, 60)}`)
        talk.say(`{"id":${id},"method":"${method}","params":{${fields.join(',')}}}\n`)
      }
      await talk.until(({ answers }) => answers.length === WRONG.length)
      for (const { id, ok, error } of talk.answers.splice(0)) {
        if (ok || (error!.code in FAILURES && error!.code !== 'SVS_INTERNAL')) continue
        faults.push(`${asked.get(id!)}: ${JSON.stringify(error)}`)
      }
    }
    talk.socket.destroy()
  }
  t.same(faults, [])
  t.ok(id > 2000, `${id} requests`)
  t.same([seenIn(control.store.places.root), await control.catalogue.layers()], before)
  t.notOk(told.some(({ name }) => name === 'mount'))
  await stillHears(t, path)
})

t.test('deep, endless and broken JSON is refused, and the daemon goes on', async (t) => {
  const { path } = await serve(t)
  const deep = (open: string, close: string, depth: number) =>
    `{"id":1,"method":"layer.list","params":{"a":${open.repeat(depth)}1${close.repeat(depth)}}}\n`
  for (const text of [
    deep('[', ']', 400_000),
    deep('{"a":', '}', 150_000),
    '{"id":1,"method":"layer.list","params":{"__proto__":{"layer":1}}}\n',
    '{"id":1,"id":2,"method":"layer.list","params":{"x":1}}\n',
    `${'{"id":1,'.repeat(1000)}\n`,
    '\xff\xfe\xfd\n',
    `{"id":1e400,"method":"layer.list"}\n`,
    `{"id":1,"method":"${'../'.repeat(10)}"}\n`,
    `"${'\\u0000'.repeat(10_000)}"\n`,
  ]) {
    const talk = await new Talk(path).say(text).until(({ answers }) => answers.length > 0)
    t.match(talk.answers[0], { ok: false, error: { code: 'SVS_BAD_REQUEST' } }, text.slice(0, 40))
    talk.socket.destroy()
  }
  await stillHears(t, path)
})

t.test('a line that never ends is cut off, byte by byte too, and memory stays', async (t) => {
  const { path } = await serve(t)
  const before = process.memoryUsage().rss
  const talk = new Talk(path)
  for (let sent = 0; sent <= LONGEST_LINE + 65_536 && !talk.closed; sent += 65_536) {
    talk.say(Buffer.alloc(65_536, 'x'))
    await sleep(0)
  }
  await talk.until(({ closed }) => closed)
  t.match(talk.answers, [{ id: null, error: { code: 'SVS_BAD_REQUEST' } }])
  const slow = new Talk(path)
  for (let sent = 0; sent < 5000; sent++) {
    slow.say('x')
    if (sent % 50 === 0) await sleep(0)
  }
  await stillHears(t, path)
  slow.socket.destroy()
  t.ok(process.memoryUsage().rss - before < 100 << 20)
})

t.test('hundreds of connections that say half a line are held within bounds', async (t) => {
  const { path } = await serve(t)
  const descriptors = () => readdirSync('/proc/self/fd').length
  const before = descriptors()
  const talks: Talk[] = []
  for (let batch = 0; batch < 8; batch++) {
    talks.push(...Array.from({ length: 70 }, () => new Talk(path)))
    await talks.at(-1)!.until(({ socket }) => !socket.connecting)
    await sleep(20)
  }
  await talks.at(-1)!.until(({ closed }) => closed)
  t.match(talks.at(-1)!.answers, [{ error: { code: 'SVS_DAEMON_BUSY' } }])
  for (const talk of talks.slice(0, 60)) talk.say(Buffer.alloc(900_000, 'x'))
  const busy = await talks[59]!.until(() => talks.filter(({ closed }) => closed).length > 48 + 30)
  t.ok(busy)
  t.ok(talks.some(({ answers }) => answers[0]?.error?.message.includes('half said')))
  for (const { socket } of talks) socket.destroy()
  for (let waited = 0; waited < 5000 && descriptors() > before + 4; waited += 20) await sleep(20)
  t.ok(descriptors() <= before + 4, 'no descriptor is left')
  await stillHears(t, path)
})

t.test('requests without end, whose answers nobody reads, wait where they came from', async (t) => {
  const { path } = await serve(t)
  const before = process.memoryUsage().rss
  const talk = new Talk(path)
  talk.socket.pause()
  const burst = '{"id":1,"method":"status"}\n'.repeat(2000)
  let stuck = 0
  for (let sent = 0; sent < 400 && stuck < 20; sent++) {
    stuck = talk.socket.write(burst) ? 0 : stuck + 1
    await sleep(5)
  }
  t.ok(stuck >= 20, 'the daemon stopped reading')
  await stillHears(t, path)
  talk.socket.destroy()
  t.ok(process.memoryUsage().rss - before < 150 << 20)
  await stillHears(t, path)
})

t.test('whoever hangs up, or half hangs up, in the middle of work leaves nothing', async (t) => {
  const { control, path } = await serve(t)
  const from = throwAway(t)
  for (let i = 0; i < 300; i++) writeFileSync(join(from, `file-${i}`), 'x'.repeat(50_000))
  const params = JSON.stringify({ layer: 'gone', source: { kind: 'from', paths: [from] } })
  const request = `{"id":1,"method":"layer.create","params":${params}}\n`
  for (const leave of ['destroy', 'end'] as const) {
    const talk = new Talk(path).say(request)
    await sleep(leave === 'end' ? 1 : 30)
    talk.socket[leave]()
    await control.queue.idle()
    await talk.until(({ closed }) => closed)
    await stillHears(t, path)
  }
  await control.queue.idle()
  const layers = await control.catalogue.layers()
  // It was too late to break the work off, or nothing of it is there.
  t.equal(readdirSync(control.store.places.layers).length, layers.length)
})

t.test(
  'a command hears why it was turned away, and not only that the daemon is gone',
  async (t) => {
    const { control, path } = await serve(t)
    const talks = Array.from({ length: 512 }, () => new Talk(path))
    await talks.at(-1)!.until(({ socket }) => !socket.connecting)
    await sleep(50)
    const client = await Client.connect(control.store.places)
    await t.rejects(client!.call('layer.list', {}), { code: 'SVS_DAEMON_BUSY' })
    client!.close()
    for (const { socket } of talks) socket.destroy()
  },
)

t.test('a process of another user is told so, whatever the modes let it do', async (t) => {
  if (process.geteuid?.() !== 0) return t.pass('only root can be another user as well')
  const { control, path } = await serve(t)
  const { root, run } = control.store.places
  for (const dir of [join(root, '..'), root, run]) chmodSync(dir, 0o755)
  chmodSync(path, 0o666)
  const ask = `const s = require('net').connect(${JSON.stringify(path)});
    s.on('error', (e) => console.log(e.code)); s.pipe(process.stdout);
    s.write('{"id":1,"method":"layer.list"}\\n')`
  const child = await askAs(5, ask)
  t.match(child, /"code":"SVS_STORE_OWNER"/)
  t.notMatch(child, /"ok":true/)
})

/** What a program that runs as another user hears. This process answers it meanwhile. */
async function askAs(uid: number, program: string): Promise<string> {
  const child = spawn(process.execPath, ['-e', program], { uid, gid: 60, cwd: '/' })
  let said = ''
  child.stdout.on('data', (data) => {
    said += String(data)
  })
  child.stderr.on('data', (data) => {
    said += String(data)
  })
  await new Promise((resolve) => child.on('close', resolve))
  return said
}

t.test('a store is private under every umask, and where its directory was open', async (t) => {
  const before = process.umask()
  t.teardown(() => process.umask(before))
  for (const umask of [0o000, 0o022, 0o077, 0o277]) {
    for (const mode of [null, 0o777, 0o755]) {
      const root = join(throwAway(t), 'store')
      if (mode !== null) {
        mkdirSync(root)
        chmodSync(root, mode)
      }
      process.umask(umask)
      const control = await openControl({ root, doing: 'a test', create: true })
      const server = new Server(control, silent)
      await server.listen()
      const { run, keys, catalogue, layers, json, lock } = control.store.places
      const dirs = [root, run, keys, catalogue, layers].map((path) => statSync(path).mode & 0o777)
      t.same(dirs, [0o700, 0o700, 0o700, 0o700, 0o700], `umask ${umask.toString(8)}, mode ${mode}`)
      for (const file of [json, lock, socketPath(control.store.places)])
        t.equal(statSync(file).mode & 0o777, 0o600, file)
      server.drain()
      await control.close()
      t.equal(process.umask(before), umask, 'the umask is given back')
      const again = await openControl({ root, doing: 'a test', create: false })
      await again.close()
    }
  }
})

t.test('a store that others were let into is closed again when it is opened', async (t) => {
  const root = join(throwAway(t), 'store')
  await (await openControl({ root, doing: 'a test', create: true })).close()
  for (const dir of [root, join(root, 'run'), join(root, 'keys')]) chmodSync(dir, 0o777)
  await (await openControl({ root, doing: 'a test', create: false })).close()
  for (const dir of [root, join(root, 'run'), join(root, 'keys')])
    t.equal(statSync(dir).mode & 0o777, 0o700, dir)
})
