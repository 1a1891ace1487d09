// What changed in a writable sublayer between two states, as its journal names it: plain data,
// because it goes from the fuse thread to a snapshot thread.
//
// Rule: it names too much rather than too little. What it does not name is as it was.

import type { RelPath } from '../base/path.ts'

export interface Changed {
  /** Paths in the sublayer. `whole`: with all that lies below, because the name came, went or moved. */
  readonly names: readonly (readonly [path: RelPath, whole: boolean])[]
  /** Inodes of files with several names, any of which may show the change, or with one that nobody named. */
  readonly files: readonly number[]
}
