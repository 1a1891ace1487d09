// What contents are made from, and how large the pieces may be that a record asks for.
//
// Rule: a record that claims more than these is damaged; nothing is allocated for it.

import type { DepotReader } from './depot.ts'

/** Longest part, and longest frame: a record that claims more is damaged. */
export const LARGEST_PART = 32 * 1024 * 1024
/** Largest content of which others are slices. */
export const LARGEST_PACK = 8 * 1024 * 1024

/** What a content is made from, beside the depot. */
export interface Sources {
  readonly depot: DepotReader
  /** Digest of the read-only sublayer under which contents are kept. */
  readonly scope: string
  /** Its trees, top first; absolute. */
  readonly ro: readonly string[]
  /** A directory on a disk with room, for nameless files. */
  readonly temporary: string
}

/** Called with stretches of data in ascending order; holes are left out. */
export type Sink = (bytes: Buffer, offset: number) => void
