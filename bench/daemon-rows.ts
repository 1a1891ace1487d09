// What only svsfs has, and what a daemon costs: activation, a store's layers, memory, many mounts.
//
//   name of a measure ─▶ values by subject, one a try
//
// Rule: stores are made with the command line, as a user makes them, in the directory of the run;
// what it waits for is what a program sees in the mount.

import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from '../lib/daemon/client.ts'
import { storePlaces } from '../lib/daemon/store-path.ts'
import { footprint, idleTimeOf, makeEmptyFiles } from './footprint.ts'
import { makeGround } from './ground.ts'
import { daemonsOf, ended, memoryOf, processorTimeOf, run } from './processes.ts'
import type { Measured, Values } from './results.ts'
import { make } from './rows/row.ts'
import {
  FUSE_OVERLAYFS,
  KERNEL,
  mount,
  type Subject,
  subjectsOf,
  svsfsCommand,
  unmount,
} from './subjects.ts'

export interface Measure {
  readonly what: string
  readonly unit: string
  /** Takes minutes: only with --full. */
  readonly full?: true
  run(ground: MeasureGround): Promise<Values>
}

export interface MeasureGround {
  readonly home: string
  /** Files of a layer that is looked through. */
  readonly files: number
}

const TRIES = 5
const OURS = 'svsfs'

/** A store of its own, with a mount point; its daemon is named by it. */
class Store {
  readonly dir: string
  readonly mount: string

  constructor(home: string, name: string) {
    this.dir = join(home, name)
    this.mount = join(home, `${name}-mount`)
    mkdirSync(this.mount)
  }

  ask(...words: string[]): Promise<string> {
    return run(svsfsCommand(...words, '--store', this.dir), { place: this.dir, longest: 900_000 })
  }

  async layer(name: string, from: string): Promise<void> {
    await this.ask('layer', 'create', name, '--from', from)
    await run(['rm', '-rf', from])
  }

  daemons(): number[] {
    return daemonsOf(this.dir)
  }

  async close(): Promise<void> {
    const daemons = this.daemons()
    await this.ask('umount', '--all', '--lazy').catch(() => '')
    await ended(daemons)
    await run(['rm', '-rf', this.dir, this.mount])
  }
}

const isThere = (path: string) => statSync(path, { throwIfNoEntry: false }) !== undefined

/** ms until `seen` is true, from the call on. */
async function until(call: () => Promise<unknown>, seen: () => boolean): Promise<number> {
  const start = performance.now()
  const answered = call()
  while (!seen()) {
    if (performance.now() - start > 60_000) throw new Error('nothing showed in a minute')
    await sleep(0)
  }
  const passed = performance.now() - start
  await answered
  return passed
}

async function switching({ home }: MeasureGround): Promise<{ on: number[]; off: number[] }> {
  const store = new Store(home, 'switching')
  try {
    for (const dir of ['small', 'large']) mkdirSync(`${home}/${dir}`)
    await make('create', `${home}/small`, { dirs: 1, files: 1, batches: 1 })
    await make('create', `${home}/large`, { dirs: 50, files: 1000, batches: 1 }, { size: 64 })
    await store.layer('small', `${home}/small`)
    await store.layer('large', `${home}/large`)
    await store.ask('activate', 'small')
    await store.ask('mount', store.mount)
    const client = (await Client.connect(storePlaces(store.dir)))!
    const name = `${store.mount}/d49/f999`
    const [on, off]: [number[], number[]] = [[], []]
    for (let i = 0; i < TRIES; i++) {
      on.push(
        await until(
          () => client.call('activate', { layer: 'large' }),
          () => isThere(name),
        ),
      )
      await run(['find', store.mount, '-size', '+1'])
      off.push(
        await until(
          () => client.call('deactivate', { layer: 'large' }),
          () => !isThere(name),
        ),
      )
    }
    client.close()
    return { on, off }
  } finally {
    await store.close()
  }
}

/** A find with a stat of each file, by each of those that can show it, on a new mount each time. */
async function coldFind({ home, files }: MeasureGround): Promise<Values> {
  const store = new Store(home, 'found')
  const values: Values = {}
  const find = async (name: string, root: string) => {
    const start = performance.now()
    await run(['find', root, '-type', 'f', '-size', '+1000'])
    ;(values[name] ??= []).push(((performance.now() - start) * 1000) / files)
  }
  try {
    makeEmptyFiles(`${home}/published`, files)
    await run(['cp', '-a', `${home}/published`, `${home}/lower`])
    await store.layer('published', `${home}/published`)
    await store.ask('activate', 'published')
    for (let i = 0; i < 3; i++) {
      await store.ask('mount', store.mount)
      const daemons = store.daemons()
      const used = () => daemons.reduce((sum, pid) => sum + processorTimeOf(pid), 0)
      const before = used()
      await find(`${OURS}, a layer of a store`, store.mount)
      ;(values[`${OURS}, its daemon's processor time`] ??= []).push((used() - before) / files)
      await store.ask('umount', store.mount)
      await ended(daemons)
      for (const subject of [KERNEL, FUSE_OVERLAYFS, dropIn()])
        await onMount(subject, home, [`${home}/lower`], (root) => find(subject.name, root))
    }
    return values
  } finally {
    await store.close()
    await run(['rm', '-rf', `${home}/lower`])
  }
}

