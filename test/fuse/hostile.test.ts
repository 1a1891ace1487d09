// Requests that no kernel sends, to a session over a filesystem in memory and over a union of
// three layers. First every mistake in every operation, one by one; then sequences of requests,
// right and wrong, that are drawn. The seed is in the title; SEED and CASES in the environment
// repeat a run, or make it longer.

import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import type { FileSystem, Job, NodeId } from '../../lib/fuse/filesystem.ts'
import { S } from '../../lib/host/sys.ts'
import type { View } from '../../lib/union/view.ts'
import { RealPlace } from '../behaviour/real-place.ts'
import { compareTrees, type Seen, seeTree } from '../behaviour/walk.ts'
import { CALLER, Layers, type Seen as SeenView } from '../union/view-of.ts'
import { CANARY, Client } from './client.ts'
import { MemoryFileSystem } from './memory-filesystem.ts'
import { CODE, NAMES, pick, type Roll, seedOf } from './messages.ts'
import { anyMutation, type Case, dice, everyMutation } from './mutate.ts'
import { fields } from './wire.ts'

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
const drawn = Number(process.env.CASES ?? 15_000)
const MOST_HEAP = 48 * 2 ** 20

const newJob = (id: number): Job => ({
  kind: 'copy',
  from: -1,
  to: -1,
  size: 0,
  flush: false,
  id,
  error: 0,
  done: false,
})

/** Everything in turn, each operation with each mistake; then `count` requests that are drawn. */
function* cases(client: Client, roll: Roll, count: number): Generator<Case> {
  let unique = 1n << 20n
  const next = () => {
    unique += 2n
    return unique
  }
  for (const name of NAMES) {
    for (const one of everyMutation(seedOf(name, client.known, roll, next()))) {
      if (one.bytes.length >= 16) one.bytes.writeBigUInt64LE(next(), 8)
      yield one
    }
  }
  for (let left = count; left > 0; left--) {
    const message = seedOf(pick(NAMES, roll), client.known, roll, next())
    yield anyMutation(message, client.known, roll)
  }
}

/** A device made here may be one of the machine's: only the harmless ones. */
function withoutDevices(one: Case): Case {
  const { bytes } = one
  if (bytes.length < 48 || bytes.readUInt32LE(4) !== CODE.mknod) return one
  const type = bytes.readUInt32LE(40) & S.IFMT
  if (type === S.IFBLK) bytes.writeUInt32LE(S.IFIFO | 0o644, 40)
  if (type === S.IFCHR && bytes.readUInt32LE(44) !== 0) bytes.writeUInt32LE(0x103, 44)
  return one
}

/** One of each kind: numbers make no difference. */
function kinds(faults: readonly string[]): string[] {
  return [...new Map(faults.map((fault) => [fault.replace(/\d+/g, 'N'), fault])).values()]
}

function heap(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  return process.memoryUsage().heapUsed
}

function inMemory(): MemoryFileSystem {
  const fs = new MemoryFileSystem()
  // Sizes of gigabytes are the filesystem's affair, and this one is made of memory.
  fs.setattr = (_caller, node) => ({ attr: fs.nodes.get(node)?.attr ?? fs.root.attr, attrValid: 0 })
  fs.write = (_caller, _node, { data }) => data.length
  fs.fallocate = () => {}
  fs.copyFileRange = () => 0
  return fs
}

/** One whole run against the filesystem in memory, which is the same for the same seed. */
function attackMemory(count: number, behind: Buffer, poison: number): Client {
  const roll = dice(seed)
  const fs = inMemory()
  const names = ['a', 'b', 'etc', 'made']
  const client = new Client(fs, roll, { behind, poison, keep: true, names })
  let jobs = 0
  for (const one of cases(client, roll, count)) {
    if (roll(50) === 0) fs.park.set(pick(['open', 'rename', 'setattr'], roll), newJob(++jobs))
    if (roll(20) === 0) client.finishOne()
    client.send(one)
    fs.calls.length = 0
  }
  fs.park.clear()
  client.finish()
  return client
}

// What may lie behind a message: nothing, another's text, the number of a node that others wait for.
const BEHIND = [Buffer.alloc(1), Buffer.from(`${CANARY}\0\x01`.repeat(20)), fields(1n)]

