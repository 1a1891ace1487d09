// The catalogue: the records of a store's layers and states, and what states consist of. keys.ts
// says where each lies, records.ts what it holds.
//
//   records ◀─ Catalogue ─▶ writer (writer.ts)   sweep (gc.ts)
//                  ├─▶ KeyValue ─▶ LevelDB
//                  └─▶ Chunks ─▶ another, with the bytes of large chunks (chunks.ts)
//
// Rule: what belongs together is one synced batch: a state and the keys by which it is found, a
// layer and its states. Only the main thread opens it.

import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { Failure } from '../base/failure.ts'
import { Chunks } from './chunks.ts'
import { type Claim, Claims, type Holding, type Sweep } from './claims.ts'
import type { DepotReader } from './depot.ts'
import { decode, del, KeyValue, type Operation, putJson, putText } from './key-value.ts'
import { beginning, below, key, lastPart, type Range } from './keys.ts'
import { decodeListed } from './listed.ts'
import {
  type Content,
  content,
  type Deployment,
  deployment,
  type HostRecord,
  hostRecord,
  type LayerRecord,
  type ListedState,
  layerRecord,
  type Piece,
  type RedoPlan,
  type RemovedLayer,
  redoPlan,
  removedLayer,
  type Schedule,
  type SnapshotRecord,
  schedule,
  snapshotRecord,
  type UndoRecord,
  undoRecord,
} from './records.ts'
import { readTable } from './table.ts'
import { namesOf, SnapshotWriter } from './writer.ts'

/**
 * 2: pieces and their tables may rest on others, which a program that does not know would take away.
 * 3: large chunks have a place (chunks.ts), which it would take for damage.
 */
const CATALOGUE_VERSION = 3
const LAST_TAG = 8000
const MOST_UNDOS = 20
/** Records of states that are kept as they were read. */
const MOST_KNOWN = 20_000

const meta = z.looseObject({
  version: z.number().int().positive(),
  made: z.string().optional(),
  /** States have the keys `id/…` and `label/…`. */
  named: z.literal(true).optional(),
})

/** Opens or makes the catalogue in a directory (a path as Node takes it). */
export async function openCatalogue(dir: string): Promise<Catalogue> {
  const db = await KeyValue.open(dir)
  try {
    const catalogue = new Catalogue(db, await madeWhen(db))
    return catalogue
  } catch (err) {
    await db.close()
    throw err
  }
}

/** Checks the version, and brings what is older up to it. Answers when the catalogue was made, in milliseconds. */
async function madeWhen(db: KeyValue): Promise<number> {
  const found = await db.get(key.meta)
  if (found === null) {
    const made = new Date().toISOString()
    await db.batch([putJson(key.meta, { version: CATALOGUE_VERSION, made, named: true })])
    return Date.parse(made)
  }
  const read = decode(meta, found, key.meta)
  if (read.version > CATALOGUE_VERSION)
    throw new Failure('SVS_STORE_NEWER', db.dir, read.version, CATALOGUE_VERSION)
  if (read.named !== true) await nameAll(db)
  if (read.version < CATALOGUE_VERSION || read.named !== true)
    await db.batch([putJson(key.meta, { ...read, version: CATALOGUE_VERSION, named: true })])
  return Date.parse(read.made ?? '') || 0
}

async function nameAll(db: KeyValue): Promise<void> {
  const operations: Operation[] = []
  for await (const [at, bytes] of db.entries(below('snapshot'))) {
    const [layer, time, id] = at.split('/').slice(1) as [string, string, string]
    operations.push(putText(key.id(layer, id), time))
    // A record that is damaged is named when it is read, not by whoever only opens the store.
    const label = snapshotRecord.safeParse(parsed(bytes)).data?.label ?? null
    if (label !== null) operations.push(putText(key.label(layer, label), id))
  }
  await db.batch(operations)
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString())
  } catch {
    return null
  }
}

export class Catalogue implements DepotReader {
  readonly claims: Claims
  readonly chunks: Chunks
  /** Milliseconds since 1970; 0 where it is not known. */
  readonly made: number
  readonly #db: KeyValue
  readonly #known = new Map<string, { readonly bytes: Buffer; readonly record: ListedState }>()

  constructor(db: KeyValue, made: number) {
    this.#db = db
    this.made = made
    this.claims = new Claims(db.dir)
    this.chunks = new Chunks(db)
  }

  /** All layers, in the order of their ids. */
  layers(): Promise<LayerRecord[]> {
    return this.#db.all(layerRecord, below('layer'))
  }

  layer(id: string): Promise<LayerRecord | null> {
    return this.#db.one(layerRecord, key.layer(id))
  }

