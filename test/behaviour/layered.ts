// START cut into the branches of a stack, once for every behaviour.
//
//   root/<branch>/<start>/…   top branch first, with whiteouts and opaque directories
//
// Rule: branches that a view may not write are its `lowers`, and are compared in the end.

import { mkdirSync } from 'node:fs'
import type { Tree } from './draw.ts'
import { drawAt } from './ground.ts'
import { RealPlace } from './real-place.ts'
import { splitStart } from './split.ts'

export interface LayeredBranch {
  /** Directory under the ground's root. */
  readonly name: string
  /** True where it may hold whiteouts. */
  readonly marks: boolean
  readonly writable: boolean
}

export const upper = (name: string): LayeredBranch => ({ name, marks: true, writable: true })
/** A read-only tree that may hold whiteouts, as container images have them. */
export const image = (name: string): LayeredBranch => ({ name, marks: true, writable: false })
/** A read-only tree of plain files. */
export const lower = (name: string): LayeredBranch => ({ name, marks: false, writable: false })

/** The mark prefix that this process can write. */
const markPrefix = (): 'trusted' | 'user' => (process.geteuid?.() === 0 ? 'trusted' : 'user')

export function drawLayered(
  root: string,
  branches: readonly LayeredBranch[],
  starts: readonly string[],
  tree?: Tree,
): void {
  const trees = splitStart(branches, markPrefix(), tree)
  for (const [i, { name }] of branches.entries()) {
    mkdirSync(`${root}/${name}`, { recursive: true })
    for (const start of starts) drawAt(`${root}/${name}`, start, trees[i]!)
  }
}

export const lowersOf = (root: string, branches: readonly LayeredBranch[]): RealPlace[] =>
  branches
    .filter((branch) => !branch.writable)
    .map((branch) => new RealPlace(`${root}/${branch.name}`))
