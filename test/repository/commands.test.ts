// push, pull and repo as they are typed: credentials where docker login keeps them, a file server.

import { spawn } from 'node:child_process'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { credentialsFor } from '../../lib/repository/credentials.ts'
import { placeOf as place, placeText } from '../../lib/repository/place.ts'
import { create, sourceOf, storeAsked } from '../archive/store-asked.ts'
import { placeOf } from '../snapshot/fixture.ts'
import { needing, realRegistry } from './real-registry.ts'

const svsfs = join(dirname(fileURLToPath(import.meta.url)), '../../bin/svsfs.js')

interface Ran {
  readonly status: number | null
  readonly data?: unknown
  readonly error?: unknown
}

function runner(t: Test) {
  const dir = placeOf(t)
  const env = {
    ...process.env,
    DOCKER_CONFIG: join(dir, 'docker'),
    PATH: `${join(dir, 'bin')}:${process.env.PATH}`,
  }
  for (const name of ['docker', 'bin']) mkdirSync(join(dir, name))
  const run = (store: string, ...words: string[]): Promise<Ran> =>
    new Promise((resolve) => {
      const all = [svsfs, '--store', join(dir, store), '--json', ...words]
      const child = spawn(process.execPath, all, { env, stdio: ['ignore', 'pipe', 'inherit'] })
      let said = ''
      child.stdout.on('data', (bytes) => (said += bytes))
      child.on('close', (status) => resolve({ status, ...JSON.parse(said) }))
    })
  return { dir, env, run }
}

t.test(
  'a registry that asks who we are is told what docker login has kept',
  needing('docker-registry'),
  async (t) => {
    const { dir, env, run } = runner(t)
    const { host } = await realRegistry(t, { auth: true })
    const here = await storeAsked(t)
    await create(here, sourceOf(t))
    const at = `${host}/team/app:v1`
    const push = async () => {
      const credentials = await credentialsFor(host, env)
      return here.ask('push', { layer: 'app', states: 0, place: at, credentials, version: 'test' })
    }
    await t.rejects(push(), { code: 'SVS_REPOSITORY_DENIED' })
    const keep = (file: unknown) =>
      writeFileSync(join(dir, 'docker/config.json'), JSON.stringify(file))
    const auth = (text: string) => ({ auth: Buffer.from(text).toString('base64') })
    keep({ auths: { [`http://${host}/v1/`]: auth('svsfs:no') } })
    await t.rejects(push(), { code: 'SVS_REPOSITORY_DENIED' })
    keep({ auths: { [host]: auth('svsfs:secret') } })
    t.match(await push(), { fresh: true, place: at })
    const helper = join(dir, 'bin/docker-credential-safe')
    writeFileSync(
      helper,
      '#!/bin/sh\nread -r host\nprintf \'{"Username":"svsfs","Secret":"secret","ServerURL":"%s"}\' "$host"\n',
    )
    chmodSync(helper, 0o755)
    keep({ credHelpers: { [host]: 'safe' } })
    t.match(await run('there', 'pull', at, '--allow-unsigned'), {
      status: 0,
      data: { layer: 'app', states: [], place: at },
    })
    keep({ credsStore: 'none' })
    await t.rejects(credentialsFor(host, env), { code: 'SVS_CREDENTIALS' })
    keep({ auths: { [host]: {} }, credsStore: 'safe' })
    t.same(await credentialsFor(host, env), { username: 'svsfs', secret: 'secret' })
    writeFileSync(helper, '#!/bin/sh\necho credentials not found in native keychain\nexit 1\n')
    t.equal(await credentialsFor(host, env), null)
    keep({ auths: { 'https://index.docker.io/v1/': { identitytoken: 'of mine' } } })
    t.same(await credentialsFor('docker.io', env), { token: 'of mine' })
    keep(['nothing'])
    await t.rejects(credentialsFor(host, env), { code: 'SVS_CREDENTIALS' })
  },
)

