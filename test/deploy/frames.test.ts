// What two machines say to each other, held against one that says it wrongly.

import { PassThrough, Readable } from 'node:stream'
import { deflateRawSync } from 'node:zlib'
import t from 'tap'
import { z } from 'zod'
import { Failure } from '../../lib/base/failure.ts'
import { errorWords } from '../../lib/daemon/errors.ts'
import { BadSpeech, FrameReader, FrameWriter, GREETING } from '../../lib/deploy/frames.ts'
import { addressOf, hostName, sshOptions } from '../../lib/deploy/host.ts'
import type { Link } from '../../lib/deploy/link.ts'
import { receive, row } from '../../lib/deploy/receiver.ts'
import { onHosts } from '../../lib/deploy/rounds.ts'
import { type Sending, send } from '../../lib/deploy/sender.ts'
import { linkFailure, sshWords } from '../../lib/deploy/ssh.ts'

const LIMIT = 1000

const readerOf = (...parts: (Buffer | string)[]): FrameReader =>
  new FrameReader(Readable.from(parts.map((part) => Buffer.from(part as string))), LIMIT)

function frame(kind: string, bytes: Buffer | string, length?: number): Buffer {
  const body = Buffer.from(bytes as string)
  const head = Buffer.alloc(5)
  head.writeUInt32BE(length ?? body.length, 0)
  head.write(kind, 4, 'latin1')
  return Buffer.concat([head, body])
}

t.test('what was written is read, however the stream cuts it', async (t) => {
  const stream = new PassThrough()
  const writer = new FrameWriter(stream, LIMIT * 10)
  await writer.greet()
  await writer.json({ short: true })
  await writer.json({ long: 'x'.repeat(900) })
  await writer.bytes(Buffer.from('bytes'))
  stream.end()
  const all = Buffer.concat(await stream.toArray())
  const reader = readerOf('a message of the day\n', ...[...all].map((byte) => Buffer.from([byte])))
  t.ok(await reader.greeted(), 'behind what the login printed')
  t.same(await reader.next(), { kind: 'json', value: { short: true } })
  t.same(await reader.next(), { kind: 'json', value: { long: 'x'.repeat(900) } })
  t.same(await reader.next(), { kind: 'bytes', bytes: Buffer.from('bytes') })
  t.equal(await reader.next(), null)
  t.ok(all.length < 400, 'a long text became shorter')
})

t.test('what breaks a rule is not listened to', async (t) => {
  const bomb = deflateRawSync(Buffer.from(JSON.stringify('x'.repeat(1_000_000))))
  const cases: Record<string, Buffer> = {
    'a length that no memory is given to': frame('j', '{}', 0xffff_ffff),
    'JSON above the limit': frame('j', JSON.stringify('x'.repeat(LIMIT))),
    'JSON that becomes too long': frame('z', bomb),
    'no JSON': frame('j', '{'),
    'nothing that was deflated': frame('z', 'what is this'),
    'a kind that nobody knows': frame('q', 'x'),
    'bytes above the limit': frame('d', '', 1024 * 1024 + 1),
    'an end in the middle': frame('j', '{}').subarray(0, 6),
    'an end in the head': frame('j', '{}').subarray(0, 3),
  }
  for (const [title, bytes] of Object.entries(cases))
    await t.rejects(readerOf(bytes).next(), BadSpeech, title)
  await t.rejects(readerOf('x'.repeat(70_000)).greeted(), BadSpeech, 'a long speech, no greeting')
  t.notOk(await readerOf('bash: svsfs: command not found\n').greeted())
})

/** What a receiver answers to these bytes. */
async function answersTo(...parts: Buffer[]): Promise<unknown[]> {
  const output = new PassThrough()
  const rows = {
    add: row(z.strictObject({ a: z.number() }), async ({ a }, { pieces }) => {
      let sum = a
      for await (const piece of pieces) {
        sum += piece.length
        if (sum > 100) throw new Failure('SVS_DISK_FULL', 'here')
      }
      return sum
    }),
  }
  const words = (err: unknown) => ({ ...errorWords(err) })
  await receive({ input: Readable.from(parts), output }, rows, words)
  output.end()
  const reader = new FrameReader(output, 100_000)
  t.ok(await reader.greeted())
  const answers: unknown[] = []
  for (let next = await reader.next(); next !== null; next = await reader.next())
    answers.push(next.kind === 'json' ? next.value : next.bytes)
  return answers
}

const asks = (value: unknown): Buffer => frame('j', JSON.stringify(value))

