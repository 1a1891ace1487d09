// A layer as lists show it.

import type { LayerRecord } from '../snapshot/records.ts'

export interface LayerLine {
  readonly name: string
  readonly id: string
  readonly active: boolean
  readonly priority: number
  /** Version of its read-only sublayer, from 1. */
  readonly version: number
  /** SHA-256 of the read-only sublayer, '' where it was not computed. */
  readonly digest: string
  /** Names in the read-only sublayer, and bytes of its files. */
  readonly entries: number
  readonly bytes: number
  /** Milliseconds since 1970. */
  readonly created: number
}

export const layerLine = (record: LayerRecord): LayerLine => ({
  name: record.name,
  id: record.id,
  active: record.active,
  priority: record.priority,
  version: record.ro.version,
  digest: record.ro.digest,
  entries: record.ro.entries,
  bytes: record.ro.bytes,
  created: record.created,
})

/** The order of all lists of layers. */
export const byName = (a: LayerLine, b: LayerLine): number => (a.name < b.name ? -1 : 1)
