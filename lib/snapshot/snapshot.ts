// Taking a snapshot: the state of a layer's writable sublayer goes into the catalogue, wholly
// or not at all.
//
//   takeSnapshot ─▶ writer ─▶ scan in a snapshot thread ─▶ publish: the record, synced, last
//
// The parent of a state is the layer's head: the state that its writable sublayer came from.
//
// Rule: the caller has frozen the layer where it is mounted (`dirs.area`), and keeps its writable
// sublayer from being switched until this returns.

import type { Changed } from '../layer/changed.ts'
import { ownPrefix } from '../layer/marks.ts'
import type { BelowIndex } from './below.ts'
import { type Catalogue, newId } from './catalogue.ts'
import type { LayerRecord, Piece, SnapshotRecord, Trigger } from './records.ts'
import { type Restamped, stampsFor } from './restamped.ts'
import type { Progress, ScanResult } from './scan.ts'
import { runJob } from './thread.ts'
import type { SnapshotWriter } from './writer.ts'

export interface TakeSnapshot {
  readonly catalogue: Catalogue
  readonly layer: LayerRecord
  /** Absolute paths, bytes as latin1 text. */
  readonly dirs: {
    readonly rw: string
    readonly numbers: string | null
    /** The layer's read-only trees, top first. */
    readonly ro: readonly string[]
    /** Preservation area of the freeze; null for a layer that is not mounted. */
    readonly area: string | null
  }
  /** Of the first of the trees: by which numbers its files are known; null or absent: not known. */
  readonly index?: BelowIndex | null
  /** The new state's; one of its own by default. */
  readonly id?: string
  readonly message?: string
  readonly label?: string | null
  readonly tags?: Readonly<Record<string, string>>
  readonly trigger?: Trigger
  /** Make a state although nothing changed. */
  readonly allowEmpty?: boolean
  /** The instant of the freeze, in milliseconds; now by default. */
  readonly at?: number
  /** What the journal of the layer says, where it is mounted. */
  readonly journal?: JournalAnswer
  /** What the last restore put in place, where that is known. */
  readonly restamped?: Restamped | null
  readonly onProgress?: (progress: Progress) => void
}

/** What the journal knew at the instant of the freeze. */
export interface JournalAnswer {
  /** Where it stood. */
  readonly position: number
  /** All that changed since the head was taken; null where it does not know. */
  readonly changed: Changed | null
}

export type Taken =
  /** A new state, which is the head from now on. */
  | { readonly kind: 'taken'; readonly snapshot: SnapshotRecord; readonly by: ScanResult['by'] }
  /** Nothing changed since this state; none was made. */
  | { readonly kind: 'unchanged'; readonly snapshot: SnapshotRecord; readonly by: ScanResult['by'] }

export async function takeSnapshot(options: TakeSnapshot): Promise<Taken> {
  const { catalogue, layer, allowEmpty = false } = options
  const at = options.at ?? Date.now()
  const head = await headOf(catalogue, layer.id)
  const held = head === null ? null : await catalogue.hold(head)
  const parent = held === null ? null : head
  const writer = await catalogue.writer()
  try {
    const found = await scanLayer(options, parent, held?.pieces ?? null, writer)
    // Another snapshot may have been published meanwhile: the parent stays what it was, a fact.
    // On another read-only part the same changes are another state.
    const same = parent !== null && !found.changed && parent.ro.digest === layer.ro.digest
    if (same && !allowEmpty) return { kind: 'unchanged', snapshot: parent, by: found.by }
    const snapshot = await recordOf(options, found, parent, at, writer.stored)
    await writer.publish({ record: snapshot, pieces: found.pieces })
    return { kind: 'taken', snapshot, by: found.by }
  } finally {
    writer.end()
    held?.release()
  }
}

/** The state that the layer's writable sublayer came from; null where there is none (any more). */
export async function headOf(catalogue: Catalogue, layer: string): Promise<SnapshotRecord | null> {
  const head = await catalogue.head(layer)
  return head === null ? null : catalogue.findSnapshot(layer, head)
}

/** The list of a state's entries; null for no state. */
export async function piecesOf(
  catalogue: Catalogue,
  snapshot: SnapshotRecord | null,
): Promise<Piece[] | null> {
  return snapshot === null ? null : catalogue.pieces(snapshot.id)
}

async function scanLayer(
  { catalogue, layer, dirs, journal, index, restamped, onProgress }: TakeSnapshot,
  parent: SnapshotRecord | null,
  pieces: readonly Piece[] | null,
  writer: SnapshotWriter,
): Promise<ScanResult> {
  const job = {
    dirs: { rw: dirs.rw, ro: dirs.ro, numbers: dirs.numbers, area: dirs.area },
    prefix: ownPrefix(),
    ro: dirs.ro,
    index: index ?? null,
    scope: layer.ro.digest,
    parent: pieces,
    parentScope: parent?.ro.digest ?? '',
    isFirst: !(await catalogue.hasContents(layer.ro.digest)),
    restamped: stampsFor(restamped, parent?.id, layer.rw),
    changed: follows(parent, layer) ? (journal?.changed ?? null) : null,
  }
  return runJob('scan', job, writer, onProgress)
}

// A list that is taken over names contents of the same read-only sublayer.
const follows = (parent: SnapshotRecord | null, layer: LayerRecord): boolean =>
  parent !== null && parent.ro.digest === layer.ro.digest && parent.rw === layer.rw

async function recordOf(
  options: TakeSnapshot,
  found: ScanResult,
  parent: SnapshotRecord | null,
  at: number,
  stored: number,
): Promise<SnapshotRecord> {
  const { catalogue, layer, message = '', label = null, tags = {}, trigger = 'manual' } = options
  const last = await catalogue.snapshotBack(layer.id, 0)
  return {
    id: options.id ?? newId(),
    layer: layer.id,
    // Later than every other, also where the clock went back.
    time: Math.max(at, (last?.time ?? 0) + 1),
    message,
    label,
    tags: { ...tags },
    trigger,
    pinned: false,
    parent: parent?.id ?? null,
    ro: { version: layer.ro.version, digest: layer.ro.digest },
    rw: layer.rw,
    entries: found.entries,
    bytes: found.bytes,
    stored,
    counts: found.counts,
    journal: options.journal?.position ?? null,
    dependsOnBase: found.dependsOnBase,
    owners: found.owners,
    format: 1,
  }
}
