// Getting back what a catalogue lost, from what is still there.
//
//   names of states       from their records
//   chunks that are bad   gone, and contents that need them: whoever has those bytes stores them again
//   the live tree         scanned as if no state were known: its contents and lists are stored anew
//   read-only parts       files whose bytes have the name of a content that is missing
//
// Rule: what is taken away cannot be read by anybody; a state's record is never taken away. What comes
// back has the name that it had, so every state that lost it has it again.

import type { RelPath } from '../base/path.ts'
import type { Catalogue } from './catalogue.ts'
import type { MendJob } from './check.ts'
import { sha256 } from './depot.ts'
import { del, type Operation, put, putText } from './key-value.ts'
import { key, lastPart } from './keys.ts'
import type { Piece, SnapshotRecord } from './records.ts'
import type { ScanJob } from './scan.ts'
import { packTable } from './table.ts'
import { runJob } from './thread.ts'
import { digestOf, listChunks, madeWhole, stampChunks } from './tree.ts'
import type { Fault, VerifyOptions } from './verify.ts'
import { namesOf, type SnapshotWriter } from './writer.ts'

/**
 * Removes what cannot be used, and names states again. A content that is broken by another alone
 * goes only where it is `hopeless`: what it needs may come back.
 */
export async function clearDamage(
  catalogue: Catalogue,
  faults: readonly Fault[],
  hopeless: boolean,
): Promise<void> {
  const operations: Operation[] = []
  for (const { kind, at } of faults) {
    if (kind === 'content') operations.push(del(at))
    if (kind === 'chunk' && (await isAltered(catalogue, at))) await catalogue.chunks.remove([at])
    if (/^(id|label|head)\//.test(at)) operations.push(del(at))
  }
  for (const { broken } of faults)
    for (const [at, { direct }] of broken) if (direct || hopeless) operations.push(del(at))
  await catalogue.batch(operations)
  await nameStates(catalogue)
  await dropStamps(catalogue, faults)
}

// A chunk may have been stored anew since it was looked at.
async function isAltered(catalogue: Catalogue, at: string): Promise<boolean> {
  const bytes = await catalogue.chunk(lastPart(at))
  // A place that leads nowhere counts as well.
  return bytes === null ? catalogue.has(at) : sha256(bytes) !== lastPart(at)
}

async function nameStates(catalogue: Catalogue): Promise<void> {
  for await (const at of catalogue.keys({ gte: 'snapshot/', lt: 'snapshot0' })) {
    const [layer, time, id] = at.split('/').slice(1) as [string, string, string]
    const named = (await catalogue.value(key.id(layer, id)))?.toString() === time
    if (!named) await catalogue.batch([putText(key.id(layer, id), time)])
    const record = await catalogue.findSnapshot(layer, id).catch(() => null)
    if (record === null) continue
    const { label } = record
    if (named && (label === null || (await catalogue.labelled(layer, label)) !== null)) continue
    await catalogue.batch(namesOf(record))
  }
}

const badChunks = (faults: readonly Fault[]): ReadonlySet<string> =>
  new Set(faults.filter(({ kind }) => kind === 'chunk').map(({ at }) => lastPart(at)))

// Stamps only spare work: a list does without.
async function dropStamps(catalogue: Catalogue, faults: readonly Fault[]): Promise<void> {
  const bad = badChunks(faults)
  await eachPiece(catalogue, faults, (piece) =>
    stampChunks(piece).some((id) => bad.has(id))
      ? { ...piece, stamps: [], stampsOn: undefined }
      : piece,
  )
}

/** Writes the lists of states that are hurt anew, where one of their pieces becomes another. */
async function eachPiece(
  catalogue: Catalogue,
  faults: readonly Fault[],
  change: (piece: Piece) => Piece,
): Promise<void> {
  for (const state of new Set(faults.flatMap(({ hurts }) => hurts.map((hurt) => hurt.state)))) {
    const pieces = await catalogue.pieces(state).catch(() => null)
    const changed = pieces?.map(change)
    if (changed?.some((piece, at) => piece !== pieces![at]))
      await catalogue.batch([put(key.tree(state), packTable(changed))])
  }
}

/** Makes lists that rest on what is damaged whole, where the live tree (`storeLive`) has just these entries. */
export async function mendLists(
  catalogue: Catalogue,
  faults: readonly Fault[],
  live: readonly Piece[],
): Promise<void> {
  const bad = badChunks(faults)
  const isHurt = (piece: Piece) => piece.listOn !== undefined && listChunks(piece).some(isBad)
  const isBad = (id: string) => bad.has(id)
  let hurt = 0
  await eachPiece(catalogue, faults, (piece) => {
    if (isHurt(piece)) hurt += 1
    return piece
  })
  if (hurt === 0) return
  const whole = new Map<string | undefined, Piece>()
  for (const piece of live) whole.set(await digestOf(catalogue, piece), piece)
  await eachPiece(catalogue, faults, (piece) => {
    const same = isHurt(piece) ? whole.get(piece.listOn?.of) : undefined
    return same === undefined ? piece : madeWhole(piece, same)
  })
}

/** Stores what a writable sublayer has now as if no state were known. Answers its list, all of it whole. */
export async function storeLive(
  catalogue: Catalogue,
  job: Omit<ScanJob, 'parent' | 'parentScope' | 'changed'>,
): Promise<readonly Piece[]> {
  const { pieces } = await withWriter(catalogue, (writer) =>
    runJob('scan', { ...job, parent: null, parentScope: '', changed: null }, writer),
  )
  return pieces
}

/** Stores what files of the read-only parts have of the contents that faults hurt. */
export async function storeLower(options: VerifyOptions, faults: readonly Fault[]): Promise<void> {
  const { catalogue, temporary } = options
  const scopes = new Map<string, { id: string; paths: RelPath[] }[]>()
  for (const { broken } of faults) {
    for (const [at, { paths }] of broken) {
      const named = at.slice('content/'.length, at.lastIndexOf('/'))
      const scope = named === '-' ? '' : named
      const wanted = { id: lastPart(at), paths: [...paths] as RelPath[] }
      scopes.set(scope, [...(scopes.get(scope) ?? []), wanted])
    }
  }
  for (const [scope, wanted] of scopes) {
    const job: MendJob = { scope, ro: options.ro(scope), temporary, wanted }
    await withWriter(catalogue, (writer) => runJob('mend', job, writer))
  }
}

async function withWriter<T>(
  catalogue: Catalogue,
  work: (writer: SnapshotWriter) => Promise<T>,
): Promise<T> {
  const writer = await catalogue.writer()
  try {
    const done = await work(writer)
    await writer.flush()
    return done
  } finally {
    writer.end()
  }
}

/** Layers whose states are hurt. */
export const layersHurt = (faults: readonly Fault[]): Set<SnapshotRecord['layer']> =>
  new Set(faults.flatMap(({ hurts }) => hurts.map(({ layer }) => layer)))
