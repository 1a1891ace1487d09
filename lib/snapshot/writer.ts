// Writing one snapshot into the catalogue: chunks and contents as they come, its record last.
//
// Rule: nothing of it counts before `publish`, which is one synced batch; every batch before is
// synced too, because a later one says that the earlier ones are there. A content is written after
// its chunks or with them.

import type { Catalogue } from './catalogue.ts'
import type { Claim } from './claims.ts'
import type { Depot } from './depot.ts'
import { decode, del, type Operation, put, putJson, putText } from './key-value.ts'
import { key, timeText } from './keys.ts'
import {
  type Content,
  content,
  type LayerRecord,
  layerRecord,
  type Piece,
  type SnapshotRecord,
  snapshotRecord,
} from './records.ts'
import { packTable } from './table.ts'

/** Chunks wait in memory up to this many bytes before they are written. */
const BATCH_BYTES = 4 * 1024 * 1024

/** A new snapshot, ready to be published. */
export interface NewSnapshot {
  readonly record: SnapshotRecord
  readonly pieces: readonly Piece[]
  /** False for a state that no sublayer came from: an imported one. */
  readonly head?: boolean
}

/** Collects what a new snapshot needs; `end` in any case. */
export class SnapshotWriter implements Depot {
  /** Bytes of chunks that the catalogue did not have. */
  stored = 0
  readonly #catalogue: Catalogue
  readonly #claim: Claim
  #waiting = new Map<string, Buffer>()
  #bytes = 0
  #writing: Promise<void> = Promise.resolve()

  constructor(catalogue: Catalogue, claim: Claim) {
    this.#catalogue = catalogue
    this.#claim = claim
  }

  async chunk(id: string): Promise<Buffer | null> {
    const at = key.chunk(id)
    const waiting = this.#waiting.get(at)
    if (waiting !== undefined) return waiting
    return this.#claim.rely(at) ? this.#catalogue.chunk(id) : null
  }

  async content(scope: string, id: string): Promise<Content | null> {
    const at = key.content(scope, id)
    const waiting = this.#waiting.get(at)
    if (waiting !== undefined) return decode(content, waiting, id)
    return this.#claim.rely(at) ? this.#catalogue.content(scope, id) : null
  }

  async putChunk(id: string, bytes: Buffer): Promise<void> {
    const at = key.chunk(id)
    if (this.#waiting.has(at)) return
    if (this.#claim.rely(at) && (await this.#catalogue.has(at))) return
    // Asked again: another put of the same chunk may have come first during the wait.
    if (this.#waiting.has(at)) return
    this.stored += bytes.length
    this.#claim.store(at)
    await this.#add(at, bytes)
  }

  putContent(scope: string, id: string, record: Content): Promise<void> {
    return this.#add(key.content(scope, id), Buffer.from(JSON.stringify(record)))
  }

  /** Writes the rest, the list and the record, and makes it the head: the snapshot exists from here on. */
  publish(snapshot: NewSnapshot): Promise<void> {
    return this.publishAll([snapshot], null)
  }

  /** The same of several, all or none, and the record of the layer whose they are. */
  async publishAll(snapshots: readonly NewSnapshot[], layer: LayerRecord | null): Promise<void> {
    await this.#writing
    const states = snapshots.flatMap(({ record, pieces, head = true }) => [
      put(key.tree(record.id), packTable(pieces)),
      ...(head ? [putText(key.head(record.layer), record.id)] : []),
      ...namesOf(record),
      putJson(key.snapshot(record), snapshotRecord.parse(record)),
    ])
    const layers = layer === null ? [] : [putJson(key.layer(layer.id), layerRecord.parse(layer))]
    await this.#write([...this.#take(), ...states, ...layers])
  }

  /** Writes what waits, without a record: what states that there are lack. */
  async flush(): Promise<void> {
    await this.#writing
    await this.#write(this.#take())
  }

  end(): void {
    this.#claim.end()
  }

  async #add(at: string, value: Buffer): Promise<void> {
    this.#waiting.set(at, value)
    this.#bytes += value.length
    if (this.#bytes < BATCH_BYTES) return
    const operations = this.#take()
    this.#writing = this.#writing.then(() => this.#write(operations))
    await this.#writing
  }

  async #write(operations: Operation[]): Promise<void> {
    const contents = operations.map((each) => each.key).filter((at) => at.startsWith('content/'))
    await this.#claim.clear(contents, (former) => this.#catalogue.batch(former.map(del)))
    await this.#catalogue.claims.settled()
    await this.#catalogue.chunks.write(operations)
  }

  #take(): Operation[] {
    const operations = [...this.#waiting].map(([at, value]) => put(at, value))
    this.#waiting = new Map()
    this.#bytes = 0
    return operations
  }
}

/** The keys by which a state is found, beside that of its record. */
export const namesOf = (record: SnapshotRecord): Operation[] => [
  putText(key.id(record.layer, record.id), timeText(record.time)),
  ...(record.label === null ? [] : [putText(key.label(record.layer, record.label), record.id)]),
]
