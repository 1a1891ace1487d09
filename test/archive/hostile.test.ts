// Archives that somebody tampered with: each is refused by name, and the catalogue is as before.
//
//   SEED=7 ROUNDS=20000 node dist/test/archive/hostile.test.js     so many mutated archives

import { copyFileSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, constants } from 'node:zlib'
import { ZipArchive } from 'archiver'
import t, { type Test } from 'tap'
import { canonical } from '../../lib/archive/canonical.ts'
import { Failure } from '../../lib/base/failure.ts'
import { compress } from '../../lib/host/zstd.ts'
import { buildState } from '../../lib/snapshot/restore.ts'
import { type Lab, labOf, placeOf, randomBytes, randomOf } from '../snapshot/fixture.ts'
import { Forgery } from './forge.ts'
import { exportFrom, importInto, keysOf } from './lab.ts'

const QUICK = { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }

const rounds = Number(process.env.ROUNDS ?? 500)
const seed = Number(process.env.SEED ?? 7)

interface Scene {
  readonly there: Lab
  /** A sound archive of one state. */
  readonly sound: string
  /** A place for another. */
  readonly evil: string
  /** The archive must be refused so, and the catalogue stay as it was. */
  refused(code: string, message?: RegExp): Promise<void>
}

async function sceneOf(t: Test): Promise<Scene> {
  const [here, there] = [await labOf(t), await labOf(t)]
  for (const { dirs } of [here, there])
    writeFileSync(join(dirs.ro[0]!, 'program'), Buffer.alloc(200_000, 'as installed, '))
  const bytes = readFileSync(join(here.dirs.ro[0]!, 'program'))
  bytes.write('changed', 1000)
  writeFileSync(join(here.dirs.rw, 'program'), bytes)
  writeFileSync(join(here.dirs.rw, 'notes'), 'small\n')
  writeFileSync(join(here.dirs.rw, 'noise'), randomBytes(randomOf(5), 100_000))
  symlinkSync('notes', join(here.dirs.rw, 'to-notes'))
  const state = await here.snapshot('sound')
  const { path } = await exportFrom(here, [state])
  const evil = join(placeOf(t), 'evil.vpa')
  const refused = async (code: string, message = /./) => {
    const before = await keysOf(there)
    await t.rejects(importInto(there, evil), { code, message })
    t.same(await keysOf(there), before)
  }
  return { there, sound: path, evil, refused }
}

t.test('entries that would lead, or reach, out of the tree are refused', async (t) => {
  const { sound, evil, refused } = await sceneOf(t)
  const edited = async (path: string, change: (entry: Record<string, unknown>) => void) => {
    const forgery = await Forgery.of(sound)
    forgery.edit(path, change)
    await forgery.write(evil)
  }
  for (const path of ['../notes', '/notes', 'a/../../notes', './notes', 'notes/', '..']) {
    await edited('notes', (entry) => Object.assign(entry, { path }))
    await refused('SVS_ARCHIVE_DAMAGED', /entry whose path/)
  }
  await edited('to-notes', (entry) => Object.assign(entry, { path: 'notes/x' }))
  await refused('SVS_ARCHIVE_DAMAGED')
  await edited('to-notes', (entry) => Object.assign(entry, { path: 'zz/x' }))
  await refused('SVS_ARCHIVE_DAMAGED', /lies in no directory/)
  await edited('to-notes', (entry) => Object.assign(entry, { target: 'x/../../../etc/passwd' }))
  await refused('SVS_ARCHIVE_ESCAPES', /to-notes/)
  await edited('to-notes', (entry) => Object.assign(entry, { target: 'a\0b' }))
  await refused('SVS_ARCHIVE_DAMAGED', /NUL/)
  const forgery = await Forgery.of(sound)
  forgery.edit('to-notes', (entry) => {
    delete entry.target
    Object.assign(entry, { kind: 'block', rdev: 2049 })
  })
  forgery.manifest.kinds = ['block', 'dir', 'file']
  await forgery.write(evil)
  await refused('SVS_ARCHIVE_DEVICE', /--allow-devices/)
  await edited('notes', (entry) => Object.assign(entry, { path: 'n'.repeat(300) }))
  await refused('SVS_ARCHIVE_DAMAGED')
  await edited('notes', (entry) =>
    Object.assign(entry, { xattrs: { 'trusted.overlay.opaque': 'eQ==' } }),
  )
  await refused('SVS_ARCHIVE_DAMAGED', /is a mark/)
  await edited('to-notes', (entry) => Object.assign(entry, { path: 'zz', link: 'nothing' }))
  await refused('SVS_ARCHIVE_DAMAGED', /link to nothing/)
})

