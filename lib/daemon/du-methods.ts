// What a store costs: layers, states, what can be brought back, caches, the catalogue.
//
//   directories ─▶ parts: blocks of the disk, each file in one part alone
//   catalogue ───▶ states: own, shared; their sum lies in the part `catalogue`
//
// Rule: the parts together are the whole store. Nothing is changed, and no layer is held.

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { bytesOf } from '../base/path.ts'
import { Pace } from '../snapshot/pace.ts'
import type { LayerRecord } from '../snapshot/records.ts'
import { needsOf, type Sizes } from '../snapshot/sizes.ts'
import type { Control } from './control.ts'
import { type DiskUse, DiskWalk } from './disk-use.ts'
import { realPath } from './host-path.ts'
import { type Call, method } from './method.ts'
import { roomLeft } from './spare.ts'
import { layerPlaces, type StorePlaces, storePlaces } from './store-path.ts'
import { FIRST_SUBLAYER, unusedWritable } from './sublayers.ts'

export interface DuPart extends DiskUse {
  readonly what:
    | 'read-only'
    | 'writable'
    /** Excluded files of writable sublayers. */
    | 'scratch'
    /** Sublayers that a reset or a restore left, and temporary files; `svsfs gc` removes them. */
    | 'left'
    /** A layer that can be brought back. */
    | 'deleted'
    | 'frozen'
    | 'catalogue'
    /** What recipes downloaded. */
    | 'packages'
    /** What has come of archives from other machines. */
    | 'incoming'
    /** Logs, sockets, and room that is kept for a full disk. */
    | 'run'
    | 'other'
  /** Name of the layer; null for what belongs to the store. */
  readonly layer: string | null
  /** Version of a read-only part, name of a sublayer; '' elsewhere. */
  readonly name: string
  /** In use now; a version that is not may be one that states need. */
  readonly current: boolean
}

export interface DuStates {
  /** Also one that is deleted and can be brought back. */
  readonly layer: string
  readonly states: readonly (Sizes & { readonly id: string })[]
  /** Sum of what each needs alone. */
  readonly own: number
}

export interface DuAnswer {
  readonly store: string
  readonly parts: readonly DuPart[]
  readonly states: readonly DuStates[]
  /** Bytes that all states need together, and those of them that more than one needs. */
  readonly needed: number
  readonly shared: number
  readonly total: DiskUse
  /** Bytes that the disk has left. */
  readonly free: number
  /** Directories that could not be read, and are not counted. */
  readonly unread: number
}

export const duMethods = {
  du: method(z.strictObject({}), du),
} as const

async function du(control: Control, _: object, call: Call): Promise<DuAnswer> {
  const { store, catalogue } = control
  const mounts = control.mounts?.list().map(({ mountPoint }) => bytesOf(mountPoint)) ?? []
  const walk = new DiskWalk(new Pace(), mounts)
  const places = storePlaces(await realPath(store.places.root))
  const layers = (await catalogue.layers()).sort((a, b) => (a.name < b.name ? -1 : 1))
  const parts: DuPart[] = []
  for (const layer of layers) {
    call.progress(`measuring layer ${layer.name}`)
    parts.push(...(await layerParts(walk, places, layer)))
  }
  const removed = (await catalogue.removedLayers()).map(({ record }) => record)
  for (const record of removed) {
    const use = await walk.measure(bytesOf(layerPlaces(places, record.id).root))
    parts.push({ what: 'deleted', layer: record.name, name: '', current: false, ...use })
  }
  parts.push(...(await storeParts(walk, places)))
  const { sizes, bytes } = await needsOf(catalogue, (text) => call.progress(text))
  const owners = [...layers, ...removed]
  const states = await Promise.all(owners.map((layer) => statesOf(control, layer, sizes)))
  const own = [...sizes.values()].reduce((sum, each) => sum + each.own, 0)
  const sum = (field: keyof DiskUse) => parts.reduce((all, part) => all + part[field], 0)
  return {
    store: store.places.root,
    parts: parts.filter(({ files }) => files > 0),
    states: states.filter((each) => each.states.length > 0),
    needed: bytes,
    shared: bytes - own,
    total: { disk: sum('disk'), files: sum('files') },
    free: roomLeft(store.places),
    unread: walk.unread,
  }
}

async function layerParts(
  walk: DiskWalk,
  places: StorePlaces,
  record: LayerRecord,
): Promise<DuPart[]> {
  const at = layerPlaces(places, record.id)
  const parts: DuPart[] = []
  const add = async (what: DuPart['what'], name: string, current: boolean, paths: string[]) => {
    const use = await walk.measure(...paths.map(bytesOf))
    parts.push({ what, layer: record.name, name, current, ...use })
  }
  const versions = numbersIn(join(at.root, 'ro'))
  for (const number of versions)
    await add('read-only', String(number), number === record.ro.version, [
      at.ro(number),
      at.index(number),
    ])
  const { sublayer = FIRST_SUBLAYER, sublayers = [] } = record
  const writable = [{ name: sublayer, rw: record.rw }, ...sublayers]
  for (const { name, rw } of writable) {
    await add('writable', name, rw === record.rw, withBeside(at.rw(rw)))
    await add('scratch', name, rw === record.rw, [at.scratch(rw)])
  }
  await add('left', '', false, [...unusedWritable(places, record), at.work])
  await add('other', '', false, [at.root])
  return parts
}

/** A writable sublayer, and the files that belong to it. */
const withBeside = (path: string): string[] => [
  path,
  ...['.numbers', '.links', '.ctimes', '.blocks'].map((end) => path + end),
]

function numbersIn(dir: string): number[] {
  const names = existsSync(dir) ? readdirSync(dir) : []
  return names
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .sort((a, b) => a - b)
}

async function storeParts(walk: DiskWalk, places: StorePlaces): Promise<DuPart[]> {
  const parts: DuPart[] = []
  for (const [what, path] of [
    ['frozen', places.frozen],
    ['catalogue', places.catalogue],
    ['packages', places.packages],
    ['incoming', places.incoming],
    ['run', places.run],
    // What is left of it: nothing is counted twice.
    ['other', places.root],
  ] as const)
    parts.push({
      ...{ what, layer: null, name: '', current: true },
      ...(await walk.measure(bytesOf(path))),
    })
  return parts
}

async function statesOf(
  { catalogue }: Control,
  { id: layer, name }: LayerRecord,
  sizes: ReadonlyMap<string, Sizes>,
): Promise<DuStates> {
  const all = await catalogue.listed(layer)
  const states = all.flatMap(({ id }) => {
    const size = sizes.get(id)
    return size === undefined ? [] : [{ id, ...size }]
  })
  return { layer: name, states, own: states.reduce((sum, { own }) => sum + own, 0) }
}
