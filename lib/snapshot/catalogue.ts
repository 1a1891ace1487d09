// The catalogue: what LevelDB holds of a store. Keys are text, parts joined by `/`; values
// are JSON (records.ts) unless said otherwise.
//
//   meta                                  { version: 1, made }
//   counter/<name>                        last number given, as text
//   layer/<layer>                         LayerRecord
//   head/<layer>                          id of the state that the writable sublayer came from
//   snapshot/<layer>/<time>/<id>          SnapshotRecord
//   tree/<snapshot id>                    Piece[]: where the list of its entries lies (tree.ts)
//   content/<ro digest>/<content id>      Content: how to make a file (delta.ts)
//   chunk/<sha256>                        bytes, at most 1 MiB, compressed already where it helps
//   plan/<layer>                          RedoPlan that is being applied (redo.ts)
//
// Times in keys are 16 hex digits, so that the order of text is the order of time. A content lies
// under the digest of the read-only sublayer whose files it may refer to ('-' where it has none);
// how often anything is used is not counted but found by following records (gc.ts).
// Later versions may add keys and fields; a catalogue with a higher `version` is refused.
//
// Rule: chunks and contents first, the snapshot's record last; every batch is synced, because a
// later one says that the earlier ones are there. Only the main thread opens it.

import { randomBytes } from 'node:crypto'
import { statfsSync } from 'node:fs'
import { Level } from 'level'
import { z } from 'zod'
import { Failure } from '../base/failure.ts'
import type { Depot, DepotReader } from './depot.ts'
import {
  type Content,
  content,
  type LayerRecord,
  layerRecord,
  type Piece,
  pieces,
  type RedoPlan,
  redoPlan,
  type SnapshotRecord,
  snapshotRecord,
} from './records.ts'
import { wantedBy } from './wanted.ts'

const CATALOGUE_VERSION = 1

/** Chunks wait in memory up to this many bytes before they are written. */
const BATCH_BYTES = 4 * 1024 * 1024
const LAST_TAG = 8000

const hex16 = (number: number): string => number.toString(16).padStart(16, '0')
const join = (...parts: string[]): string => parts.join('/')

export const key = {
  meta: 'meta',
  counter: (name: string) => join('counter', name),
  layer: (layer: string) => join('layer', layer),
  head: (layer: string) => join('head', layer),
  snapshot: ({ layer, time, id }: SnapshotRecord) => join('snapshot', layer, hex16(time), id),
  tree: (snapshot: string) => join('tree', snapshot),
  content: (scope: string, id: string) => join('content', scope === '' ? '-' : scope, id),
  chunk: (id: string) => join('chunk', id),
  plan: (layer: string) => join('plan', layer),
}

/** Keys that begin with `prefix` and `/`: `0` is the character after it. */
export const below = (prefix: string) => ({ gte: `${prefix}/`, lt: `${prefix}0` })

const meta = z.looseObject({ version: z.number().int().positive() })

type Database = Level<string, Buffer>
export type Operation = { type: 'put'; key: string; value: Buffer } | { type: 'del'; key: string }

const SYNC = { sync: true }

/** A new snapshot, ready to be published. */
export interface NewSnapshot {
  readonly record: SnapshotRecord
  readonly pieces: readonly Piece[]
}

/** Opens or makes the catalogue in a directory (a path as Node takes it). */
export async function openCatalogue(dir: string): Promise<Catalogue> {
  const db: Database = new Level<string, Buffer>(dir, {
    valueEncoding: 'buffer',
    // What is large is compressed by us.
    compression: false,
  })
  try {
    await db.open()
  } catch (cause) {
    throw whyNotOpen(dir, cause)
  }
  try {
    await checkVersion(db, dir)
    return new Catalogue(db, dir)
  } catch (err) {
    await db.close()
    throw err
  }
}

function whyNotOpen(dir: string, cause: unknown): unknown {
  const { message, cause: inner } = cause as Error
  const { code, message: reason = message } = (inner ?? {}) as NodeJS.ErrnoException
  if (code === 'LEVEL_LOCKED') return new Failure('SVS_STORE_LOCKED', dir, 'another process')
  if (isFull(reason)) return new Failure('SVS_DISK_FULL', `opening the catalogue ${dir}`, { cause })
  return new Failure('SVS_CATALOGUE_DAMAGED', dir, reason, { cause })
}

