// The socket: who is heard, and that nothing that arrives there ends the daemon.

import { rmSync, statSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { silent } from '../../lib/base/log.ts'
import { socketPath } from '../../lib/daemon/address.ts'
import { Client } from '../../lib/daemon/client.ts'
import { openControl } from '../../lib/daemon/control.ts'
import { LONGEST_LINE } from '../../lib/daemon/protocol.ts'
import { Server } from '../../lib/daemon/server.ts'
import type { StorePlaces } from '../../lib/daemon/store-path.ts'
import { newStore, type Test, throwAway } from './place.ts'

async function serve(t: Test) {
  const control = await newStore(t)
  const server = new Server(control, silent)
  await server.listen()
  t.teardown(() => {
    server.drain()
    server.end()
  })
  return { control, server, places: control.store.places }
}

/** Sends bytes as they are; answers the lines that came back until the other end or we hung up. */
async function send(path: string, bytes: string | Buffer, lines = 1): Promise<unknown[]> {
  const socket: Socket = connect(path)
  const answers: unknown[] = []
  let rest = ''
  return new Promise((resolve) => {
    const end = () => {
      socket.destroy()
      resolve(answers)
    }
    socket.on('data', (data) => {
      const all = (rest + data.toString()).split('\n')
      rest = all.pop() ?? ''
      answers.push(...all.map((line) => JSON.parse(line) as unknown))
      if (answers.length >= lines) end()
    })
    socket.on('error', end)
    socket.on('close', end)
    socket.write(bytes)
  })
}

async function connected(places: StorePlaces): Promise<Client> {
  const client = await Client.connect(places)
  if (client === null) throw new Error('nobody answers')
  return client
}

const refused = (id: number | null, code = 'SVS_BAD_REQUEST') => ({
  id,
  ok: false,
  error: { code },
})

t.test('the socket is for the owner alone', async (t) => {
  const { places } = await serve(t)
  t.equal(statSync(socketPath(places)).mode & 0o777, 0o600)
  t.equal(statSync(places.run).mode & 0o777, 0o700)
})

t.test('a call is answered with what the row answers', async (t) => {
  const { places } = await serve(t)
  const client = await connected(places)
  t.teardown(() => client.close())
  t.same(await client.call('layer.list', {}), [])
  await client.call('layer.create', { layer: 'a', source: { kind: 'empty' } })
  t.match(await client.call('status', {}), { layers: [{ name: 'a' }], mounts: [] })
  await t.rejects(client.call('activate', { layer: 'b' }), {
    code: 'SVS_LAYER_NOT_FOUND',
    exit: 3,
    message: 'no layer named b (svsfs layer list shows them)',
  })
})

t.test('what is not a request is answered as such, and the next one is heard', async (t) => {
  const { places } = await serve(t)
  const path = socketPath(places)
  const good = '{"id":5,"method":"layer.list"}\n'
  for (const [bad, id] of [
    ['not json\n', null],
    ['\u0000\u0001\u0002\n', null],
    ['[]\n', null],
    ['null\n', null],
    ['7\n', null],
    ['{"id":"1","method":"layer.list"}\n', null],
    ['{"id":-1,"method":"layer.list"}\n', null],
    ['{"id":1.5,"method":"layer.list"}\n', null],
    ['{"id":1}\n', null],
    ['{"id":1,"method":7}\n', null],
    [`{"id":1,"method":"${'x'.repeat(1000)}"}\n`, null],
    ['{"id":1,"method":"__proto__"}\n', 1],
    ['{"id":1,"method":"layer.list","params":[]}\n', 1],
    ['{"id":1,"method":"layer.list","params":{"__proto__":1,"a":2}}\n', 1],
    ['{"id":1,"method":"which","params":{"path":"relative"}}\n', 1],
    ['{"id":1,"method":"which","params":{"path":"/a\\u0000b"}}\n', 1],
    ['{"id":1,"method":"priority","params":{"layer":"a","priority":1e99}}\n', 1],
  ] as const) {
    const answers = await send(path, bad + good, 2)
    t.match(
      answers.find((answer) => !(answer as { ok: boolean }).ok),
      refused(id),
      bad.slice(0, 60),
    )
    t.match(
      answers.find((answer) => (answer as { ok: boolean }).ok),
      { id: 5, ok: true, data: [] },
    )
  }
})

t.test('a message above the limit is answered and ends the connection, nothing else', async (t) => {
  const { places } = await serve(t)
  const path = socketPath(places)
  t.match(await send(path, Buffer.alloc(LONGEST_LINE + 10, 'x'), 9), [refused(null)])
  const deep = `{"id":1,"method":"layer.list","params":${'['.repeat(100_000)}`
  t.match(await send(path, `${deep}\n`), [refused(null)])
  t.match(await send(path, '{"id":5,"method":"layer.list"}\n'), [{ id: 5, ok: true }])
})

t.test('connections that are dropped in the middle of anything do no harm', async (t) => {
  const { places } = await serve(t)
  for (const text of ['', '{"id":1,"meth', '{"id":1,"method":"layer.list"}\n'.repeat(50)]) {
    const socket = connect(socketPath(places))
    await new Promise<void>((resolve) => socket.once('connect', () => resolve()))
    socket.write(text)
    socket.destroy()
  }
  t.match(await send(socketPath(places), '{"id":5,"method":"layer.list"}\n'), [{ ok: true }])
})

t.test('requests of one connection may overlap, and each gets its own answer', async (t) => {
  const { places } = await serve(t)
  const client = await connected(places)
  t.teardown(() => client.close())
  const names = Array.from({ length: 20 }, (_, i) => `layer-${i}`)
  const source = { kind: 'empty' } as const
  const made = await Promise.all(
    names.map(async (layer) => client.call('layer.create', { layer, source })),
  )
  t.same(
    made.map((answer) => answer?.name),
    names,
  )
})

t.test('a daemon that ends refuses what comes late, and tells whoever waits', async (t) => {
  const { places, server } = await serve(t)
  const client = await connected(places)
  await client.call('layer.list', {})
  server.drain()
  await t.rejects(client.call('layer.list', {}), {
    code: 'SVS_DAEMON_STOPPING',
  })
  const idle = send(socketPath(places), '')
  server.end()
  t.match(await idle, [], 'nobody new is heard')
  await new Promise((resolve) => setTimeout(resolve, 50))
  await t.rejects(client.call('layer.list', {}), { code: 'SVS_DAEMON_STOPPING' })
  t.equal(await Client.connect(places), null)
})

t.test('a socket that a dead daemon left is nobody, and is taken over', async (t) => {
  const { places, server, control } = await serve(t)
  server.drain()
  rmSync(socketPath(places), { force: true })
  t.equal(await Client.connect(places), null)
  const next = new Server(control, silent)
  await next.listen()
  t.teardown(() => next.drain())
  const client = await connected(places)
  t.same(await client.call('layer.list', {}), [])
  client.close()
})

t.test('a store whose path is longer than an address has a socket all the same', async (t) => {
  const root = join(throwAway(t), 'long-'.repeat(20), 'path-'.repeat(20), 'store')
  const control = await openControl({ root, doing: 'a test', create: true })
  const server = new Server(control, silent)
  await server.listen()
  const client = await connected(control.store.places)
  t.same(await client.call('layer.list', {}), [])
  client.close()
  server.drain()
  server.end()
  await control.close()
})
