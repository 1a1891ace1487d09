// Repositories that lie: each is refused by name, and the store is exactly as before.

import { readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { create, type StoreAsked, sourceOf, storeAsked } from '../archive/store-asked.ts'
import { FakeRegistry, sha } from './fake-registry.ts'

const version = 'test'
const taken = { allowUnsigned: true }

interface Named {
  mediaType: string
  digest: string
  size: number
}

interface Manifest {
  artifactType?: string
  config: Named
  layers: Named[]
}

interface PackLine {
  digest: string
  chunks: (string | number)[]
}

interface Scene {
  readonly fake: FakeRegistry
  readonly there: StoreAsked
  /** The manifest of a sound artifact, and the blob that has a digest. */
  readonly manifest: Manifest
  blob(mediaType: string): Buffer
  /** Puts another blob in its place. */
  exchange(mediaType: string, bytes: Buffer | string): void
  refused(code: string, message?: RegExp): Promise<void>
  reset(): void
}

async function sceneOf(t: Test): Promise<Scene> {
  const [here, there] = [await storeAsked(t), await storeAsked(t)]
  await create(here, sourceOf(t))
  await here.ask('key.create', { key: 'office' })
  const dir = join(here.dir, 'layers')
  await here.ask('push', { layer: 'app', states: 0, place: `${dir}:sound`, version })
  const fake = await FakeRegistry.start(t)
  const blobs = join(dir, 'blobs/sha256')
  for (const name of readdirSync(blobs)) fake.add(readFileSync(join(blobs, name)))
  const index = JSON.parse(readFileSync(join(dir, 'index.json'), 'utf8'))
  const sound = fake.blobs.get(index.manifests[0].digest)!
  const manifest = JSON.parse(sound.toString())
  const reset = () => {
    for (const name of Object.keys(manifest)) delete manifest[name]
    Object.assign(manifest, JSON.parse(sound.toString()))
    fake.spoil = () => false
  }
  const lying = (mediaType: string) =>
    [manifest.config, ...manifest.layers].find((layer) => layer.mediaType === mediaType)
  const refused = async (code: string, message = /./) => {
    fake.tag('evil', manifest)
    await t.rejects(there.ask('pull', { place: `${fake.host}/app:evil`, ...taken }), {
      code,
      message,
    })
    t.same(await there.ask('layer.list', {}), [])
    t.same(readdirSync(there.control.store.places.layers), [])
    t.same(await chunksOf(there), [])
    reset()
  }
  return {
    fake,
    there,
    manifest,
    blob: (mediaType) => fake.blobs.get(lying(mediaType).digest)!,
    exchange: (mediaType, bytes) => void Object.assign(lying(mediaType), fake.add(bytes)),
    refused,
    reset,
  }
}

async function chunksOf({ control }: StoreAsked): Promise<string[]> {
  const found: string[] = []
  for await (const at of control.catalogue.keys({ gte: 'chunk', lt: 'chunk~' })) found.push(at)
  return found
}

const type = (name: string): string => `application/vnd.svsfs.${name}`
const MANIFEST = type('manifest.v1+json')
const INDEX = type('index.v1+json')
const PACK = type('pack.v1')

t.test('manifests, indexes and packs that lie are refused by name', async (t) => {
  const { fake, manifest, blob, exchange, refused, there } = await sceneOf(t)
  const sound = await there.ask('repo.list', { place: `${fake.host}/app` })
  t.same(sound.tags, [])
  const invalid = (message?: RegExp) => refused('SVS_REPOSITORY_INVALID', message)
  const layer = (mediaType: string) =>
    manifest.layers.find((each: { mediaType: string }) => each.mediaType === mediaType)!

  for (const bytes of ['', 'not JSON', '[]', '{"schemaVersion":2}', '{"schemaVersion":1}']) {
    fake.spoil = ({ url = '' }, response) => {
      if (url.includes('/manifests/')) response.end(bytes)
      return url.includes('/manifests/')
    }
    await invalid(/a manifest that is none/)
  }
  layer(PACK).digest = 'sha256:../../../etc/passwd'
  await invalid(/a manifest that is none/)
  layer(PACK).size = -1
  await invalid(/a manifest that is none/)
  layer(PACK).size = 1e300
  await invalid(/a manifest that is none/)
  manifest.layers = manifest.layers.filter(
    (each: { mediaType: string }) => each.mediaType !== MANIFEST,
  )
  await invalid(/one layer of .*manifest/)
  manifest.layers.push({ ...layer(MANIFEST) })
  await invalid(/one layer of .*manifest/)
  layer(MANIFEST).size = 65 * 1024 * 1024
  await invalid(/too large/)
  layer(INDEX).size += 1
  await invalid(/fewer bytes/)
  layer(INDEX).size -= 1
  await invalid(/more bytes|not what its name/)
  manifest.config.size = 1.5e6
  await invalid(/more than it may have/)
  exchange(type('config.v1+json'), '{"version":1}')
  await invalid(/a config that is none/)
  manifest.config.mediaType = 'application/vnd.oci.image.config.v1+json'
  delete manifest.artifactType
  await refused('SVS_REPOSITORY_OTHER', /image of containers.*--from oci:/)

  const index = () => JSON.parse(blob(INDEX).toString())
  const changed = (change: (packs: [PackLine, ...PackLine[]]) => void) => {
    const read = index()
    change(read.packs)
    exchange(INDEX, JSON.stringify(read))
  }
  changed(([pack]) => void pack.chunks.reverse())
  await invalid(/out of step/)
  changed(([pack]) => void pack.chunks.pop())
  await invalid(/out of step|as long as/)
  changed(([pack]) => void (pack.chunks[1] = Number(pack.chunks[1]) + 1))
  await invalid(/not as long as/)
  changed(([pack]) => void (pack.chunks[1] = 2 ** 40))
  await invalid(/index of packs that is none/)
  changed(([pack]) => void (pack.digest = `sha256:${'a'.repeat(64)}`))
  await refused('SVS_REPOSITORY_NOT_FOUND')
  changed(([pack]) => {
    const bytes = Buffer.from(fake.blobs.get(pack.digest)!)
    bytes[10]! ^= 1
    Object.assign(pack, fake.add(bytes))
  })
  await invalid(/not in the pack that has it/)
  changed((packs) => void packs.pop())
  await refused('SVS_ARCHIVE_DAMAGED', /missing, or has another length/)

  exchange(MANIFEST, blob(MANIFEST).toString().replace('"app"', '"apq"'))
  await refused('SVS_SIGNATURE_INVALID')
  exchange(type('signature.v1+json'), '{}')
  await refused('SVS_ARCHIVE_DAMAGED', /signature/)
})

t.test('answers without an end, elsewhere, or of somebody else are given up', async (t) => {
  const { fake, there, refused, manifest, reset } = await sceneOf(t)
  const invalid = (message?: RegExp) => refused('SVS_REPOSITORY_INVALID', message)
  const spoilt = (path: string, act: (response: import('node:http').ServerResponse) => void) => {
    fake.spoil = ({ url = '' }, response) => {
      const hit = url.includes(path)
      if (hit) act(response)
      return hit
    }
  }
  const forEver = (response: import('node:http').ServerResponse) => {
    const more = () => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536, ' ')));
      if (!response.destroyed) response.once('drain', more)
    }
    more()
  }
  spoilt('/manifests/', forEver)
  await invalid(/more than 4194304 bytes/)
  spoilt('/blobs/', forEver)
  await invalid(/more bytes than it says/)
  spoilt('/blobs/', (response) => response.end(Buffer.alloc(manifest.config.size, 'x')))
  await invalid(/not what its name says/)
  spoilt('/manifests/', (response) =>
    response.writeHead(302, { location: '/v2/x/manifests/evil' }).end(),
  )
  await invalid(/from one place to the next/)
  spoilt('/manifests/', (response) =>
    response.writeHead(302, { location: 'file:///etc/passwd' }).end(),
  )
  await invalid(/no web server/)
  spoilt('/manifests/', (response) =>
    response.writeHead(401, { 'www-authenticate': 'Bearer realm="x"' }).end(),
  )
  await invalid(/no server for tokens/)
  spoilt('/manifests/', (response) =>
    response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end(),
  )
  await refused('SVS_REPOSITORY_DENIED', /401, without credentials/)
  spoilt('/manifests/', (response) =>
    response.writeHead(418).end('{"errors":[{"message":"I am a \\u001b[31mteapot"}]}'),
  )
  await refused('SVS_REPOSITORY_REFUSED', /418: I am a {1,2}\[31mteapot/)
  spoilt('/tags/', (response) => response.end('{"tags":["fine","../../evil"]}'))
  await t.rejects(there.ask('repo.list', { place: `${fake.host}/app` }), {
    code: 'SVS_REPOSITORY_INVALID',
  })
  reset()
  await t.rejects(there.ask('pull', { place: `${fake.host}/app@${sha('other')}`, ...taken }), {
    code: 'SVS_REPOSITORY_NOT_FOUND',
  })
  fake.tag(sha('other'), manifest)
  await t.rejects(there.ask('pull', { place: `${fake.host}/app@${sha('other')}`, ...taken }), {
    code: 'SVS_REPOSITORY_INVALID',
    message: /a manifest that is not sha256:/,
  })
  fake.tag('fine', manifest)
  t.match(await there.ask('pull', { place: `${fake.host}/app:fine`, ...taken }), { layer: 'app' })
})

