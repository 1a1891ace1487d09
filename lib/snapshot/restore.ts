// Going back to a state: in place, by a redo plan; or as a writable sublayer of its own.
//
//   prepareRestore ─▶ putPlan ─▶ applyRedo (redo.ts) ─▶ finishRestore
//                                in one step of the fuse thread where the layer is mounted
//
// After a crash: for each of `catalogue.plans()`, applyRedo and finishRestore again, before anything
// in `work` is tidied up.
//
// Rule: whoever calls has taken a snapshot of what is replaced; nothing changes the writable
// sublayer between prepareRestore and applyRedo but what this says is lost.

import { type RelPath, shown } from '../base/path.ts'
import { removeTree } from '../host/remove-tree.ts'
import { AT_FDCWD, must, O, sys } from '../host/sys.ts'
import type { Changed } from '../layer/changed.ts'
import { ownPrefix } from '../layer/marks.ts'
import type { BelowIndex } from './below.ts'
import { type Catalogue, newId } from './catalogue.ts'
import type { CopiedOut } from './copy-out.ts'
import type { Difference, DiffWish } from './diff.ts'
import type { ImageDirs } from './image.ts'
import type { Parts } from './parts.ts'
import type { RestorePlan } from './plan.ts'
import type { LayerRecord, RedoPlan, SnapshotRecord } from './records.ts'
import { type RedoDirs, stageName } from './redo.ts'
import { type Restamped, readStamps, stampsFor } from './restamped.ts'
import type { Progress } from './scan.ts'
import { headOf, piecesOf } from './snapshot.ts'
import type { Staged } from './stage.ts'
import type { Busy } from './stage-large.ts'
import { runJob } from './thread.ts'

export interface RestoreOptions {
  readonly catalogue: Catalogue
  readonly layer: LayerRecord
  /** The state to go to. */
  readonly snapshot: SnapshotRecord
  /** Absolute paths, bytes as latin1 text. */
  readonly dirs: ImageDirs & {
    readonly work: string
    /** The read-only trees that the state was made on (`snapshot.ro.version`), top first. */
    readonly ro: readonly string[]
  }
  /** Id of a state that is what is in the layer now: it was taken of this very image. */
  readonly now?: string
  /** What the last restore put in place, where that is known. */
  readonly restamped?: Restamped | null
  /** What changed since the state that the layer comes from, and is in no other. */
  readonly changed?: Changed
  /** What programs have open; nothing by default. */
  readonly busy?: Busy
  /** Single paths; the state that the layer comes from stays what it is then. */
  readonly parts?: Parts
  readonly onProgress?: (progress: Progress) => void
}

async function planJob({
  catalogue,
  layer,
  snapshot,
  dirs,
  parts,
  now,
  changed,
  restamped,
}: Omit<RestoreOptions, 'snapshot'> & { readonly snapshot: SnapshotRecord | null }) {
  const head = await headOf(catalogue, layer.id)
  return {
    headIsNow: head !== null && head.id === now,
    ...(changed === undefined ? {} : { changed }),
    ...(parts === undefined ? {} : { parts }),
    restamped: stampsFor(restamped, head?.id, layer.rw),
    dirs: {
      rw: dirs.rw,
      ro: parts === undefined ? dirs.ro : [parts.now.path],
      numbers: dirs.numbers,
      area: dirs.area,
    },
    prefix: ownPrefix(),
    target: snapshot === null ? [] : await catalogue.pieces(snapshot.id),
    head: await piecesOf(catalogue, head),
  }
}

/** What a restore would do. Changes nothing. */
export async function planRestore(options: RestoreOptions): Promise<RestorePlan> {
  const job = await planJob(options)
  return (await runJob('plan', job, options.catalogue, options.onProgress)).plan
}

/**
 * Gets everything ready in `work`, flushed. Then: `catalogue.putPlan(redo)`, `applyRedo`,
 * `finishRestore`. Throws SVS_CHUNK_DAMAGED, SVS_RO_CHANGED with nothing changed.
 */
export async function prepareRestore(options: RestoreOptions): Promise<Staged> {
  const { catalogue, layer, snapshot, dirs, parts, busy = [] } = options
  const job = {
    ...(await planJob(options)),
    state: snapshot.id,
    becomes: parts === undefined ? snapshot.id : ((await catalogue.head(layer.id)) ?? snapshot.id),
    ro: dirs.ro,
    scope: snapshot.ro.digest,
    id: newId(),
    layer: layer.id,
    rw: layer.rw,
    work: dirs.work,
    version: snapshot.ro.version,
    busy,
  }
  return runJob('stage', job, catalogue, options.onProgress)
}

