// Settling at once: unsettled files (lib/union/blocks.ts) become files like any other.
//
//   walk of rw: who has the mark? ─▶ mounted      the engine fills them, between requests
//                                 ─▶ not mounted  done here, piece by piece
//
// Rule: nothing that shows changes, so whatever fails or is broken off may be done again.

import { ERRNO, Errno, errnoName, errnoOf } from '../base/errno.ts'
import { Failure } from '../base/failure.ts'
import { type Log, silent } from '../base/log.ts'
import { type RelPath, shown } from '../base/path.ts'
import type { Job } from '../fuse/filesystem.ts'
import { fillPieces } from '../host/copy.ts'
import { AT_FDCWD, must, O, S, sys } from '../host/sys.ts'
import { Breath } from '../layer/breath.ts'
import { isMetacopy, ownPrefix, readBlocks } from '../layer/marks.ts'
import { walk } from '../layer/walk.ts'
import type { LayerRecord } from '../snapshot/records.ts'
import { SMALLEST } from '../union/blocks.ts'
import { Pool } from '../union/pool.ts'
import { beginPiece, unsettledAt, viewOfLayer } from '../union/settler.ts'
import type { LayerSpec } from '../union/spec.ts'
import type { View } from '../union/view.ts'
import type { Control } from './control.ts'
import { STACKS } from './queue.ts'
import { layerSpec } from './stack.ts'

/** What was settled of one layer. */
export interface Settled {
  readonly files: number
  /** Sizes of these files together. */
  readonly bytes: number
}

interface Found {
  readonly path: RelPath
  readonly size: number
}

const PIECE = 8 * 1024 * 1024

/** Settles all files of a layer's writable sublayer, wherever it is shown. Throws SVS_UNSETTLED. */
export async function settleLayer(control: Control, layer: LayerRecord): Promise<Settled> {
  const spec = layerSpec(control.store.places, layer)
  const isShown = () => (control.mounts?.showing(layer.id) ?? []).length > 0
  // Until it is done here nothing may mount it.
  const alone = await control.queue.run(STACKS, async () =>
    isShown() ? null : settleTree(spec, control.log),
  )
  if (alone !== null) return alone
  const found = await unsettledFiles(spec.rw!)
  const failed = await control.engine!.settle(
    layer.id,
    found.map(({ path }) => path),
  )
  return sumOf(found, failed)
}

/** Settles all files of a sublayer that no mount shows. Throws SVS_UNSETTLED. */
export async function settleTree(spec: LayerSpec, log: Log = silent): Promise<Settled> {
  const found = await unsettledFiles(spec.rw!)
  if (found.length === 0) return { files: 0, bytes: 0 }
  const view = viewOfLayer(new Pool(process.geteuid?.() === 0), spec, log)
  const failed: { path: string; errno: number }[] = []
  try {
    for (const { path } of found) {
      const errno = await settleFile(view, path)
      if (errno !== 0) failed.push({ path, errno })
    }
  } finally {
    view.destroy()
  }
  return sumOf(found, failed)
}

async function settleFile(view: View, path: RelPath): Promise<number> {
  const breath = new Breath()
  try {
    const blocks = unsettledAt(view, path)
    while (blocks !== null && !blocks.settled) {
      const job = beginPiece(blocks, PIECE)
      if (job === null) return 0
      fillHere(job)
      blocks.collect()
      if (blocks.error !== 0) return blocks.error
      await breath.taken()
    }
    return 0
  } catch (err) {
    return errnoOf(err) ?? ERRNO.EIO
  }
}

function fillHere(job: Job): void {
  if (job.kind !== 'fill') return
  try {
    for (const _count of fillPieces(job.from, job.to, job.runs));
    if (job.flush) must(sys.fdatasync(job.to), 'flush')
  } catch (err) {
    job.error = errnoOf(err) ?? ERRNO.EIO
  }
  job.done = true
}

/** The unsettled files of a writable sublayer. */
async function unsettledFiles(rw: string): Promise<Found[]> {
  const prefix = ownPrefix()
  const root = must(sys.openat(AT_FDCWD, rw, O.RDONLY | O.DIRECTORY), shown(rw))
  const breath = new Breath()
  const found: Found[] = []
  try {
    for (const { path, dir, name, stat } of walk(root)) {
      await breath.taken()
      if ((stat.mode & S.IFMT) !== S.IFREG || stat.size <= SMALLEST) continue
      if (!isMetacopy(dir, name, prefix) || readBlocks(dir, name, prefix) === null) continue
      found.push({ path, size: stat.size })
    }
    return found
  } finally {
    sys.close(root)
  }
}

function sumOf(
  found: readonly Found[],
  failed: readonly { readonly path: string; readonly errno: number }[],
): Settled {
  const [first] = failed
  if (first !== undefined) {
    const { path, errno } = first
    const more = failed.length > 1 ? `, and ${failed.length - 1} more` : ''
    const cause = new Errno(errno, 'settle')
    throw new Failure('SVS_UNSETTLED', `${shown(path)}${more}`, errnoName(errno), { cause })
  }
  const bytes = found.reduce((sum, { size }) => sum + size, 0)
  return { files: found.length, bytes }
}