t.test('lists that are twice, out of order, or without what they name are refused', async (t) => {
  const { sound, evil, refused } = await sceneOf(t)
  const forged = async (change: (forgery: Forgery) => void, keep = false) => {
    const forgery = await Forgery.of(sound)
    change(forgery)
    await forgery.write(evil, keep)
  }
  await forged(({ states: [lines] }) => lines!.push(lines!.at(-1)!))
  await refused('SVS_ARCHIVE_DAMAGED', /out of order/)
  await forged(({ states: [lines] }) => void lines!.reverse())
  await refused('SVS_ARCHIVE_DAMAGED', /begin with its root/)
  await forged(({ contents }) => void contents.pop())
  await refused('SVS_ARCHIVE_DAMAGED', /missing|nobody's/)
  await forged((forgery) => void forgery.put(Buffer.from('stowaway')))
  await refused('SVS_ARCHIVE_DAMAGED', /nobody's/)
  await forged((forgery) => forgery.edit('notes', (entry) => Object.assign(entry, { size: 7 })))
  await refused('SVS_ARCHIVE_DAMAGED', /size|is not what/)
  await forged((forgery) => forgery.edit('notes', (entry) => Object.assign(entry, { more: 1 })))
  await refused('SVS_ARCHIVE_DAMAGED', /a field that nobody knows/)
  await forged(({ states: [lines] }) => void lines!.splice(1, 1, `${lines![1]} `))
  await refused('SVS_ARCHIVE_DAMAGED', /one form/)
  await forged(({ manifest }) => void (manifest.states[0]!.bytes += 1))
  await refused('SVS_ARCHIVE_DAMAGED', /is not what its manifest says/)
  await forged(({ manifest }) => void manifest.states.push(manifest.states[0]!), true)
  await refused('SVS_ARCHIVE_DAMAGED', /twice/)
  await forged(({ manifest }) => void Object.assign(manifest, { surprise: true }))
  await refused('SVS_ARCHIVE_DAMAGED', /must not hold surprise/)
  await forged(({ manifest }) => void Object.assign(manifest, { version: 2 }))
  await refused('SVS_ARCHIVE_NEWER', /format 2/)
  await forged(({ manifest }) => void (manifest.layer.name = '../up'))
  await refused('SVS_ARCHIVE_DAMAGED', /no name/)
})

t.test(
  'contents that refer to themselves, or are not what their name says, are refused',
  async (t) => {
    const { sound, evil, refused } = await sceneOf(t)
    const rewrite = async (
      change: (content: { parts: Record<string, unknown>[] }, id: string) => void,
    ) => {
      const forgery = await Forgery.of(sound)
      forgery.contents = forgery.contents.map((line) => {
        const [scope, id, content] = JSON.parse(line)
        change(content, id)
        return canonical([scope, id, content])
      })
      const needed = new Set(forgery.contents.flatMap((line) => chunksIn(JSON.parse(line)[2])))
      for (const id of forgery.chunks.keys()) if (!needed.has(id)) forgery.chunks.delete(id)
      await forgery.write(evil)
    }
    await rewrite((content, id) => {
      const reference = { source: 'content', content: id, offset: 0, length: 1, digest: '' }
      Object.assign(content, {
        parts: [{ codec: 'zstd', length: 1, chunks: [], references: [reference] }],
      })
    })
    await refused('SVS_ARCHIVE_DAMAGED', /refers to itself/)
    await rewrite(({ parts }) => void Object.assign(parts[0]!, { codec: 'hole', chunks: [] }))
    await refused('SVS_ARCHIVE_DAMAGED')
    await rewrite(({ parts }) => void Object.assign(parts[0]!, { length: 2 ** 40, frame: 2 ** 40 }))
    await refused('SVS_ARCHIVE_DAMAGED')
    await rewrite(({ parts }) => {
      for (const reference of (parts[0]!.references ?? []) as Record<string, unknown>[])
        if (reference.source === 'ro') reference.path = '../../../../etc/passwd'
    })
    await refused('SVS_ARCHIVE_DAMAGED', /is not what it must be/)
  },
)

t.test('what would fill memory when it is unpacked is refused before it is', async (t) => {
  const { sound, evil, refused } = await sceneOf(t)
  const gib = 2 ** 30
  const bombs = [
    { codec: 'zstd', frame: compress(Buffer.alloc(40_000_000)), bytes: 1000 },
    { codec: 'brotli', frame: brotliCompressSync(Buffer.alloc(40_000_000), QUICK), bytes: 1000 },
    { codec: 'zstd', frame: compress(Buffer.alloc(1000)), bytes: 50_000_000 },
    { codec: 'brotli', frame: brotliCompressSync(Buffer.alloc(1000)), bytes: gib },
  ] as const
  for (const { codec, frame, bytes } of bombs) {
    const forgery = await Forgery.of(sound)
    await forgery.write(evil)
    const chunks = [forgery.put(frame)]
    forgery.manifest.chunks[chunks[0]!] = frame.length
    forgery.manifest.contents.pieces = [{ codec, bytes, chunks }]
    await forgery.write(evil, true)
    const before = process.memoryUsage().rss
    await refused('SVS_ARCHIVE_DAMAGED')
    t.ok(process.memoryUsage().rss - before < 35_000_000, 'it took no such memory')
  }
})

/** The same entries, as somebody else's ZIP has them. */
async function zipped(
  sound: string,
  evil: string,
  change: (entries: [string, Buffer][]) => void,
  store = true,
): Promise<void> {
  const forgery = await Forgery.of(sound)
  await forgery.write(evil)
  const entries: [string, Buffer][] = [
    ['manifest.json', forgery.text],
    ['signature', forgery.signature],
    ...[...forgery.chunks].sort().map(([id, bytes]): [string, Buffer] => [`chunks/${id}`, bytes]),
  ]
  change(entries)
  const zip = new ZipArchive({ store, zlib: { level: 9 } })
  const parts: Buffer[] = []
  zip.on('data', (part: Buffer) => parts.push(part))
  for (const [name, bytes] of entries) {
    const written = new Promise<void>((resolve) => zip.once('entry', () => resolve()))
    zip.append(bytes, { name })
    await written
  }
  await zip.finalize()
  writeFileSync(evil, Buffer.concat(parts))
}

t.test(
  'a ZIP with entries twice, missing, strange, compressed, or in another order is refused',
  async (t) => {
    const { sound, evil, refused } = await sceneOf(t)
    await zipped(sound, evil, (entries) => void entries.push(entries.at(-1)!))
    await refused('SVS_ARCHIVE_DAMAGED', /twice/)
    await zipped(sound, evil, (entries) => void entries.pop())
    await refused('SVS_ARCHIVE_DAMAGED', /missing/)
    await zipped(sound, evil, (entries) => void entries.shift())
    await refused('SVS_ARCHIVE_DAMAGED')
    await zipped(
      sound,
      evil,
      (entries) => void entries.push(['../../etc/passwd', Buffer.from('x')]),
    )
    await refused('SVS_ARCHIVE_DAMAGED', /does not belong there/)
    await zipped(
      sound,
      evil,
      (entries) => void entries.push([`chunks/${'a'.repeat(64)}`, Buffer.from('x')]),
    )
    await refused('SVS_ARCHIVE_DAMAGED', /not in its manifest/)
    await zipped(sound, evil, (entries) => void entries.reverse())
    await refused('SVS_ARCHIVE_DAMAGED')
    await zipped(sound, evil, (entries) => void (entries.at(-1)![1] = Buffer.from('other bytes')))
    await refused('SVS_ARCHIVE_DAMAGED', /another length/)
    await zipped(sound, evil, (entries) => {
      const last = entries.at(-1)!
      last[1] = Buffer.alloc(last[1].length)
    })
    await refused('SVS_ARCHIVE_DAMAGED', /altered/)
    await zipped(sound, evil, () => {}, false)
    await refused('SVS_ARCHIVE_DAMAGED', /not stored as it is/)
    const bomb = (entries: [string, Buffer][]) =>
      void entries.push([`chunks/${'b'.repeat(64)}`, Buffer.alloc(1e7)])
    await zipped(sound, evil, bomb, false)
    await refused('SVS_ARCHIVE_DAMAGED')
  },
)

t.test('a file that is cut anywhere, is no ZIP, or is none at all is refused', async (t) => {
  const { sound, evil, refused } = await sceneOf(t)
  const { length } = readFileSync(sound)
  for (const part of [0, 1, 21, 0.1, 0.5, 0.9, 0.99, length - 1]) {
    copyFileSync(sound, evil)
    truncateSync(evil, part < 1 ? Math.floor(length * part) : part)
    await refused('SVS_ARCHIVE_DAMAGED')
  }
  writeFileSync(evil, Buffer.concat([readFileSync(sound), Buffer.from('more')]))
  await refused('SVS_ARCHIVE_DAMAGED')
  writeFileSync(evil, 'PK but no more')
  await refused('SVS_ARCHIVE_DAMAGED')
  await t.rejects(importInto((await sceneOf(t)).there, '/dev/null'), {
    code: 'SVS_SOURCE_NOT_FOUND',
  })
})

/** Changes bytes at random: some flipped, some copied, a stretch taken out or put in. */
function mutated(bytes: Buffer, random: (below: number) => number): Buffer {
  const made = Buffer.from(bytes)
  for (let count = 1 + random(3); count > 0; count--) {
    const at = random(made.length)
    switch (random(6)) {
      case 0:
        made[at]! ^= 1 << random(8)
        break
      case 1:
        made[at] = random(256)
        break
      case 2:
        made.writeUInt32LE(random(2) * 0xffff_ffff, Math.min(at, made.length - 4))
        break
      case 3:
        made.copy(made, at, random(made.length), random(made.length))
        break
      case 4:
        return Buffer.concat([made.subarray(0, at), made.subarray(at + random(50))])
      default:
        return Buffer.concat([
          made.subarray(0, at),
          randomBytes(random, random(50)),
          made.subarray(at),
        ])
    }
  }
  return made
}

const CODES = /^SVS_(ARCHIVE_(DAMAGED|NEWER|ESCAPES|DEVICE|GAP)|SIGNATURE_INVALID|RO_CHANGED)$/

t.test(
  `${rounds} archives with random bytes changed are refused by name, or are the same archive (seed ${seed})`,
  async (t) => {
    const { there, sound, evil } = await sceneOf(t)
    const random = randomOf(seed)
    const bytes = readFileSync(sound)
    const [whole] = await importInto(there, sound)
    const before = JSON.stringify(await keysOf(there))
    const odd: string[] = []
    for (let round = 0; round < rounds; round++) {
      writeFileSync(evil, mutated(bytes, random))
      try {
        const [state] = await importInto(there, evil)
        // Dates, say, or who made it: what decides nothing.
        if (state!.fresh || state!.snapshot.id !== whole!.snapshot.id)
          odd.push(`round ${round}: another state`)
      } catch (err) {
        if (!(err instanceof Failure && CODES.test(err.code)))
          odd.push(`round ${round}: ${(err as Error).stack}`)
      }
      if (round % 100 === 0 && JSON.stringify(await keysOf(there)) !== before)
        odd.push(`round ${round}: the catalogue changed`)
      if (odd.length > 3) break
    }
    t.equal(JSON.stringify(await keysOf(there)), before)
    t.same(odd, [])
  },
)

/** The chunks of a content. */
function chunksIn({ parts }: { parts: { chunks?: string[] }[] }): string[] {
  return parts.flatMap(({ chunks = [] }) => chunks)
}

/** Another value of the same kind, or of none. */
function twisted(value: unknown, random: (below: number) => number): unknown {
  const strange = [
    0,
    1,
    -1,
    2 ** 53,
    1.5,
    '',
    '..',
    '/',
    'a\0b',
    null,
    true,
    [],
    {},
    'é\x80',
    'x'.repeat(5000),
  ]
  if (random(3) === 0) return strange[random(strange.length)]
  if (typeof value === 'number') return value + [1, -1, 4096, 2 ** 32][random(4)]!
  if (typeof value === 'string')
    return value === ''
      ? 'x'
      : value.slice(0, random(value.length)) + value.slice(random(value.length))
  if (Array.isArray(value) && value.length > 0) {
    const at = random(value.length)
    if (random(4) === 0) return [...value, value[at]]
    return value.map((one, index) => (index === at ? twisted(one, random) : one))
  }
  if (typeof value !== 'object' || value === null) return strange[random(strange.length)]
  const fields = Object.entries(value)
  if (fields.length === 0) return { x: 1 }
  const at = random(fields.length)
  if (random(5) === 0) return Object.fromEntries(fields.filter((_, index) => index !== at))
  return Object.fromEntries(
    fields.map(([name, one], index) => [name, index === at ? twisted(one, random) : one]),
  )
}

t.test(
  'archives whose meaning is changed at random, with digests that fit, are refused by name or make a state that can be made',
  async (t) => {
    const { there, sound, evil } = await sceneOf(t)
    const random = randomOf(seed + 1)
    const odd: string[] = []
    let made = 0
    const original = await Forgery.of(sound)
    for (let round = 0; round < rounds / 20; round++) {
      const forgery = original.copy()
      const lines = random(2) === 0 ? forgery.states[0]! : forgery.contents
      const at = random(lines.length)
      if (random(4) === 0) Object.assign(forgery.manifest, twisted(forgery.manifest, random))
      else lines[at] = canonical(twisted(JSON.parse(lines[at]!), random))
      const before = JSON.stringify(await keysOf(there))
      try {
        await forgery.write(evil, false)
      } catch {
        // A manifest that cannot even be written.
        continue
      }
      try {
        const imported = await importInto(there, evil)
        made += 1
        for (const { snapshot } of imported) {
          const { catalogue, dirs } = there
          const rw = placeOf(t)
          await buildState({ catalogue, snapshot, ro: dirs.ro, rw, numbers: null })
        }
        await there.catalogue.deleteSnapshots(imported.map(({ snapshot }) => snapshot))
      } catch (err) {
        if (!(err instanceof Failure && CODES.test(err.code)))
          odd.push(`round ${round}: ${(err as Error).stack}`)
        if (JSON.stringify(await keysOf(there)) !== before)
          odd.push(`round ${round}: the catalogue changed`)
      }
      if (odd.length > 3) break
    }
    t.same(odd, [])
    t.ok(made < rounds / 20, 'some were refused')
  },
)
