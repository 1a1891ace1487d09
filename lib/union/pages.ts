// Pages that a kernel's cache has changed and not yet written to us. They lie between what
// programs see and the file: whoever looks at the file itself asks for them first.
//
//   open in one mount   ◀─ what programs wrote through the others, also without a close or fsync
//   SEEK_DATA, _HOLE    ◀─ what they wrote through this one: the kernel asks us without sending it
//
// Rule: only a node that was opened for writing has such pages. The request is parked until an io
// thread has had them written.

import { type Caller, type Job, Parked } from '../fuse/filesystem.ts'
import { must, sys } from '../host/sys.ts'
import type { UnionNode } from './node.ts'
import type { View } from './view.ts'

/** A node in the cache of one view's kernel. */
export interface Cached {
  readonly view: View
  readonly node: UnionNode
}

/**
 * Parks the request until the kernels have written what they have of these nodes. True where they
 * have been asked, false where they have nothing.
 */
export function flushPages(view: View, caller: Caller, nodes: Iterable<Cached>): boolean {
  if (caller.finished?.kind === 'flush') {
    closePages(caller.finished)
    return true
  }
  const pages = []
  for (const { view: own, node } of nodes) {
    if (node.open?.cached === true && own.device !== -1) {
      // The mount may end meanwhile, and its number be another file's.
      pages.push({ device: must(sys.dup(own.device), 'dup'), node: node.id })
    }
  }
  if (pages.length > 0) throw new Parked(view.newJob({ kind: 'flush', pages }))
  return false
}

/** Gives back what a job of `flushPages` held, once: a request that fails afterwards is given up, too. */
export function closePages(job: Job): void {
  if (job.kind !== 'flush') return
  for (const { device } of job.pages.splice(0)) sys.close(device)
}
