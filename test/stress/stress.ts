// The stress: eight processes act at random on three layers over a base, while layers come, go,
// are snapshotted and put back. In the end the mount is what the processes believe.
//
//   crew (worker.ts × 8)  ─▶ mount ◀─ shaker (activate, deactivate, priority, snapshot, restore)
//   then                  everything looked at: at once, after a remount, after kill -9 of the
//                         daemon, and through a second mount
//   in the end            each of the last snapshots put back: its cuts are those of an instant
//
// Rule: whatever fails, the error names the seed, and nothing is left behind by `close`.

import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { Client } from '../../lib/daemon/client.ts'
import { storePlaces } from '../../lib/daemon/store-path.ts'
import type { StorePlace } from '../daemon/store-of.ts'
import { Crew } from './crew.ts'
import { PRIORITIES, Shaker } from './shaker.ts'
import { drawBranch, drawNoise, LAYERS, NOISE, SIDE } from './start.ts'

export interface StressOptions {
  readonly seed: number
  /** How long the workers act, in all. */
  readonly seconds: number
  readonly workers: number
  readonly say: (line: string) => void
}

export interface StressSum {
  readonly acts: number
  readonly turns: number
  readonly snapshots: number
}

/** Snapshots that are put back and looked at in the end. */
const STATES_CHECKED = 6
/** Longer than this nothing may stand still. */
const PATIENCE = 120_000

/** Runs the stress in a fresh store. Throws what the first failure was, with the seed. */
export async function stress(place: StorePlace, options: StressOptions): Promise<StressSum> {
  process.umask(0o022)
  await drawAll(place, options.workers)
  await mountAll(place)
  const crew = new Crew(place.at, options.workers, options.seed)
  try {
    return await inTime(options, () => run(place, crew, options))
  } catch (err) {
    const why = err instanceof Error ? (err.stack ?? err.message) : String(err)
    throw new Error(`SEED=${options.seed}: ${why}`)
  } finally {
    await crew.dismiss()
  }
}

async function inTime<T>({ seconds }: StressOptions, work: () => Promise<T>): Promise<T> {
  const ends = new AbortController()
  const late = setTimeout(seconds * 2000 + PATIENCE, undefined, { signal: ends.signal }).then(
    () => {
      throw new Error('it stands still')
    },
  )
  try {
    return await Promise.race([work(), late])
  } finally {
    ends.abort()
    late.catch(() => {})
  }
}

async function drawAll(place: StorePlace, workers: number): Promise<void> {
  const drawn = (name: string) => join(place.dir, `${name}-drawn`)
  drawBranch(join(place.dir, 'base'), 'base', workers)
  for (const layer of LAYERS) drawBranch(drawn(layer), layer, workers)
  for (const layer of [...NOISE, SIDE]) drawNoise(drawn(layer), layer)
  for (const layer of [...LAYERS, SIDE, ...NOISE]) {
    const active = layer in PRIORITIES ? ['--activate', '--priority', `${PRIORITIES[layer]}`] : []
    await place.ask('layer', 'create', layer, '--from', drawn(layer), ...active)
  }
  mkdirSync(join(place.dir, 'second'))
}

async function mountAll(place: StorePlace): Promise<void> {
  const base = ['--base', join(place.dir, 'base')]
  await place.mount(...base)
  await place.ask('mount', join(place.dir, 'second'), ...base)
}

async function connected(place: StorePlace): Promise<Client> {
  const client = await Client.connect(storePlaces(place.store))
  if (client === null) throw new Error('no daemon answers')
  return client
}

async function run(place: StorePlace, crew: Crew, options: StressOptions): Promise<StressSum> {
  const { seed, seconds, workers, say } = options
  const sum = { acts: 0, turns: 0, snapshots: 0 }
  const client = await connected(place)
  const shaker = new Shaker(client, place.at, workers, seed)
  await shaker.prepare()
  sum.acts += await act(crew, shaker, seconds * 0.6)
  sum.turns += shaker.turns
  say(`${sum.acts} acts and ${sum.turns} turns; a remount`)
  await place.ask('umount', place.at)
  await place.ask('mount', place.at, '--base', join(place.dir, 'base'))
  await crew.look()
  sum.acts += await act(crew, shaker, seconds * 0.4)
  sum.turns = shaker.turns
  say(`${sum.acts} acts and ${sum.turns} turns; an end of the daemon`)
  const { id } = await client.call('snapshot', { layer: 'top', label: 'end' })
  client.close()
  await kill(place)
  await mountAll(place)
  await crew.look()
  say(`${shaker.cuts.length} snapshots of the layer that was written`)
  await lookAtSnapshots(place, shaker, id)
  await crew.look()
  return { ...sum, snapshots: shaker.cuts.length }
}

async function act(crew: Crew, shaker: Shaker, seconds: number): Promise<number> {
  const ends = Date.now() + seconds * 1000
  crew.go()
  while (Date.now() < ends) {
    await shaker.turn()
    crew.check()
  }
  return crew.stop()
}

async function lookAtSnapshots(place: StorePlace, shaker: Shaker, end: string): Promise<void> {
  const client = await connected(place)
  try {
    await shaker.checkCuts(client, STATES_CHECKED)
    await client.call('restore', { layer: 'top', state: end })
  } finally {
    client.close()
  }
}

async function kill(place: StorePlace): Promise<void> {
  const pid = await place.daemon()
  process.kill(pid, 'SIGKILL')
  while (spawnSync('kill', ['-0', String(pid)]).status === 0) await setTimeout(20)
}
