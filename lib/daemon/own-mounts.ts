// Paths that this process may not look at: those in mounts that it answers for itself.
//
// Rule: with fuse-native the union runs in the main thread, and a blocking call of that thread
// into one of its mounts would wait for itself for ever. What a mounted state shows is read through the
// main thread always.

import { Failure } from '../base/failure.ts'
import type { Control } from './control.ts'
import { realPath } from './host-path.ts'

/** Refuses a path in a mount that the main thread serves: SVS_TREE_INSIDE_MOUNT. */
export async function refuseOwnMount(control: Control, path: string): Promise<void> {
  const own = control.mounts?.list().some(({ state }) => state !== null) ?? false
  if (!own && control.transport !== 'fuse-native') return
  // One that is not there is refused by whoever wants it, and by its parents' mount here.
  const place = await realPath(path).catch(() => path)
  const mounted = control.mounts?.containing(place) ?? null
  if (mounted === null) return
  if (mounted.state !== null || control.transport === 'fuse-native')
    throw new Failure('SVS_TREE_INSIDE_MOUNT', place, mounted.mountPoint)
}
