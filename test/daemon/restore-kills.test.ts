// Restores that are killed at any instant, some of them beside states that are taken, forgotten and
// deleted, and garbage that is removed: the layer is what it was, or what it was to become, and what was
// acknowledged is so.
//
//   SEED=7 ROUNDS=500 node dist/test/daemon/restore-kills.test.js     a longer run
//
// Rule: where the process was is not known beforehand; what is found afterwards must be one of two
// trees exactly, with nothing left over, and every chunk in its place.

import { fork } from 'node:child_process'
import {
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { perform } from '../../lib/daemon/api.ts'
import { type Control, openControl } from '../../lib/daemon/control.ts'
import { layerPlaces } from '../../lib/daemon/store-path.ts'
import type { LayerRecord } from '../../lib/snapshot/records.ts'
import { describeTree, randomBytes, randomOf } from '../snapshot/fixture.ts'

const ROUNDS = Number(process.env.ROUNDS ?? 26)
const SEED = Number(process.env.SEED ?? 20261)
const VICTIM = join(dirname(fileURLToPath(import.meta.url)), 'restore-victim.js')
t.setTimeout(3_600_000)

const random = randomOf(SEED)
const call = { progress: () => {}, whenGone: () => {} }

const LARGE = 9 * 1024 * 1024

/** A file of which a restore writes the pages alone that differ. */
function fillLarge(path: string, turn: number): void {
  if (turn === 0) writeFileSync(path, randomBytes(random, LARGE))
  const fd = openSync(path, 'r+')
  for (let page = 0; page < 200; page++)
    writeSync(fd, randomBytes(random, 4096), 0, 4096, 4096 * random(LARGE / 4096))
  closeSync(fd)
  if (turn === 2) truncateSync(path, LARGE - 5)
}

/** A tree of the layer with all sorts of things in it, another for each `turn`. */
function fill(rw: string, turn: number): void {
  for (let dir = 0; dir < 5; dir++) {
    const at = join(rw, 'd', String(dir))
    mkdirSync(at, { recursive: true })
    for (let file = 0; file < 6; file++) {
      if ((dir + file) % 3 !== turn % 3)
        writeFileSync(join(at, `f${file}`), randomBytes(random, 400 + 4 * random(300)))
    }
    rmSync(join(at, 'link'), { force: true })
    symlinkSync(`turn ${turn}`, join(at, 'link'))
  }
  fillLarge(join(rw, 'large'), turn)
  const kinds = join(rw, 'kind')
  rmSync(kinds, { recursive: true, force: true })
  if (turn % 2 === 0) writeFileSync(kinds, 'a file')
  else mkdirSync(join(kinds, 'inside'), { recursive: true })
  writeFileSync(join(rw, 'top'), `turn ${turn}`)
  rmSync(join(rw, 'same'), { force: true })
  linkSync(join(rw, turn % 2 === 0 ? 'top' : 'd/1/f0'), join(rw, 'same'))
  const [from, to] = turn % 2 === 0 ? ['d/4', 'moved'] : ['moved', 'd/4']
  if (existsSync(join(rw, from)) && !existsSync(join(rw, to)))
    renameSync(join(rw, from), join(rw, to))
}

interface Ground {
  readonly root: string
  readonly states: readonly string[]
  /** About as long as a restore takes here, in milliseconds. */
  readonly usual: number
}

const open = (root: string): Promise<Control> => openControl({ root, doing: 'test', create: true })

async function groundOf(dir: string): Promise<Ground> {
  const root = join(dir, 'store')
  const control = await open(root)
  try {
    const create = { layer: 'app', source: { kind: 'empty' } }
    await perform(control, 'layer.create', create, call)
    const record = await control.layer('app')
    const states: string[] = []
    for (let turn = 0; turn < 3; turn++) {
      fill(layerPlaces(control.store.places, record.id).rw(record.rw), turn)
      const taken = (await perform(control, 'snapshot', { layer: 'app' }, call)) as { id: string }
      states.push(taken.id)
      const pin = { layer: 'app', state: taken.id, pinned: true }
      await perform(control, 'state.pin', pin, call)
    }
    const begun = performance.now()
    await perform(control, 'restore', { layer: 'app', state: states[0] }, call)
    return { root, states, usual: performance.now() - begun }
  } finally {
    await control.close()
  }
}

/** All that the layer holds: each writable sublayer by its name. Times of access do not count. */
function picture(control: Control, record: LayerRecord): Record<string, string[]> {
  const { rw } = layerPlaces(control.store.places, record.id)
  const all = [
    { name: 'current', rw: record.rw },
    ...(record.sublayers ?? []).map((one) => ({ name: one.name, rw: one.rw })),
  ]
  return Object.fromEntries(all.map((one) => [one.name, describeTree(rw(one.rw))]))
}

/** What victims were told of states: acknowledged ones, and those that are deleted. */
interface Told {
  readonly kept: Set<string>
  readonly gone: Set<string>
}

function hear({ kept, gone }: Told, word: Record<string, string>): void {
  if (word.taken !== undefined) kept.add(word.taken)
  if (word.deleting !== undefined) kept.delete(word.deleting)
  if (word.deleted !== undefined) gone.add(word.deleted)
}

async function mustHoldStates(
  t: Test,
  control: Control,
  { kept, gone }: Told,
  { states }: Ground,
  say: string,
): Promise<void> {
  const lines = (await perform(control, 'snapshots', { layer: 'app' }, call)) as { id: string }[]
  const there = new Set(lines.map(({ id }) => id))
  t.same(
    [...states, ...kept].filter((id) => !there.has(id)),
    [],
    `${say}: what was acknowledged is there`,
  )
  t.same(
    [...gone].filter((id) => there.has(id)),
    [],
    `${say}: what was deleted is gone`,
  )
  const { faults } = (await perform(control, 'verify', {}, call)) as { faults: unknown[] }
  t.same(faults, [], say)
}

/** Lets the victim begin, and ends it after a while. False where it was done before. */
function killed(
  words: readonly string[],
  after: 'begin' | 'planned',
  delay: number,
  told: Told,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const victim = fork(VICTIM, words, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    let finished = false
    victim.on('message', (word) => {
      if (word === 'done') finished = true
      if (typeof word === 'object') hear(told, word as Record<string, string>)
      if (word === after) setTimeout(() => victim.kill('SIGKILL'), delay)
    })
    victim.on('error', reject)
    victim.on('exit', (code, signal) => {
      if (code !== 0 && signal === null) reject(new Error(`${words.join(' ')}: status ${code}`))
      else resolve(!finished)
    })
  })
}

