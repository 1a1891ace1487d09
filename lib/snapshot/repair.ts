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
import { del, type Operation, putJson, putText } from './key-value.ts'
import { key, lastPart } from './keys.ts'
import type { SnapshotRecord } from './records.ts'
import type { ScanJob } from './scan.ts'
import { runJob } from './thread.ts'
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
    if (kind === 'chunk' && (await isAltered(catalogue, at))) operations.push(del(at))
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
  const bytes = await catalogue.value(at)
  return bytes !== null && sha256(bytes) !== lastPart(at)
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

// Stamps only spare work: a list does without.
async function dropStamps(catalogue: Catalogue, faults: readonly Fault[]): Promise<void> {
  const bad = new Set(faults.filter(({ kind }) => kind === 'chunk').map(({ at }) => lastPart(at)))
  const states = new Set(faults.flatMap(({ hurts }) => hurts.map(({ state }) => state)))
  for (const state of states) {
    const pieces = await catalogue.pieces(state).catch(() => null)
    if (pieces === null || !pieces.some(({ stamps }) => stamps.some((id) => bad.has(id)))) continue
    const without = pieces.map((piece) =>
      piece.stamps.some((id) => bad.has(id)) ? { ...piece, stamps: [] } : piece,
    )
    await catalogue.batch([putJson(key.tree(state), without)])
  }
}

/** Stores what a writable sublayer has now as if no state were known. */
export async function storeLive(
  catalogue: Catalogue,
  job: Omit<ScanJob, 'parent' | 'parentScope' | 'changed'>,
): Promise<void> {
  await withWriter(catalogue, (writer) =>
    runJob('scan', { ...job, parent: null, parentScope: '', changed: null }, writer),
  )
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

async function withWriter(
  catalogue: Catalogue,
  work: (writer: SnapshotWriter) => Promise<unknown>,
): Promise<void> {
  const writer = await catalogue.writer()
  try {
    await work(writer)
    await writer.flush()
  } finally {
    writer.end()
  }
}

/** Layers whose states are hurt. */
export const layersHurt = (faults: readonly Fault[]): Set<SnapshotRecord['layer']> =>
  new Set(faults.flatMap(({ hurts }) => hurts.map(({ layer }) => layer)))