const dropIn = (): Subject => subjectsOf('cached').find(({ name }) => name === OURS)!

async function onMount(
  subject: Subject,
  home: string,
  lowers: readonly string[],
  work: (root: string) => Promise<unknown>,
): Promise<void> {
  const dir = join(home, 'one')
  const place = { lowers, upper: `${dir}/upper`, work: `${dir}/work`, mount: `${dir}/mount` }
  for (const made of [place.upper, place.work, place.mount]) mkdirSync(made, { recursive: true })
  try {
    await work(await mount(subject, place))
  } finally {
    await unmount(place)
    await run(['rm', '-rf', '--one-file-system', dir])
  }
}

/** Mount time, and memory after a find over all of it, for 10 layers of a store. */
async function largeStore(
  ground: MeasureGround,
  files: number,
): Promise<{ ms: number; mib: number }> {
  const layers = 10
  const store = new Store(ground.home, 'large-store')
  try {
    for (let layer = 0; layer < layers; layer++) {
      makeEmptyFiles(`${ground.home}/layer/of-${layer}`, files / layers)
      await store.layer(`layer-${layer}`, `${ground.home}/layer`)
      await store.ask('activate', `layer-${layer}`)
    }
    const start = performance.now()
    await store.ask('mount', store.mount)
    await run(['ls', store.mount])
    const ms = performance.now() - start
    await run(['find', store.mount, '-type', 'f', '-size', '+1000'])
    return { ms, mib: store.daemons().reduce((sum, pid) => sum + memoryOf(pid), 0) }
  } finally {
    await store.close()
  }
}

const MANY = 50

async function manyMounts({ home }: MeasureGround): Promise<Values> {
  const store = new Store(home, 'many')
  const sum = (of: (pid: number) => number) =>
    store.daemons().reduce((total, pid) => total + of(pid), 0)
  try {
    mkdirSync(`${home}/small`)
    await make('create', `${home}/small`, { dirs: 1, files: 1, batches: 1 })
    await store.layer('small', `${home}/small`)
    await store.ask('activate', 'small')
    await store.ask('mount', store.mount)
    const first = sum(memoryOf)
    for (let i = 1; i < MANY; i++) {
      mkdirSync(`${home}/many-${i}`)
      await store.ask('mount', `${home}/many-${i}`)
    }
    await sleep(8000)
    const idle = await idleTimeOf(() => sum(processorTimeOf), 5)
    return {
      'MiB for each further mount': [(sum(memoryOf) - first) / (MANY - 1)],
      'µs of processor time a second, all': [idle],
    }
  } finally {
    await store.close()
  }
}

/** Memory after a find, beside what fuse-overlayfs needs for it. */
async function memory({ home, files }: MeasureGround): Promise<Values> {
  makeEmptyFiles(`${home}/remembered`, files)
  const values: Values = {}
  for (const subject of [FUSE_OVERLAYFS, dropIn()])
    await onMount(subject, home, [`${home}/remembered`], async (root) => {
      values[subject.name] = [(await footprint(root, 2)).memory]
    })
  await run(['rm', '-rf', `${home}/remembered`])
  return values
}

const sized = async (ground: MeasureGround, files: number): Promise<Values> => {
  const { ms, mib } = await largeStore(ground, files)
  return {
    'ms until the mount answers, with the start of the daemon': [ms],
    'MiB after a find': [mib],
  }
}

export const MEASURES: Readonly<Record<string, Measure>> = {
  activation: {
    what: 'a layer of 50,000 files is switched: until a program sees it',
    unit: 'ms',
    async run(ground) {
      const { on, off } = await switching(ground)
      return {
        'activate, until the last name shows': on,
        'deactivate after a find, until it is gone': off,
      }
    },
  },
  'find in a store': {
    what: 'find with a stat of each file of a published layer, on a new mount, per file',
    unit: 'µs',
    run: coldFind,
  },
  'memory after find': {
    what: 'resident memory of the daemon after a find',
    unit: 'MiB',
    run: memory,
  },
  'mount 10 thousand': {
    what: '10 layers with 10,000 files',
    unit: '',
    run: (ground) => sized(ground, 10_000),
  },
  'mount 1 million': {
    what: '10 layers with 1,000,000 files',
    unit: '',
    full: true,
    run: (ground) => sized(ground, 1_000_000),
  },
  '50 mounts': { what: '50 idle mounts of one daemon', unit: '', run: manyMounts },
}

/** Takes the measures one after the other; one that fails says why. */
export async function takeMeasures(
  names: readonly string[],
  parent: string,
  files: number,
  say: (text: string) => void,
): Promise<Record<string, Measured>> {
  const taken: Record<string, Measured> = {}
  for (const name of names) {
    say(name)
    const home = makeGround(parent)
    try {
      taken[name] = { values: await MEASURES[name]!.run({ home, files }), files }
    } catch (err) {
      taken[name] = { values: {}, files, missing: (err as Error).message }
      say(`${name}: ${taken[name].missing}`)
    }
  }
  return taken
}