// LevelDB has no codes for it, only the words of the system.
const isFull = (words: string): boolean => /No space left|Disk quota exceeded/.test(words)

/** What stays free when records are added: LevelDB writes each twice, and moves them about. */
const RIM_BYTES = 256 * 1024

/**
 * Refuses what would not fit, before LevelDB begins: a log that broke off in the middle loses
 * what is written behind it. Removing is never refused.
 */
function needRoom(dir: string, operations: readonly Operation[]): void {
  const bytes = operations.reduce(
    (sum, each) => sum + (each.type === 'put' ? each.value.length : 0),
    0,
  )
  if (bytes === 0) return
  const { bsize, bavail, bfree } = statfsSync(dir)
  const left = bsize * (process.geteuid?.() === 0 ? bfree : bavail)
  if (left < 2 * bytes + RIM_BYTES)
    throw new Failure('SVS_DISK_FULL', `the catalogue ${dir} needs ${2 * bytes + RIM_BYTES} bytes`)
}

async function checkVersion(db: Database, dir: string): Promise<void> {
  const found = await db.get(key.meta)
  if (found === undefined) {
    const made = new Date().toISOString()
    return db.put(key.meta, encode({ version: CATALOGUE_VERSION, made }), SYNC)
  }
  const { version } = decode(meta, found, key.meta)
  if (version > CATALOGUE_VERSION)
    throw new Failure('SVS_STORE_NEWER', dir, version, CATALOGUE_VERSION)
}

const encode = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))

function decode<T>(schema: z.ZodType<T>, bytes: Buffer, at: string): T {
  const read = schema.safeParse(parse(bytes, at))
  if (read.success) return read.data
  throw new Failure('SVS_CATALOGUE_DAMAGED', at, wantedBy(read.error))
}

function parse(bytes: Buffer, at: string): unknown {
  try {
    return JSON.parse(bytes.toString())
  } catch (cause) {
    throw new Failure('SVS_CATALOGUE_DAMAGED', at, 'not JSON', { cause })
  }
}

export class Catalogue implements DepotReader {
  readonly #db: Database
  readonly #dir: string
  /** Writers that are open, and whoever waits for them to end, or removes what they may need. */
  #writers = 0
  #sweeping: Promise<void> | null = null

  constructor(db: Database, dir: string) {
    this.#db = db
    this.#dir = dir
  }

  /** All layers, in the order of their ids. */
  layers(): Promise<LayerRecord[]> {
    return this.#all(layerRecord, below('layer'))
  }

  layer(id: string): Promise<LayerRecord | null> {
    return this.#one(layerRecord, key.layer(id))
  }

  /** Adds or replaces a layer's record. */
  putLayer(record: LayerRecord): Promise<void> {
    return this.#put(key.layer(record.id), layerRecord.parse(record))
  }

  /** Removes a layer with its states and plans; gc removes their chunks. */
  async deleteLayer(id: string): Promise<void> {
    const states = await this.snapshots(id)
    await this.batch([
      { type: 'del', key: key.layer(id) },
      { type: 'del', key: key.head(id) },
      { type: 'del', key: key.plan(id) },
      ...states.flatMap(deletionOf),
    ])
  }