t.test(`no request crashes the session, or reads what lies behind it (SEED=${seed})`, (t) => {
  const before = heap()
  let first: readonly string[] | null = null
  for (const [poison, behind] of BEHIND.entries()) {
    const { told, sent, faults } = attackMemory(drawn, behind, poison)
    t.same(kinds(faults), [])
    t.ok(sent > drawn + 9000, `${sent} requests`)
    first ??= told
    const differs = first.findIndex((line, at) => line !== told[at])
    t.equal(differs, -1, `answer ${differs}: ${first[differs]} became ${told[differs]}`)
    t.equal(told.length, first.length)
  }
  first = null
  const grown = heap() - before
  t.ok(grown < MOST_HEAP, `${Math.round(grown / 2 ** 20)} MiB more than before`)
  t.end()
})

/** Three layers over a base, with what earlier changes leave: whiteouts, redirects, copies. */
async function ground(): Promise<{ layers: Layers; fs: FileSystem; view: SeenView }> {
  const layers = new Layers()
  const beside = join(layers.dir, 'beside')
  mkdirSync(beside)
  writeFileSync(join(beside, 'sentinel'), 'nobody writes here')
  layers.base = join(layers.dir, 'base')
  const drawing = { 'etc/a': 'one', 'etc/deep/b': 'two', 'lib/c': 'x'.repeat(20_000), d: 'three' }
  mkdirSync(layers.base)
  await layers.add({ name: 'top', ro: { 'etc/top': 'top', 'only/here': 'x' } })
  await layers.add({ name: 'mid', ro: { ...drawing, 'mid/dir/file': 'mid' } })
  await layers.add({
    name: 'low',
    ro: { 'low/dir/file': 'low', d: 'hidden', big: 'b'.repeat(3 << 20) },
  })
  for (const [path, text] of Object.entries({ 'base/file': 'base', 'etc/a': 'base' })) {
    mkdirSync(join(layers.base, path, '..'), { recursive: true })
    writeFileSync(join(layers.base, path), text)
  }
  const all = ['top', 'mid', 'low']
  const before = layers.view(all)
  leaveTraces(before)
  before.view.destroy()
  const view = layers.view(all)
  return { layers, view, fs: withoutHugeFiles(view.view) }
}

function leaveTraces(view: SeenView): void {
  view.unlink('etc/a')
  view.rename('mid/dir', 'moved')
  view.chmod('lib/c', 0o600)
  view.unlink('low/dir/file')
  view.rmdir('low/dir')
  view.mkdir('low/dir')
}

// Room on the disk is everybody's: what the disk would grant is asked for in small.
function withoutHugeFiles(view: View): FileSystem {
  const allocate = view.fallocate.bind(view)
  view.fallocate = (caller, node, request) => {
    const granted = request.length > 2 ** 20 && request.length < 2 ** 50
    allocate(caller, node, granted ? { ...request, length: 2 ** 20 } : request)
  }
  return view
}

/** What no request may change: all but the writable sublayers. */
function untouchable({ dir }: Layers): Map<string, Seen> {
  const seen = new Map<string, Seen>()
  for (const part of ['beside', 'base', 'top/ro', 'mid/ro', 'low/ro']) {
    const place = new RealPlace(join(dir, part))
    for (const [path, one] of seeTree(place)) seen.set(`${part}/${path}`, one)
    place.close()
  }
  return seen
}

const open = (): number => readdirSync('/proc/self/fd').length

t.test(`nor a view of three layers, and nothing leaves its stack (SEED=${seed})`, async (t) => {
  const [before, descriptors] = [heap(), open()]
  const roll = dice(seed)
  const { layers, view, fs } = await ground()
  t.teardown(() => layers.close())
  const umask = process.umask()
  const untouched = untouchable(layers)
  const around = readdirSync(layers.dir).sort()
  const names = ['etc', 'a', 'deep', 'lib', 'c', 'd', 'moved', 'low', 'dir', 'big', 'new', 'base']
  const client = new Client(fs, roll, { names })
  for (const one of cases(client, roll, drawn)) {
    if (roll(10) === 0) client.finishOne()
    client.send(withoutDevices(one))
    view.told.length = 0
  }
  client.finish()
  process.umask(umask)
  t.same(kinds(client.faults), [])
  t.ok(client.sent > drawn + 9000, `${client.sent} requests`)
  t.same(compareTrees(untouched, untouchable(layers)), [])
  t.same(readdirSync(layers.dir).sort(), around)
  t.throws(() => view.view.getattr(CALLER, 0 as NodeId, null), { code: 'ESTALE' })
  t.same(view.view.counts, { nodes: 1, handles: 0 }, 'the root alone is known')
  view.chmod('', 0o755)
  view.write('afterwards', 'it works')
  t.equal(view.read('afterwards'), 'it works')
  view.view.destroy()
  t.equal(open(), descriptors, 'no descriptor is left')
  const grown = heap() - before
  t.ok(grown < MOST_HEAP, `${Math.round(grown / 2 ** 20)} MiB more than before`)
})