/**
 * Ends a restore that was applied: flushed, the plan gone, the state the head, the stage removed. Answers what
 * is known of what it put in place, if that is the whole state.
 */
export async function finishRestore(
  catalogue: Catalogue,
  dirs: RedoDirs,
  redo: RedoPlan,
): Promise<Restamped | null> {
  const stamps = readStamps(dirs, redo)
  syncDisk(dirs.rw)
  await catalogue.deletePlan(redo)
  discardRestore(dirs, redo)
  return stamps === null ? null : { state: redo.state, rw: redo.rw, stamps }
}

/** Removes what a restore laid in `work`: after its end, or where it was given up before putPlan. */
export function discardRestore(dirs: Pick<RedoDirs, 'work'>, redo: Pick<RedoPlan, 'id'>): void {
  removeTree(AT_FDCWD, `${dirs.work}/${stageName(redo)}`)
}

function syncDisk(path: string): void {
  const fd = must(sys.openat(AT_FDCWD, path, O.RDONLY | O.DIRECTORY), shown(path))
  const done = sys.syncfs(fd)
  sys.close(fd)
  must(done, 'syncfs')
}

export interface BuildOptions {
  readonly catalogue: Catalogue
  readonly snapshot: SnapshotRecord
  /** As in RestoreOptions. */
  readonly ro: readonly string[]
  /** An empty directory that becomes the state, and the log of its inode numbers, which is made. */
  readonly rw: string
  readonly numbers: string | null
  readonly onProgress?: (progress: Progress) => void
}

/** Makes a state as a writable sublayer of its own, flushed. Returns how many entries it has. */
export async function buildState(options: BuildOptions): Promise<number> {
  const { catalogue, snapshot, ro, rw, numbers, onProgress } = options
  const job = {
    prefix: ownPrefix(),
    pieces: await catalogue.pieces(snapshot.id),
    state: snapshot.id,
    ro,
    scope: snapshot.ro.digest,
    into: rw,
    numbers,
  }
  return runJob('build', job, catalogue, onProgress)
}

export interface CopyOutOptions {
  readonly catalogue: Catalogue
  readonly snapshot: SnapshotRecord
  /** As in RestoreOptions. */
  readonly ro: readonly string[]
  readonly index: BelowIndex | null
  /** Which parts of the state; '' alone for all of it. */
  readonly paths: readonly RelPath[]
  /** An existing directory, outside of every layer; `fresh`: made for this. */
  readonly into: string
  readonly fresh: boolean
  readonly onProgress?: (progress: Progress) => void
}

/** Puts what a state shows into a directory. Throws SVS_PATH_EXISTS, SVS_PATH_NOT_IN_STATE. */
export async function copyOutState(options: CopyOutOptions): Promise<CopiedOut> {
  const { catalogue, snapshot, ro, index, paths, into, fresh, onProgress } = options
  const job = {
    prefix: ownPrefix(),
    pieces: await catalogue.pieces(snapshot.id),
    state: snapshot.id,
    ro,
    index,
    scope: snapshot.ro.digest,
    paths,
    into,
    fresh,
    id: newId(),
  }
  return runJob('copyOut', job, catalogue, onProgress)
}

/** What `after` shows otherwise than `before` (null: than the read-only sublayer alone). */
export async function differenceOfStates(
  catalogue: Catalogue,
  before: SnapshotRecord | null,
  after: SnapshotRecord,
  ro: readonly string[],
  wish: Omit<DiffWish, 'ro'> = {},
): Promise<Difference[]> {
  const job = {
    ...wish,
    before: await piecesOf(catalogue, before),
    after: await catalogue.pieces(after.id),
    ro,
    scope: after.ro.digest,
  }
  return runJob('diffStates', job, catalogue)
}

/** What the layer shows now otherwise than `snapshot` (null: than the read-only sublayer alone). */
export async function differenceNow(
  options: Omit<RestoreOptions, 'snapshot'> & { readonly snapshot: SnapshotRecord | null },
  wish: Omit<DiffWish, 'ro'> = {},
): Promise<Difference[]> {
  const { layer, dirs } = options
  const job = { ...wish, ...(await planJob(options)), ro: dirs.ro, scope: layer.ro.digest }
  return runJob('diffNow', job, options.catalogue, options.onProgress)
}