  /** Adds or replaces a layer's record. */
  putLayer(record: LayerRecord): Promise<void> {
    return this.batch([putJson(key.layer(record.id), layerRecord.parse(record))])
  }

  /** Removes a layer with its states, plans and schedules; gc removes their chunks. */
  async deleteLayer(id: string): Promise<void> {
    const states = await this.listed(id)
    const schedules = (await this.schedules()).filter(({ layer }) => layer === id)
    const undos = (await this.undos()).filter(({ layer }) => layer === id)
    await this.batch([
      ...[key.layer, key.removed, key.head, key.plan, key.recoded, key.deployed].map((of) =>
        del(of(id)),
      ),
      ...states.flatMap(deletionOf),
      del(key.swept),
      ...schedules.map((each) => del(key.schedule(each.id))),
      ...undos.map(({ at }) => del(key.undo(at))),
    ])
  }

  /** Takes a layer out of all lists, with all that is its own, so that it can be brought back. */
  removeLayer(removed: RemovedLayer): Promise<void> {
    const { id } = removed.record
    return this.batch([del(key.layer(id)), putJson(key.removed(id), removedLayer.parse(removed))])
  }

  /** Brings a removed layer back as it was, or under another name. */
  bringBack(record: LayerRecord): Promise<void> {
    return this.batch([
      del(key.removed(record.id)),
      putJson(key.layer(record.id), layerRecord.parse(record)),
    ])
  }

  /** Layers that were deleted and can be brought back. */
  removedLayers(): Promise<RemovedLayer[]> {
    return this.#db.all(removedLayer, below('removed'))
  }

