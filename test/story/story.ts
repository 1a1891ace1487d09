// The story that svsfs exists for, told once for any application: installed as a layer, used,
// snapshotted, wrecked, put back, rolled forward, sent to another store, switched off.
//
//   create ─ mount ─ work ─ SNAPSHOT ─ work ─ SNAPSHOT ─ wreck ─ RESTORE ─ look ─ RESTORE ─ look ─ off
//                           first              second             first          second
//                             └──────── EXPORT ──┴─▶ another store: create ─ IMPORT ─ look
//
// Rule: every claim that a step prints has been checked before it is printed.

import assert from 'node:assert/strict'
import { lstatSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { mountType } from '../runner/mounts.ts'
import type { Svsfs } from './svsfs.ts'

/** An application that the story can be told with. */
export interface Application {
  readonly layer: string
  /** The words after `svsfs layer create`. */
  readonly create: readonly string[]
  /** Recipes of other layers that it needs beside its own. */
  readonly recipes: readonly string[]
  /** A file that its work makes or changes, as a path from the root. */
  readonly data: string
  /** What only the layers have, as a path from the root; null where the base's own programs do the work. */
  readonly program: string | null
  /** Works with its data and leaves `value` there. Returns the value that it found. */
  work(value: string): Promise<string>
  /** The value that the application itself finds now. */
  look(): Promise<string>
  /** Damages its data. Returns what was done, in words. */
  wreck(): Promise<string>
  /** Throws where the data is damaged. Returns what was looked at, in words. */
  check(): Promise<string>
}

/** Where a story takes place. All of it is thrown away afterwards by who made it. */
export interface Stage {
  readonly svsfs: Svsfs
  /** The store of a machine that has none of it yet. */
  readonly elsewhere: Svsfs
  /** An empty directory for what goes from one to the other. */
  readonly post: string
  readonly mountPoint: string
  readonly base: string
  /** Called at the end of each step with what it did and what that proves. */
  readonly step: (title: string, facts: readonly string[], proves: string) => void
}

/** What an application says when it finds no value. */
export const NOTHING = 'nothing'

/** The texts of the two snapshots. */
const FIRST = 'after the first visit'
const SECOND = 'after the second visit'

/** `make` gives the application as it is in a store. */
export async function tell(stage: Stage, make: (svsfs: Svsfs) => Application): Promise<void> {
  const app = make(stage.svsfs)
  await create(stage, app)
  await mount(stage, app)
  const values = { first: `first-${process.pid}`, second: `second-${Date.now()}` }
  await firstVisit(stage, app, values.first)
  const first = await firstSnapshot(stage, app)
  const second = await secondVisit(stage, app, values)
  await wreck(stage, app)
  await restore(stage, app, first, values.first, 'puts the first state back')
  await restore(stage, app, second, values.second, 'rolls forward to the second state')
  await send(stage, make(stage.elsewhere), { first, second }, values.second)
  await deactivate(stage, app)
  await unmount(stage, app)
}

async function create({ svsfs, base, step }: Stage, app: Application): Promise<void> {
  const facts = [`svsfs layer create ${app.layer} ${app.create.join(' ')}`]
  if (app.program !== null) facts.push(whereProgramIs(base, app.program))
  for (const recipe of app.recipes) {
    facts.push(`svsfs layer create ${recipe} --recipe ${recipe}`)
    await svsfs.ask('layer', 'create', recipe, '--recipe', recipe)
  }
  await svsfs.ask('layer', 'create', app.layer, ...app.create)
  step(
    `makes a store and, in it, the layer ${app.layer}`,
    facts,
    app.program === null
      ? 'what is to be kept becomes a layer by one command'
      : 'an application needs no installation on the machine',
  )
}

function whereProgramIs(base: string, program: string): string {
  if (exists(join(base, program)))
    return `this base has a /${program} of its own; the layer hides it`
  return `there is no /${program} in ${base}`
}

async function mount({ svsfs, mountPoint, base, step }: Stage, app: Application): Promise<void> {
  await svsfs.ask('activate', ...app.recipes, app.layer)
  await svsfs.ask('mount', mountPoint, '--base', base)
  assert.equal(mountType(mountPoint), 'fuse.svsfs')
  const facts = [`svsfs mount ${mountPoint} --base ${base}`]
  if (app.program !== null) {
    const shown = join(mountPoint, app.program)
    assert.ok(exists(shown), `the view lacks ${app.program}`)
    const provider = app.recipes[0] ?? app.layer
    const which = JSON.stringify(await svsfs.ask('which', shown))
    assert.ok(which.includes(`"${provider}"`), `another provides ${app.program}: ${which}`)
    facts.push(
      `/${app.program} is in the view; svsfs which says that layer ${provider} provides it`,
    )
  }
  step('mounts base and layer as one view', facts, 'the layer shows, the base stays as it is')
}

async function firstVisit(stage: Stage, app: Application, value: string): Promise<void> {
  const worked = await work(app, value, NOTHING)
  const { rw } = await placesOf(stage.svsfs, app.layer)
  assert.ok(exists(join(rw, app.data)), `${app.data} lies in the writable sublayer`)
  assert.ok(!exists(join('/', app.data)), `${app.data} lies on this machine`)
  stage.step(
    `runs ${app.layer} from its layer, and leaves a value`,
    [...worked, `/${app.data} lies in the layer's writable sublayer, and not on this machine`],
    'it runs with the view as its root, and what it writes lands in its layer',
  )
}

async function firstSnapshot(stage: Stage, app: Application): Promise<string> {
  const { id, facts } = await snapshot(stage, app, FIRST)
  stage.step(`takes a snapshot`, facts, 'a state of the whole application is one command')
  return id
}

async function secondVisit(
  stage: Stage,
  app: Application,
  values: { first: string; second: string },
): Promise<string> {
  const worked = await work(app, values.second, values.first)
  const { id, facts } = await snapshot(stage, app, SECOND)
  stage.step(
    'runs it again, leaves another value, takes a second snapshot',
    [...worked, ...facts],
    'it found what it had left, and states are kept side by side',
  )
  return id
}

/** Leaves `value` in the application, which must find `before`. Returns what happened, in words. */
async function work(app: Application, value: string, before: string): Promise<string[]> {
  assert.equal(await app.work(value), before)
  return [`it found "${before}" and left "${value}"`, await app.check()]
}

async function snapshot({ svsfs }: Stage, app: Application, text: string) {
  const began = Date.now()
  const id = (await svsfs.ask('snapshot', app.layer, '-m', text)) as unknown
  const took = Date.now() - began
  const state = stateId(id)
  const listed = JSON.stringify(await svsfs.ask('snapshots', app.layer))
  assert.ok(listed.includes(text), 'the list of states shows it')
  return {
    id: state,
    facts: [`svsfs snapshot ${app.layer} -m "${text}": state ${state}, ${took} ms`],
  }
}

function stateId(data: unknown): string {
  const id = (data as { id?: unknown } | null)?.id
  assert.ok(typeof id === 'string' || typeof id === 'number', 'a snapshot says its id')
  return String(id)
}

async function wreck(stage: Stage, app: Application): Promise<void> {
  const done = await app.wreck()
  await assert.rejects(app.check(), 'what was wrecked looks whole')
  stage.step('wrecks its data', [done], 'the damage is real: the same check now fails')
}

async function restore(stage: Stage, app: Application, id: string, value: string, title: string) {
  const began = Date.now()
  await stage.svsfs.ask('restore', app.layer, id, '--force')
  const took = Date.now() - began
  const checked = await app.check()
  assert.equal(await app.look(), value)
  stage.step(
    title,
    [`svsfs restore ${app.layer} ${id}: ${took} ms`, `${app.layer} finds "${value}"`, checked],
    'the state is back, live and under the mount, as the application itself reports it',
  )
}

async function send(
  { svsfs, elsewhere, post, step }: Stage,
  there: Application,
  { first, second }: { first: string; second: string },
  value: string,
): Promise<void> {
  const [whole, change] = [join(post, 'first.vpa'), join(post, 'first-to-second.vpa')]
  const key = (await svsfs.ask('key', 'create', 'story')) as { text: string }
  await svsfs.ask('export', there.layer, first, '-o', whole)
  await svsfs.ask('export', there.layer, second, '--from', first, '-o', change)
  await elsewhere.ask('key', 'trust', key.text)
  for (const recipe of there.recipes)
    await elsewhere.ask('layer', 'create', recipe, '--recipe', recipe)
  await elsewhere.ask('layer', 'create', there.layer, ...there.create)
  await elsewhere.ask('import', whole, change, '--restore')
  await elsewhere.ask('activate', ...there.recipes, there.layer)
  assert.equal(await there.look(), value)
  step(
    'sends both states to another store, the second as what it has over the first',
    [
      `svsfs export ${there.layer} ${first}: ${kilobytes(whole)}`,
      `svsfs export ${there.layer} ${second} --from ${first}: ${kilobytes(change)}`,
      `svsfs import there; ${there.layer} finds "${value}"`,
      await there.check(),
    ],
    'a signed file of little more than the change takes a state to another machine',
  )
}

const kilobytes = (file: string): string => `${Math.ceil(statSync(file).size / 1000)} kB`

async function deactivate({ svsfs, mountPoint, base, step }: Stage, app: Application) {
  const own = (await pathsOf(svsfs, app.layer)).filter((path) => !exists(join(base, path)))
  const before = own.filter((path) => exists(join(mountPoint, path)))
  assert.ok(before.length > 0, 'the layer showed something')
  await svsfs.ask('deactivate', app.layer)
  const left = own.filter((path) => exists(join(mountPoint, path)))
  assert.deepEqual(left.slice(0, 5), [], 'paths of the layer are left in the view')
  step(
    `deactivates ${app.layer}`,
    [`${before.length} of its paths were in the view, 0 are now`],
    'a layer that is switched off leaves no trace, without a remount',
  )
}

async function unmount({ svsfs, mountPoint, step }: Stage, app: Application): Promise<void> {
  await svsfs.ask('umount', mountPoint)
  assert.notEqual(mountType(mountPoint), 'fuse.svsfs')
  assert.deepEqual(readdirSync(mountPoint), [])
  const kept = JSON.stringify(await svsfs.ask('snapshots', app.layer))
  assert.ok(kept.includes(SECOND), 'the states outlive the daemon')
  step('unmounts', [`${mountPoint} is an empty directory again`], 'the states outlive the daemon')
}

/** The paths in both sublayers of a layer, relative to the root of a view. */
async function pathsOf(svsfs: Svsfs, layer: string): Promise<string[]> {
  const { ro, rw } = await placesOf(svsfs, layer)
  const found = new Set<string>()
  for (const tree of [ro, rw]) collect(tree, '', found)
  return [...found]
}

async function placesOf(svsfs: Svsfs, layer: string): Promise<{ ro: string; rw: string }> {
  const shown = await svsfs.ask('layer', 'show', layer)
  return (shown as { places: { ro: string; rw: string } }).places
}

function collect(tree: string, path: string, found: Set<string>): void {
  if (!lstatSync(join(tree, path)).isDirectory()) return
  for (const entry of readdirSync(join(tree, path), { withFileTypes: true })) {
    const child = path === '' ? entry.name : `${path}/${entry.name}`
    // A character device here is a whiteout: nothing that shows.
    if (!entry.isCharacterDevice()) found.add(child)
    if (entry.isDirectory()) collect(tree, child, found)
  }
}

export function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}
