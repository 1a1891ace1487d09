// What differs between two states of a layer, between one and now, or between the layer as it was
// installed and one of both.
//
// Rule: nothing is changed, and nothing is kept; the layer as it is now is frozen while it is read.

import { join } from 'node:path'
import { z } from 'zod'
import { bytesOf, shown } from '../base/path.ts'
import type { Difference, DiffSide, DiffWish } from '../snapshot/diff.ts'
import type { LayerRecord, SnapshotRecord } from '../snapshot/records.ts'
import { differenceNow, differenceOfStates } from '../snapshot/restore.ts'
import type { DatabaseSides } from '../snapshot/side-databases.ts'
import type { VersionTree } from '../snapshot/side-reader.ts'
import { findState } from '../snapshot/state-name.ts'
import type { Control } from './control.ts'
import { type Call, method } from './method.ts'
import { insideOf } from './restore-methods.ts'
import { versionOf } from './restoring.ts'
import { nameShape, stateShape } from './shapes.ts'
import { type StateLine, stateLine } from './state-methods.ts'
import { indexOf, readOnly, withImage } from './states.ts'
import { layerPlaces } from './store-path.ts'
import { redoDirs } from './sublayers.ts'
import { plural } from './text.ts'

/** The layer as it was installed, and as it is. */
const INSTALLED = 'ro'
const NOW = 'now'

/** Bytes of one file that are worth comparing line by line, and of all together. */
const EACH = 1024 * 1024
const ALL = 16 * 1024 * 1024
/** Bytes of one SQLite database with its journals, both sides, and of all together. */
const DATABASE = { each: 256 * 1024 * 1024, all: 1024 * 1024 * 1024 }

const diffShape = z.strictObject({
  layer: nameShape,
  /** A state, or `ro`; null for the state that the layer came from, or `ro` where there is none. */
  from: stateShape.nullable().default(null),
  /** A state, or `now`. */
  to: stateShape.default(NOW),
  /** Paths inside the layer, or in a mount that shows it; null for all of it. */
  paths: z.array(z.string().min(1).max(8192)).min(1).max(10_000).nullable().default(null),
  /** With the bytes of files that are not too large, in base64. */
  contents: z.boolean().default(false),
  /** An empty directory in the run directory of the store: with `contents` it takes SQLite databases. */
  databases: z
    .string()
    .regex(/^diff-[0-9a-f-]{8,64}$/)
    .nullable()
    .default(null),
})

export interface SideLine {
  readonly kind: DiffSide['kind']
  readonly size: number
  /** Base64; absent where it was not asked for, or is too large. */
  readonly bytes?: string
}

export interface DifferenceLine {
  /** As the layer has it, from its root on. */
  readonly path: string
  readonly mark: Difference['mark']
  readonly from?: string
  readonly also?: 'M' | 'attr'
  readonly before: SideLine | null
  readonly after: SideLine | null
  /** How many bytes differ, of files too large to be here. */
  readonly different?: number
  /** The SQLite database that this is a part of, told of once: its files in the directory that was named. */
  readonly database?: Omit<DatabaseSides, 'path'> & { readonly path: string }
  /** The main file of a database that another difference tells of. */
  readonly partOf?: string
}

export interface DiffAnswer {
  readonly layer: string
  /** Null: the layer as it was installed. */
  readonly from: StateLine | null
  /** Null: the layer as it is now. */
  readonly to: StateLine | null
  readonly differences: readonly DifferenceLine[]
}

export const diffMethods = {
  diff: method(diffShape, diff),
} as const

async function diff(
  control: Control,
  { layer: name, from, to, paths, contents, databases }: z.infer<typeof diffShape>,
  call: Call,
): Promise<DiffAnswer> {
  return control.alone(name, async (layer) => {
    const { catalogue } = control
    const head = await catalogue.head(layer.id)
    const before = await earlier(control, layer, from, head)
    const after = to === NOW ? null : await findState(catalogue, layer, to)
    const ground = after === null ? layer.ro : versionOf(layer, after)
    const under = before === null ? ground : versionOf(layer, before)
    const wish: Omit<DiffWish, 'ro'> = {
      index: indexOf(control, layer, ground.version),
      ...(under.version === ground.version ? {} : { earlier: treeOf(control, layer, under) }),
      temporary: bytesOf(layerPlaces(control.store.places, layer.id).work),
      ...(paths === null ? {} : { paths: paths.map((path) => insideOf(control, layer, path)) }),
      ...(contents ? { contents: { each: EACH, all: ALL, ...into(control, databases) } } : {}),
    }
    const ro = readOnly(control, layer, ground.version)
    const found =
      after === null
        ? await withNow(control, layer, before, ro, wish, call)
        : await differenceOfStates(catalogue, before, after, ro, wish)
    const line = (state: SnapshotRecord | null) =>
      state === null ? null : stateLine(layer, state, head)
    return { layer: name, from: line(before), to: line(after), differences: found.map(lineOf) }
  })
}

const into = ({ store }: Control, name: string | null) =>
  name === null ? {} : { databases: { dir: bytesOf(join(store.places.run, name)), ...DATABASE } }

async function earlier(
  { catalogue }: Control,
  layer: LayerRecord,
  from: string | null,
  head: string | null,
): Promise<SnapshotRecord | null> {
  if (from === INSTALLED) return null
  if (from !== null) return findState(catalogue, layer, from)
  return head === null ? null : catalogue.findSnapshot(layer.id, head)
}

const treeOf = (
  control: Control,
  layer: LayerRecord,
  { version, digest: scope }: { readonly version: number; readonly digest: string },
): VersionTree => ({
  ro: readOnly(control, layer, version),
  index: indexOf(control, layer, version),
  scope,
})

function withNow(
  control: Control,
  layer: LayerRecord,
  snapshot: SnapshotRecord | null,
  ro: string[],
  wish: Omit<DiffWish, 'ro'>,
  call: Call,
): Promise<Difference[]> {
  const onProgress = ({ entries }: { entries: number }) =>
    call.progress(`compared ${plural(entries, 'name')}`)
  return withImage(control, layer, (frozen) => {
    const dirs = { ...redoDirs(control.store.places, layer), area: frozen?.area ?? null, ro }
    const { catalogue } = control
    return differenceNow({ catalogue, layer, snapshot, dirs, onProgress }, wish)
  })
}

const lineOf = ({ path, from, before, after, ...more }: Difference): DifferenceLine => {
  const { database, partOf, ...rest } = more
  return {
    path: `/${shown(path)}`,
    ...rest,
    ...(from === undefined ? {} : { from: `/${shown(from)}` }),
    ...(database === undefined
      ? {}
      : { database: { ...database, path: `/${shown(database.path)}` } }),
    ...(partOf === undefined ? {} : { partOf: `/${shown(partOf)}` }),
    before: sideLine(before),
    after: sideLine(after),
  }
}

function sideLine(side: DiffSide | null): SideLine | null {
  if (side === null) return null
  const { bytes, ...rest } = side
  return bytes === undefined ? rest : { ...rest, bytes: Buffer.from(bytes).toString('base64') }
}
