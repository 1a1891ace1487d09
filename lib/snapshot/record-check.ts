// The records of a catalogue by their schemas, and the keys that lead to them.
//
// Rule: each kind of key has its row; a key of a later version is passed over.

import type { z } from 'zod'
import { Failure } from '../base/failure.ts'
import type { Catalogue } from './catalogue.ts'
import { decode } from './key-value.ts'
import { below, key, lastPart } from './keys.ts'
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
    decode(schema, bytes, at)
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
    const named = (await catalogue.value(key.id(of, id)))?.toString()
    if (named !== time) bad.push({ at: key.id(of, id), why: 'it does not lead to its state' })
    if (!(await catalogue.has(key.tree(id)))) bad.push({ at: key.tree(id), why: 'it is missing' })
  }
  for await (const at of catalogue.keys(ranges('id'))) {
    const [of, id] = at.split('/').slice(1) as [string, string]
    const time = (await catalogue.value(at))?.toString() ?? ''
    if (!(await catalogue.has(key.snapshotAt(of, time, id))))
      bad.push({ at, why: 'there is no such state' })
  }
  for await (const at of catalogue.keys(ranges('label'))) {
    const of = at.split('/')[1]!
    const id = (await catalogue.value(at))?.toString() ?? ''
    if (!(await catalogue.has(key.id(of, id)))) bad.push({ at, why: 'there is no such state' })
  }
  for await (const at of catalogue.keys(below('head'))) {
    const of = lastPart(at)
    if (layer !== null && of !== layer) continue
    const id = (await catalogue.value(at))?.toString() ?? ''
    if (!(await catalogue.has(key.id(of, id)))) bad.push({ at, why: 'there is no such state' })
  }
  return bad
}