const ACTS = ['whole', 'parts', 'upkeep', 'as', 'undo', 'upkeep', 'reset', 'whole'] as const

t.test(
  `killed at any instant, a layer is what it was or was to become (seed ${SEED})`,
  async (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'svsfs-kills-'))
    t.teardown(() => rmSync(dir, { recursive: true, force: true }))
    const ground = await groundOf(dir)
    let broken = 0
    const told: Told = { kept: new Set(), gone: new Set() }
    let control = await open(ground.root)
    try {
      for (let round = 0; round < ROUNDS; round++) {
        const act = ACTS[round % ACTS.length]!
        const state = ground.states[random(3)]!
        const say = `round ${round}: ${act} ${state}`
        const was = await pictureBefore(control, act)
        await control.close()
        const after = act === 'as' || act === 'reset' || random(3) === 0 ? 'begin' : 'planned'
        const delay = random(after === 'begin' ? 20 + 2 * ground.usual : 12)
        const [gone = ''] = told.kept
        if (await killed([ground.root, act, state, gone], after, delay, told)) broken += 1
        control = await open(ground.root)
        const now = await control.layer('app')
        const found = picture(control, now)
        t.same(await control.catalogue.plans(), [], say)
        t.same(readdirSync(layerPlaces(control.store.places, now.id).work), [], say)
        if (act === 'upkeep') await mustHoldStates(t, control, told, ground, say)
        if (!isSame(found, was)) await mustBecome(t, control, { act, state, was, found, say })
      }
      t.ok(broken > ROUNDS / 4, `${broken} of ${ROUNDS} were killed on the way`)
      await mustBeWhole(t, control, ground)
    } finally {
      await control.close()
    }
  },
)

// What the act needs, too: something to undo, a name that is free.
async function pictureBefore(control: Control, act: string): Promise<Record<string, string[]>> {
  const layer = 'app'
  const record = await control.layer(layer)
  if (act === 'as' && record.sublayers?.length)
    await perform(control, 'sublayer.delete', { layer, sublayer: 'x' }, call)
  if (act === 'undo') await perform(control, 'reset', { layer }, call)
  return picture(control, await control.layer(layer))
}

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

interface Outcome {
  readonly act: string
  readonly state: string
  readonly was: Record<string, string[]>
  readonly found: Record<string, string[]>
  readonly say: string
}

// Doing the act again from here must change nothing any more: it had been done wholly.
async function mustBecome(
  t: Test,
  control: Control,
  { act, state, was, found, say }: Outcome,
): Promise<void> {
  const layer = 'app'
  if (act === 'as') {
    t.same(found.current, was.current, say)
    t.same(Object.keys(found).sort(), ['current', 'x'], say)
    const plan = { layer, state }
    await perform(control, 'sublayer.switch', { layer, sublayer: 'x' }, call)
    await mustNeedNothing(t, control, plan, say)
    await perform(control, 'sublayer.switch', { layer, sublayer: 'main' }, call)
  } else if (act === 'upkeep') await mustNeedNothing(t, control, { layer, state }, say)
  else if (act === 'reset') t.equal(found.current?.length, 1, say)
  else if (act === 'whole') await mustNeedNothing(t, control, { layer, state }, say)
  else if (act === 'undo') t.ok((found.current?.length ?? 0) > 1, say)
  else if (act === 'parts') {
    await mustNeedNothing(t, control, { layer, state, paths: ['d/3', 'top'] }, say)
    const outside = (lines: readonly string[] = []) =>
      lines.filter((line) => !/^\["(d\/3[/"]|d"|"|top"|same")/.test(line))
    t.same(outside(found.current), outside(was.current), say)
  }
}

async function mustNeedNothing(
  t: Test,
  control: Control,
  { layer, state, paths }: { layer: string; state: string; paths?: string[] },
  say: string,
): Promise<void> {
  const wanted = { layer, state, ...(paths === undefined ? {} : { paths }) }
  const { write, remove } = (await perform(control, 'restore.plan', wanted, call)) as {
    write: unknown[]
    remove: unknown[]
  }
  t.same({ write, remove }, { write: [], remove: [] }, say)
}

async function mustBeWhole(t: Test, control: Control, { states }: Ground): Promise<void> {
  const verified = (await perform(control, 'verify', {}, call)) as { faults: unknown[] }
  t.same(verified.faults, [])
  for (const state of states) await perform(control, 'restore', { layer: 'app', state }, call)
}
