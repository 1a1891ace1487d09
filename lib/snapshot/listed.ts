// Records of states as lists read them: thousands at a time.
//
//   bytes ─▶ JSON ─▶ plain? ─▶ taken as it is
//                        └ no ─▶ the schema, which names what is wrong
//
// Ten thousand records take a schema that has just been loaded 0.1 s, and this a few milliseconds.
//
// Rule: what is plain here passes the schema too (a test holds one against the other); what is
// not is left to it.

import { decode } from './key-value.ts'
import { type ListedState, listedState } from './records.ts'

const TRIGGERS: ReadonlySet<unknown> = new Set(listedState.shape.trigger.options)
const ID = /^[0-9a-f]{10,64}$/

/** A record out of its bytes. Throws SVS_CATALOGUE_DAMAGED, which names the key. */
export function decodeListed(bytes: Buffer, at: string): ListedState {
  const value = parsed(bytes)
  return isPlain(value) ? value : decode(listedState, bytes, at)
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString())
  } catch {
    return null
  }
}

/** True for a record that the schema passes as it is; not for all that it passes. */
export function isPlain(value: unknown): value is ListedState {
  if (!isObject(value)) return false
  const { ro, counts, tags } = value
  return (
    isText(value.id) &&
    ID.test(value.id) &&
    isText(value.layer) &&
    value.layer !== '' &&
    isText(value.message) &&
    (value.label === null || isText(value.label)) &&
    TRIGGERS.has(value.trigger) &&
    typeof value.pinned === 'boolean' &&
    areCounts(value.time, value.entries, value.bytes, value.stored) &&
    isObject(ro) &&
    areCounts(ro.version) &&
    isText(ro.digest) &&
    isObject(counts) &&
    areCounts(counts.added, counts.changed, counts.deleted, counts.attributes) &&
    (counts.renamed === undefined || areCounts(counts.renamed)) &&
    isObject(tags) &&
    Object.values(tags).every(isText)
  )
}

const isText = (value: unknown): value is string => typeof value === 'string'

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const areCounts = (...values: unknown[]): boolean =>
  values.every((value) => Number.isSafeInteger(value) && (value as number) >= 0)