  /** A small number that no layer of the store has or had. Throws SVS_LAYERS_FULL. */
  async nextTag(): Promise<number> {
    const layers = [...(await this.layers()), ...(await this.removedLayers()).map((r) => r.record)]
    const used = new Set(layers.map((layer) => layer.tag))
    const last = Number((await this.#db.text(key.counter('tag'))) ?? 0)
    for (let step = 1; step <= LAST_TAG; step++) {
      const tag = ((last + step - 1) % LAST_TAG) + 1
      if (used.has(tag)) continue
      await this.batch([putText(key.counter('tag'), String(tag))])
      return tag
    }
    throw new Failure('SVS_LAYERS_FULL', LAST_TAG)
  }

  /** The states of a layer, oldest first. */
  snapshots(layer: string): Promise<SnapshotRecord[]> {
    return this.#db.all(snapshotRecord, below(`snapshot/${layer}`))
  }

  /** The same, as lists show them: thousands come in a moment. */
  async listed(layer: string): Promise<ListedState[]> {
    const all: ListedState[] = []
    for await (const [at, bytes] of this.#db.entries(below(`snapshot/${layer}`)))
      all.push(this.#listed(at, bytes))
    return all
  }

  // Long lists are asked for again and again: what has the same bytes as last time was checked then.
  #listed(at: string, bytes: Buffer): ListedState {
    const known = this.#known.get(at)
    if (known?.bytes.equals(bytes)) return known.record
    const record = decodeListed(bytes, at)
    if (this.#known.size >= MOST_KNOWN) this.#known.clear()
    this.#known.set(at, { bytes, record })
    return record
  }

  /** The last so many of them, oldest first. */
  async lastListed(layer: string, count: number): Promise<ListedState[]> {
    const last: ListedState[] = []
    for await (const at of this.#db.keys(below(`snapshot/${layer}`), count)) {
      const bytes = await this.#db.get(at)
      if (bytes !== null) last.unshift(this.#listed(at, bytes))
    }
    return last
  }

  /** The states of all layers. */
  allSnapshots(): Promise<SnapshotRecord[]> {
    return this.#db.all(snapshotRecord, below('snapshot'))
  }

  /** How many states a layer has. */
  async countSnapshots(layer: string): Promise<number> {
    let count = 0
    for await (const _ of this.keys(below(`snapshot/${layer}`))) count += 1
    return count
  }

  /** A state by its whole id. Throws SVS_STATE_NOT_FOUND. */
  async snapshot(layer: string, id: string): Promise<SnapshotRecord> {
    const found = await this.findSnapshot(layer, id)
    if (found === null) throw new Failure('SVS_STATE_NOT_FOUND', id, layer)
    return found
  }

  /** The same; null where there is none (any more). */
  async findSnapshot(layer: string, id: string): Promise<SnapshotRecord | null> {
    const time = await this.#db.text(key.id(layer, id))
    return time === null ? null : this.#db.one(snapshotRecord, key.snapshotAt(layer, time, id))
  }

  /** The state that is `back` before the latest; null where there are not so many. */
  async snapshotBack(layer: string, back: number): Promise<SnapshotRecord | null> {
    let left = back
    for await (const at of this.#db.keys(below(`snapshot/${layer}`), back + 1))
      if (left-- === 0) return this.#db.one(snapshotRecord, at)
    return null
  }

  /** Id of the state that has a label, or null. */
  labelled(layer: string, label: string): Promise<string | null> {
    return this.#db.text(key.label(layer, label))
  }

  /** Ids of a layer's states that begin so, `most` at most. */
  async idsFrom(layer: string, text: string, most: number): Promise<string[]> {
    const ids: string[] = []
    for await (const at of this.#db.keys(beginning(key.id(layer, text)))) {
      if (ids.length === most) break
      ids.push(lastPart(at))
    }
    return ids
  }

  /** Writes a state's record anew: label, tags, pin. Its layer, time and id stay. */
  async putSnapshot(record: SnapshotRecord): Promise<void> {
    const before = await this.findSnapshot(record.layer, record.id)
    const label = before?.label ?? null
    await this.batch([
      ...(label === null || label === record.label ? [] : [del(key.label(record.layer, label))]),
      ...namesOf(record),
      putJson(key.snapshot(record), snapshotRecord.parse(record)),
    ])
  }

  /** Removes a state; gc removes what only it used. */
  deleteSnapshot(record: ListedState): Promise<void> {
    return this.deleteSnapshots([record])
  }

  /** Removes states of one layer, all or none. */
  async deleteSnapshots(records: readonly ListedState[]): Promise<void> {
    const layer = records[0]?.layer
    if (layer === undefined) return
    const head = await this.head(layer)
    const rest = records.some(({ id }) => id === head) ? [del(key.head(layer))] : []
    // Also for a daemon that starts later: there is garbage.
    await this.batch([...records.flatMap(deletionOf), ...rest, del(key.swept)])
  }

  /** Where the list of a state's entries lies. */
  async pieces(snapshot: string): Promise<Piece[]> {
    const at = key.tree(snapshot)
    const value = await this.#db.get(at)
    if (value === null) throw new Failure('SVS_CATALOGUE_DAMAGED', at, 'missing')
    return readTable(value, at)
  }

  /** Keeps what a state consists of, also where it is deleted meanwhile. Null where it is not there any more. */
  async hold(snapshot: SnapshotRecord): Promise<Holding | null> {
    try {
      const pieces = await this.pieces(snapshot.id)
      const release = this.claims.hold({ snapshot, pieces })
      // Looked for once it is held: a sweep that did not see the record then sees who holds it.
      if (await this.has(key.snapshot(snapshot))) return { pieces, release }
      release()
      return null
    } catch (err) {
      if (await this.has(key.snapshot(snapshot))) throw err
      return null
    }
  }

  /** The state that a layer's writable sublayer came from: taken of it, or restored to it. */
  head(layer: string): Promise<string | null> {
    return this.#db.text(key.head(layer))
  }

  /** `null` for a sublayer that came from no state: an empty one, after a reset. */
  setHead(layer: string, snapshot: string | null): Promise<void> {
    const at = key.head(layer)
    return this.batch([snapshot === null ? del(at) : putText(at, snapshot)])
  }

  /** Plans whose application was begun and not known to have ended. */
  plans(): Promise<RedoPlan[]> {
    return this.#db.all(redoPlan, below('plan'))
  }

  putPlan(plan: RedoPlan): Promise<void> {
    return this.batch([putJson(key.plan(plan.layer), redoPlan.parse(plan))])
  }

  /** Ends a restore: the plan goes, and the layer now comes from `plan.state`, in one batch. */
  deletePlan(plan: RedoPlan): Promise<void> {
    return this.batch([putText(key.head(plan.layer), plan.state), del(key.plan(plan.layer))])
  }

  /** All schedules, in the order of their ids. */
  schedules(): Promise<Schedule[]> {
    return this.#db.all(schedule, below('schedule'))
  }

  putSchedule(record: Schedule): Promise<void> {
    return this.batch([putJson(key.schedule(record.id), schedule.parse(record))])
  }

  deleteSchedule(id: string): Promise<void> {
    return this.batch([del(key.schedule(id))])
  }

  /** The machines that layers are deployed to, by name. */
  hosts(): Promise<HostRecord[]> {
    return this.#db.all(hostRecord, below('host'))
  }

  host(name: string): Promise<HostRecord | null> {
    return this.#db.one(hostRecord, key.host(name))
  }

  putHost(record: HostRecord): Promise<void> {
    return this.batch([putJson(key.host(record.name), hostRecord.parse(record))])
  }

  deleteHost(name: string): Promise<void> {
    return this.batch([del(key.host(name))])
  }

  /** The last deployment of each layer to this store. */
  deployments(): Promise<Deployment[]> {
    return this.#db.all(deployment, below('deployed'))
  }

  /** The last one of a layer. */
  deployment(layer: string): Promise<Deployment | null> {
    return this.#db.one(deployment, key.deployed(layer))
  }

  putDeployment(record: Deployment): Promise<void> {
    return this.batch([putJson(key.deployed(record.layer), deployment.parse(record))])
  }

  deleteDeployment(layer: string): Promise<void> {
    return this.batch([del(key.deployed(layer))])
  }

  /** What operations on layers replaced, the oldest first. */
  undos(): Promise<UndoRecord[]> {
    return this.#db.all(undoRecord, below('undo'))
  }

  /** Remembers one more, and forgets all but the last so many; a deletion is kept as long as the layer. */
  async putUndo(record: UndoRecord): Promise<void> {
    const kept = await this.undos()
    const mayGo = kept.filter(({ what }) => what !== 'delete')
    // Later than every other, also where the clock went back.
    const at = Math.max(record.at, (kept.at(-1)?.at ?? 0) + 1)
    await this.batch([
      ...mayGo
        .slice(0, Math.max(0, mayGo.length + 1 - MOST_UNDOS))
        .map((old) => del(key.undo(old.at))),
      putJson(key.undo(at), undoRecord.parse({ ...record, at })),
    ])
  }

  deleteUndo(record: UndoRecord): Promise<void> {
    return this.batch([del(key.undo(record.at))])
  }

  /** When garbage was last looked for, in milliseconds; 0 for never. */
  async swept(): Promise<number> {
    return Number((await this.#db.text(key.swept)) ?? 0)
  }

  /** Time of the last state of a layer that was recoded by itself; 0 for none. */
  async recodedUntil(layer: string): Promise<number> {
    return Number((await this.#db.text(key.recoded(layer))) ?? 0)
  }

  setRecodedUntil(layer: string, time: number): Promise<void> {
    return this.batch([putText(key.recoded(layer), String(time))])
  }

  /** There is garbage: a daemon that starts later looks for it too. */
  forgetSwept(): Promise<void> {
    return this.batch([del(key.swept)])
  }

  chunk(id: string): Promise<Buffer | null> {
    return this.chunks.read(id)
  }

  content(scope: string, id: string): Promise<Content | null> {
    return this.#db.one(content, key.content(scope, id))
  }

  /** Whether any is kept under the read-only sublayer `scope`. */
  async hasContents(scope: string): Promise<boolean> {
    for await (const _ of this.#db.keys(below(key.contents(scope)), 1)) return true
    return false
  }

  /** Begins a snapshot, also while garbage is being removed. */
  async writer(): Promise<SnapshotWriter> {
    const claim: Claim = this.claims.begin()
    return new SnapshotWriter(this, claim)
  }

  /** Runs `work`, which removes what no record refers to. Throws SVS_STORE_BUSY where that is under way. */
  sweep<T>(work: (sweep: Sweep) => Promise<T>): Promise<T> {
    return this.claims.sweep(work)
  }

  /** Keys of a range, in order. */
  keys(range: Range): AsyncGenerator<string> {
    return this.#db.keys(range)
  }

  /** The same, many at a time. */
  keysByMany(range: Range): AsyncGenerator<string[]> {
    return this.#db.keysByMany(range)
  }

  /** The bytes under several keys, in their order; null for each that is not there. */
  values(keys: readonly string[]): Promise<(Buffer | null)[]> {
    return this.#db.several(keys)
  }

  /** Keys of a range with their values. */
  entries(range: Range): AsyncGenerator<[string, Buffer]> {
    return this.#db.entries(range)
  }

  /** The bytes under a key, whatever they are. */
  value(at: string): Promise<Buffer | null> {
    return this.#db.get(at)
  }

  has(at: string): Promise<boolean> {
    return this.#db.has(at)
  }

  /** All of it or nothing, on the disk when it returns. */
  batch(operations: Operation[]): Promise<void> {
    return this.#db.batch(operations)
  }

  async close(): Promise<void> {
    await this.chunks.close()
    await this.#db.close()
  }
}

const deletionOf = (record: ListedState): Operation[] => [
  del(key.snapshot(record)),
  del(key.id(record.layer, record.id)),
  del(key.tree(record.id)),
  ...(record.label === null ? [] : [del(key.label(record.layer, record.label))]),
]

/** An id that is short enough to be typed: 10 hex digits. */
export const newId = (): string => randomBytes(5).toString('hex')
