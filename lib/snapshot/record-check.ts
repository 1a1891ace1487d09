// The records of a catalogue by their schemas, and the keys that lead to them.
//
// Rule: each kind of key has its row; a key of a later version is passed over.

import type { z } from 'zod'
import { Failure } from '../base/failure.ts'
import type { Catalogue } from './catalogue.ts'
import { decode } from './key-value.ts'
import { below, key } from './keys.ts'
import {
  content,
  layerRecord,
  pieces,
  redoPlan,
  removedLayer,
  schedule,
  snapshotRecord,
  undoRecord,
} from './records.ts'
import { readTable } from './table.ts'

export interface BadRecord {
  readonly at: string
  readonly why: string
}

const SCHEMAS: Readonly<Record<string, z.ZodType>> = {
  layer: layerRecord,
  removed: removedLayer,
  snapshot: snapshotRecord,
  tree: pieces,
  content,
  plan: redoPlan,
  schedule,
  undo: undoRecord,
}

/** What is wrong with the records, of one layer or of all. */
export async function checkRecords(
  catalogue: Catalogue,
  layer: string | null,
): Promise<BadRecord[]> {
  const bad: BadRecord[] = []
  for (const [prefix, schema] of Object.entries(SCHEMAS)) {
    // Lists and contents are no layer's own: those of its states are looked at by themselves.
    if (layer !== null && (prefix === 'tree' || prefix === 'content')) continue
    for await (const at of catalogue.keys(below(prefix))) {
      if (layer !== null && prefix === 'snapshot' && !at.startsWith(`snapshot/${layer}/`)) continue
      const why = await wrongWith(catalogue, at, schema)
      if (why !== null) bad.push({ at, why })
    }
  }
  return [...bad, ...(await checkNames(catalogue, layer))]
}

async function wrongWith(
  catalogue: Catalogue,
  at: string,
  schema: z.ZodType,
): Promise<string | null> {
  const bytes = await catalogue.value(at)
  if (bytes === null) return null
  try {
    if (at.startsWith('tree/')) readTable(bytes, at)
    else decode(schema, bytes, at)
    return null
  } catch (err) {
    if (err instanceof Failure) return err.message
    throw err
  }
}

/** The keys by which states are found: each leads to a record, and each record has its own. */
async function checkNames(catalogue: Catalogue, layer: string | null): Promise<BadRecord[]> {
  const bad: BadRecord[] = []
  const ranges = (prefix: string) => below(layer === null ? prefix : `${prefix}/${layer}`)
  for await (const at of catalogue.keys(ranges('snapshot'))) {
    const [of, time, id] = at.split('/').slice(1) as [string, string, string]
    const found: BadRecord[] = []
    const named = (await catalogue.value(key.id(of, id)))?.toString()
    if (named !== time) found.push({ at: key.id(of, id), why: 'it does not lead to its state' })
    if (!(await catalogue.has(key.tree(id)))) found.push({ at: key.tree(id), why: 'it is missing' })
    // A state goes with its names: where it is gone by now they are not missed.
    if (found.length > 0 && (await catalogue.has(at))) bad.push(...found)
  }
  for (const prefix of ['id', 'label', 'head'])
    for await (const at of catalogue.keys(prefix === 'head' ? below('head') : ranges(prefix)))
      if (layer === null || at.split('/')[1] === layer)
        if (await leadsNowhere(catalogue, prefix, at)) bad.push({ at, why: NOWHERE })
  return bad
}

const NOWHERE = 'there is no such state'

/** True where a name leads to no state, and is still what it was when that was seen. */
async function leadsNowhere(catalogue: Catalogue, prefix: string, at: string): Promise<boolean> {
  const [, of, last] = at.split('/') as [string, string, string]
  const value = (await catalogue.value(at))?.toString() ?? null
  if (value === null) return false
  const to = prefix === 'id' ? key.snapshotAt(of, value, last) : key.id(of, value)
  if (await catalogue.has(to)) return false
  return (await catalogue.value(at))?.toString() === value
}