t.test(
  'a directory is given to other machines, also to those that speak to a registry',
  async (t) => {
    const { dir } = runner(t)
    const layers = join(dir, 'layers')
    const [here, there] = [await storeAsked(t), await storeAsked(t)]
    await create(here, sourceOf(t))
    await here.ask('push', { layer: 'app', states: 0, place: layers, version: 'test' })
    const words = ['repo', 'serve', layers, '--listen', '127.0.0.1:0', '--json']
    const stdio = ['ignore', 'pipe', 'inherit'] as const
    const server = spawn(process.execPath, [svsfs, ...words], { stdio: [...stdio] })
    const ended = new Promise<number | null>((resolve) => void server.once('close', resolve))
    t.teardown(() => void server.kill('SIGKILL'))
    const line = await new Promise<string>((resolve) => {
      createInterface(server.stdout!).once('line', resolve)
    })
    const { url } = JSON.parse(line).data as { url: string }
    const taken = { allowUnsigned: true }
    t.match(await there.ask('pull', { place: `${url}:app`, ...taken }), {
      layer: 'app',
      place: `${url}:app`,
    })
    const asRegistry = `${new URL(url).host}/any/name`
    t.match(await there.ask('repo.list', { place: asRegistry }), {
      tags: [{ tag: 'app', kind: 'layer', layer: 'app' }],
    })
    t.match(await there.ask('pull', { place: `${asRegistry}:app`, as: 'two', ...taken }), {
      layer: 'two',
    })
    await t.rejects(
      here.ask('push', { layer: 'app', states: 0, place: `${url}:x`, version: 'test' }),
      { code: 'SVS_REPOSITORY_REFUSED' },
    )
    const outside = ['../here/store.json', 'blobs/sha256/../../../here/store.json', '%2e%2e/x', '']
    for (const path of outside) t.equal((await fetch(`${url}${path}`)).status, 404, path)
    t.equal((await fetch(`${url}index.json`, { method: 'PUT', body: '{}' })).status, 405)
    const part = await fetch(`${url}index.json`, { headers: { range: 'bytes=1-3' } })
    t.equal(part.status, 206)
    t.match(part.headers.get('content-range'), /^bytes 1-3\//)
    t.equal((await part.text()).length, 3)
    server.kill('SIGTERM')
    t.equal(await ended, 0)
  },
)

t.test('places are read as they are written, and what is none is refused', async (t) => {
  const same: [string, string][] = [
    ['debian', 'docker.io/library/debian'],
    ['team/app:v1', 'docker.io/team/app:v1'],
    ['localhost/app', 'localhost/app'],
    ['[::1]:5000/app:v1', '[::1]:5000/app:v1'],
    [`ghcr.io/team/app:v1@sha256:${'a'.repeat(64)}`, `ghcr.io/team/app@sha256:${'a'.repeat(64)}`],
    ['dir:layers:v1', 'dir:/srv/me/layers:v1'],
    ['./a:b/c', 'dir:/srv/me/a:b/c'],
    ['/srv', 'dir:/srv'],
    ['http://127.0.0.1:80/:v1', 'http://127.0.0.1/:v1'],
    ['https://host/a/b/:v1', 'https://host/a/b:v1'],
    ['https://host/a:v1', 'https://host/a:v1'],
  ]
  for (const [written, meant] of same) t.equal(placeText(place(written, '/srv/me')), meant, written)
  const refused = [
    '',
    'ghcr.io/',
    'ghcr.io/Team/App',
    'a:b:c',
    'x/y@sha256:12',
    'ftp://x/y',
    'dir:',
    'a b/c',
  ]
  for (const text of [
    ...refused,
    'https://me:pw@host/x',
    'https://host/x?y',
    `x/${'y'.repeat(300)}`,
  ])
    t.throws(() => place(text), { code: 'SVS_REPOSITORY_NAME' }, text)
})