t.test('a receiver answers requests, and ends with what is none', async (t) => {
  const piece = frame('d', 'x'.repeat(60))
  const answers = (await answersTo(
    asks({ ask: 'add', params: { a: 1 }, pieces: 1 }),
    piece,
    asks({ ask: 'add', params: { a: 1 }, pieces: 3 }),
    piece,
    piece,
    piece,
    asks({ ask: 'add', params: { a: 'one' } }),
    asks({ ask: 'constructor', params: {} }),
    asks({ ask: 'add', params: { a: 2 } }),
    asks({ what: 'else' }),
    asks({ ask: 'add', params: { a: 2 } }),
  )) as { ok: boolean; data?: unknown; error?: { code: string } }[]
  t.same(
    answers.map(({ ok, data, error }) => (ok ? data : error?.code)),
    [61, 'SVS_DISK_FULL', 'SVS_BAD_REQUEST', 'SVS_BAD_REQUEST', 2, 'SVS_BAD_REQUEST'],
  )
  t.same(await answersTo(Buffer.from('GET / HTTP/1.1\r\n\r\n')), [
    {
      ok: false,
      error: errorWords(
        new Failure('SVS_BAD_REQUEST', 'it', 'a frame of a kind that nobody knows'),
      ),
    },
  ])
  const short = await answersTo(asks({ ask: 'add', params: { a: 1 }, pieces: 2 }), piece)
  t.match(short, [{ ok: false, error: { code: 'SVS_BAD_REQUEST' } }], 'fewer pieces than it said')
  t.equal(GREETING.at(-1), '\n')
})

t.test('nothing of a host can be read by ssh as an option of its own', async (t) => {
  for (const url of [
    'ssh://-oProxyCommand=id@host',
    'ssh://-oProxyCommand=id',
    'ssh://user@',
    'ssh://user@host:0',
    'ssh://user@host:99999',
    'ssh://host/path',
    'ssh://us er@host',
    'http://host',
    'host',
  ])
    t.throws(() => addressOf(url), { code: 'SVS_HOST_INVALID' }, url)
  t.same(addressOf('ssh://me@[::1]:22/'), { user: 'me', machine: '::1', port: 22 })
  t.throws(() => hostName('-x'), { code: 'SVS_HOST_INVALID' })
  for (const option of ['IdentityFile', '=x', '-o=x', 'A B=x', 'Key=a\nProxyCommand=id'])
    t.throws(() => sshOptions([option]), { code: 'SVS_HOST_INVALID' }, option)
  const host = { name: 'h', url: 'ssh://me@host', options: {}, program: 'svsfs', store: "/a b's" }
  t.same(sshWords(host, false).slice(-3), ['--', 'host', "svsfs receive --store '/a b'\\''s'"])
})

t.test('what ssh says is told in the words of the table', async (t) => {
  const host = { name: 'h', url: 'ssh://host', options: {}, program: 'svsfs', store: null }
  const said = (said: string, code = 255, greeted = false) =>
    linkFailure(host, { said, code, greeted }).code
  t.equal(said('@@@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @@@'), 'SVS_HOST_KEY_CHANGED')
  t.equal(said('Host key verification failed.'), 'SVS_HOST_KEY_UNKNOWN')
  t.equal(said('me@host: Permission denied (publickey).'), 'SVS_HOST_REFUSED')
  t.equal(said('ssh: connect to host h port 22: Connection refused'), 'SVS_HOST_UNREACHABLE')
  t.equal(said('sh: 1: svsfs: not found', 127), 'SVS_HOST_WITHOUT')
  t.equal(said('client_loop: send disconnect: Broken pipe', 255, true), 'SVS_HOST_LOST')
})

t.test('the first few hosts try it, and where one fails the others are not begun', async (t) => {
  const hosts = ['a', 'b', 'c', 'd'].map((name) => ({ name }))
  const begun: string[] = []
  let most = 0
  let now = 0
  const act = async ({ name }: { name: string }) => {
    begun.push(name)
    most = Math.max(most, ++now)
    await new Promise((resolve) => setTimeout(resolve, 5))
    now -= 1
    if (name === 'b') throw new Failure('SVS_HOST_LOST', name, 'why')
    return name
  }
  const failed = await onHosts(hosts, { parallel: 2, canary: 2 }, act, () => {})
  t.same(
    failed.map(({ host, ok }) => [host, ok]),
    [
      ['a', true],
      ['b', false],
      ['c', null],
      ['d', null],
    ],
  )
  t.same(begun, ['a', 'b'])
  const all = await onHosts(hosts, { parallel: 3, canary: 0 }, act, () => {})
  t.same(
    all.map(({ ok }) => ok),
    [true, false, true, true],
  )
  t.equal(most, 3)
})

t.test('a host that cannot read a codec of the archive is sent nothing of it', async (t) => {
  const asked: string[] = []
  const link = {
    host: { name: 'old' },
    ask: async ({ ask }: { ask: string }) => {
      asked.push(ask)
      return { bases: ['b'], state: null, codecs: ['raw'] }
    },
  } as unknown as Link
  const parcel = async () => ({ codecs: ['raw', 'zstd'] })
  const sending = { layer: 'app', base: 'b', candidates: [], withBase: false, parcel }
  await t.rejects(
    send(link, sending as unknown as Sending, () => {}),
    { code: 'SVS_HOST_CODEC' },
  )
  t.same(asked, ['layer'])
})