  /** A small number that no layer of the store has or had. Throws SVS_LAYERS_FULL. */
  async nextTag(): Promise<number> {
    const used = new Set((await this.layers()).map((layer) => layer.tag))
    const last = Number((await this.#db.get(key.counter('tag'))) ?? 0)
    for (let step = 1; step <= LAST_TAG; step++) {
      const tag = ((last + step - 1) % LAST_TAG) + 1
      if (used.has(tag)) continue
      await this.batch([put(key.counter('tag'), Buffer.from(String(tag)))])
      return tag
    }
    throw new Failure('SVS_LAYERS_FULL', LAST_TAG)
  }

  /** The states of a layer, oldest first. */
  snapshots(layer: string): Promise<SnapshotRecord[]> {
    return this.#all(snapshotRecord, below(join('snapshot', layer)))
  }

  /** The states of all layers. */
  allSnapshots(): Promise<SnapshotRecord[]> {
    return this.#all(snapshotRecord, below('snapshot'))
  }

  /** A state by its whole id. Throws SVS_STATE_NOT_FOUND. */
  async snapshot(layer: string, id: string): Promise<SnapshotRecord> {
    const range = below(join('snapshot', layer))
    for await (const at of this.#db.keys({ ...range, reverse: true })) {
      if (!at.endsWith(`/${id}`)) continue
      const found = await this.#one(snapshotRecord, at)
      if (found !== null) return found
    }
    throw new Failure('SVS_STATE_NOT_FOUND', id, layer)
  }

  /** Writes a state's record anew: label, tags, pin. Its layer, time and id stay. */
  putSnapshot(record: SnapshotRecord): Promise<void> {
    return this.#put(key.snapshot(record), snapshotRecord.parse(record))
  }

  /** Removes a state; gc removes what only it used. */
  async deleteSnapshot(record: SnapshotRecord): Promise<void> {
    const head = await this.head(record.layer)
    const rest = head === record.id ? [{ type: 'del' as const, key: key.head(record.layer) }] : []
    await this.batch([...deletionOf(record), ...rest])
  }

  /** Where the list of a state's entries lies. */
  async pieces(snapshot: string): Promise<Piece[]> {
    const found = await this.#one(pieces, key.tree(snapshot))
    if (found === null) throw new Failure('SVS_CATALOGUE_DAMAGED', key.tree(snapshot), 'missing')
    return found
  }

  /** The state that a layer's writable sublayer came from: taken of it, or restored to it. */
  async head(layer: string): Promise<string | null> {
    return (await this.#db.get(key.head(layer)))?.toString() ?? null
  }

  /** `null` for a sublayer that came from no state: an empty one, after a reset. */
  setHead(layer: string, snapshot: string | null): Promise<void> {
    const at = key.head(layer)
    return snapshot === null ? this.#db.del(at, SYNC) : this.batch([put(at, Buffer.from(snapshot))])
  }

  /** Plans whose application was begun and not known to have ended. */
  plans(): Promise<RedoPlan[]> {
    return this.#all(redoPlan, below('plan'))
  }

  putPlan(plan: RedoPlan): Promise<void> {
    return this.#put(key.plan(plan.layer), redoPlan.parse(plan))
  }

  /** Ends a restore: the plan goes, and the layer now comes from `plan.state`, in one batch. */
  deletePlan(plan: RedoPlan): Promise<void> {
    return this.batch([
      { type: 'put', key: key.head(plan.layer), value: Buffer.from(plan.state) },
      { type: 'del', key: key.plan(plan.layer) },
    ])
  }

  async chunk(id: string): Promise<Buffer | null> {
    return (await this.#db.get(key.chunk(id))) ?? null
  }

  content(scope: string, id: string): Promise<Content | null> {
    return this.#one(content, key.content(scope, id))
  }

  /** Begins a snapshot. Waits for a sweep to end; none begins until the writer has ended. */
  async writer(): Promise<SnapshotWriter> {
    while (this.#sweeping !== null) await this.#sweeping
    this.#writers += 1
    return new SnapshotWriter(this, () => {
      this.#writers -= 1
    })
  }

  /**
   * Runs `work`, which removes what no record refers to, while no snapshot is being written.
   * Throws SVS_STORE_BUSY where one is.
   */
  async sweep<T>(work: () => Promise<T>): Promise<T> {
    if (this.#writers > 0 || this.#sweeping !== null) throw new Failure('SVS_STORE_BUSY', this.#dir)
    const done = work()
    this.#sweeping = done.then(
      () => {},
      () => {},
    )
    try {
      return await done
    } finally {
      this.#sweeping = null
    }
  }

  /** Keys of a range, in order. */
  keys(range: { gte: string; lt: string }): AsyncIterable<string> {
    return this.#db.keys(range)
  }

  /** All of it or nothing, on the disk when it returns. */
  async batch(operations: Operation[]): Promise<void> {
    needRoom(this.#dir, operations)
    try {
      await this.#db.batch(operations, SYNC)
    } catch (cause) {
      const text = cause instanceof Error ? cause.message : String(cause)
      if (!isFull(text)) throw cause
      throw new Failure('SVS_DISK_FULL', text, { cause })
    }
  }

  async has(at: string): Promise<boolean> {
    return this.#db.has(at)
  }

  close(): Promise<void> {
    return this.#db.close()
  }

  #put(at: string, record: unknown): Promise<void> {
    return this.batch([put(at, encode(record))])
  }

  async #one<T>(schema: z.ZodType<T>, at: string): Promise<T | null> {
    const bytes = await this.#db.get(at)
    return bytes === undefined ? null : decode(schema, bytes, at)
  }

  async #all<T>(schema: z.ZodType<T>, range: { gte: string; lt: string }): Promise<T[]> {
    const all: T[] = []
    for await (const [at, bytes] of this.#db.iterator(range)) all.push(decode(schema, bytes, at))
    return all
  }
}

const deletionOf = (record: SnapshotRecord): Operation[] => [
  { type: 'del', key: key.snapshot(record) },
  { type: 'del', key: key.tree(record.id) },
]

/** Collects what a new snapshot needs. Nothing of it counts before `publish`; `end` in any case. */
export class SnapshotWriter implements Depot {
  /** Bytes of chunks that the catalogue did not have. */
  stored = 0
  readonly #catalogue: Catalogue
  readonly #ended: () => void
  #waiting = new Map<string, Buffer>()
  #bytes = 0
  #writing: Promise<void> = Promise.resolve()

  constructor(catalogue: Catalogue, ended: () => void) {
    this.#catalogue = catalogue
    this.#ended = ended
  }

  async chunk(id: string): Promise<Buffer | null> {
    return this.#waiting.get(key.chunk(id)) ?? this.#catalogue.chunk(id)
  }

  async content(scope: string, id: string): Promise<Content | null> {
    const waiting = this.#waiting.get(key.content(scope, id))
    if (waiting !== undefined) return decode(content, waiting, id)
    return this.#catalogue.content(scope, id)
  }

  async putChunk(id: string, bytes: Buffer): Promise<void> {
    const at = key.chunk(id)
    if (this.#waiting.has(at) || (await this.#catalogue.has(at))) return
    // Asked again: another put of the same chunk may have come first during the wait.
    if (this.#waiting.has(at)) return
    this.stored += bytes.length
    await this.#add(at, bytes)
  }

  putContent(scope: string, id: string, record: Content): Promise<void> {
    return this.#add(key.content(scope, id), encode(record))
  }

  /** Writes the rest, the list and the record, and makes it the head: the snapshot exists from here on. */
  async publish({ record, pieces }: NewSnapshot): Promise<void> {
    await this.#writing
    const operations: Operation[] = [
      ...this.#take(),
      { type: 'put', key: key.tree(record.id), value: encode(pieces) },
      { type: 'put', key: key.head(record.layer), value: Buffer.from(record.id) },
      { type: 'put', key: key.snapshot(record), value: encode(snapshotRecord.parse(record)) },
    ]
    await this.#catalogue.batch(operations)
  }

  end(): void {
    this.#ended()
  }

  async #add(at: string, value: Buffer): Promise<void> {
    this.#waiting.set(at, value)
    this.#bytes += value.length
    if (this.#bytes < BATCH_BYTES) return
    const operations = this.#take()
    this.#writing = this.#writing.then(() => this.#catalogue.batch(operations))
    await this.#writing
  }

  #take(): Operation[] {
    const operations = [...this.#waiting].map(([at, value]) => put(at, value))
    this.#waiting = new Map()
    this.#bytes = 0
    return operations
  }
}

const put = (at: string, value: Buffer): Operation => ({ type: 'put', key: at, value })

/** An id that is short enough to be typed: 10 hex digits. */
export const newId = (): string => randomBytes(5).toString('hex')