t.test('who we are is told to the registry, and to nobody it sends us to', async (t) => {
  const { fake, there, manifest } = await sceneOf(t)
  const heard: (string | undefined)[] = []
  const elsewhere = createServer((request, response) => {
    heard.push(request.headers.authorization)
    response.end(fake.blobs.get(request.url!.slice(1)))
  })
  await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve))
  t.teardown(() => void elsewhere.close())
  const { port } = elsewhere.address() as AddressInfo
  const basic = `Basic ${Buffer.from('me:secret').toString('base64')}`
  fake.tag('fine', manifest)
  fake.spoil = ({ url = '', headers }, response) => {
    if (url.startsWith('/token')) {
      response.end(JSON.stringify({ token: `for-${headers.authorization === basic}` }))
      return true
    }
    if (headers.authorization !== 'Bearer for-true') {
      const realm = `http://${fake.host}/token`
      const bearer = `Bearer realm="${realm}",service="a, \\"b\\"",scope="x"`
      response.writeHead(401, { 'www-authenticate': bearer }).end()
      return true
    }
    const digest = /\/blobs\/(sha256:.*)/.exec(url)?.[1]
    if (digest === undefined) return false
    response.writeHead(307, { location: `http://127.0.0.1:${port}/${digest}` }).end()
    return true
  }
  const credentials = { username: 'me', secret: 'secret' }
  await there.ask('pull', { place: `${fake.host}/team/app:fine`, credentials, ...taken })
  t.ok(heard.length > 3)
  t.same(new Set(heard), new Set([undefined]), 'the other server never hears who we are')
  const tokens = fake.asked.filter(({ url }) => url.startsWith('/token'))
  t.equal(tokens.length, 1, 'one token serves for all')
  t.match(decodeURIComponent(tokens[0]!.url), /service=a,\+"b"&scope=repository:team\/app:pull/)
  const refused = { username: 'me', secret: 'wrong' }
  await t.rejects(
    there.ask('pull', { place: `${fake.host}/team/app:fine`, credentials: refused, ...taken }),
    { code: 'SVS_REPOSITORY_DENIED' },
  )
})
