// Going back to states of layers: whole, in parts, or elsewhere; and what that would do.

import { chmod, mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { Failure } from '../base/failure.ts'
import { bytesOf, type RelPath, relPath, shown } from '../base/path.ts'
import type { LayerRecord, UndoRecord } from '../snapshot/records.ts'
import { copyOutState } from '../snapshot/restore.ts'
import { findState } from '../snapshot/state-name.ts'
import type { Control } from './control.ts'
import { hostPath } from './host-path.ts'
import { type Call, method } from './method.ts'
import { realDirectory, resolvedMountPoint } from './mount-point.ts'
import { remember } from './remember.ts'
import {
  belowOf,
  type PartsWish,
  planOf,
  type Restored,
  restoreState,
  versionOf,
} from './restoring.ts'
import { nameShape, pathShape } from './shapes.ts'
import { type StateLine, stateLine } from './state-methods.ts'
import { readOnly } from './states.ts'
import { plural } from './text.ts'
import { type Undone, undoFirst } from './undoing.ts'

export interface RestoreAnswer extends Omit<Restored, 'before' | 'paths'> {
  readonly layer: string
  readonly state: StateLine
  /** The state that holds what was replaced: restoring it undoes the restore. */
  readonly before: StateLine
}

/** Paths as people read them. */
export interface PlanAnswer {
  readonly layer: string
  readonly state: StateLine
  /** True where the whole writable sublayer would be exchanged: then nothing is listed. */
  readonly whole: boolean
  readonly write: readonly { readonly path: string; readonly size: number }[]
  readonly remove: readonly string[]
  readonly attrs: readonly string[]
  /** Files whose present content is in no state; it is in one before anything is replaced. */
  readonly lose: readonly string[]
}

export interface CopyAnswer {
  readonly layer: string
  readonly state: StateLine
  readonly directory: string
  readonly entries: number
  readonly bytes: number
  /** What this user could not make there. */
  readonly left: readonly string[]
}

const target = z.strictObject({
  layer: nameShape,
  /** Id or the beginning of one, label, `latest`, `-1` for the one before the latest. */
  state: z.string().min(1).max(128),
  /** Paths inside the layer, or in a mount that shows it; null for all of it. */
  paths: z.array(z.string().min(1).max(8192)).min(1).max(10_000).nullable().default(null),
})
const inPlace = target.extend({ keepBoth: z.boolean().default(false) })

/** What can be taken back. */
export interface UndoLine {
  readonly what: UndoRecord['what']
  /** Milliseconds since 1970. */
  readonly at: number
  readonly layer: string
  readonly state: string | null
  readonly paths: readonly string[] | null
}

const some = z.strictObject({ layer: nameShape.nullable().default(null) })

export const restoreMethods = {
  undo: method(some, undoLast),
  'undo.list': method(some, async (control, { layer }) =>
    (await undosOf(control, layer)).map(({ what, at, name, state, paths }) => ({
      what,
      at,
      layer: name,
      state,
      paths: paths?.map(shownPath) ?? null,
    })),
  ),
  restore: method(inPlace, restore),
  'restore.plan': method(inPlace, plan),
  'restore.to': method(target.extend({ directory: pathShape }), copyOut),
} as const

async function restore(
  control: Control,
  { layer: name, state, paths, keepBoth }: z.infer<typeof inPlace>,
  call: Call,
): Promise<RestoreAnswer> {
  return control.alone(name, async (layer) => {
    const target = await findState(control.catalogue, layer, state)
    const parts = partsOf(control, layer, paths, keepBoth)
    const {
      before,
      paths: changed,
      ...done
    } = await restoreState(control, layer, target, call, parts)
    const about = changed === null ? {} : { paths: [...changed] }
    if (changed === null || changed.length > 0)
      await remember(control, 'restore', layer, { state: before.id, ...about })
    const head = await control.catalogue.head(layer.id)
    return {
      layer: name,
      state: stateLine(layer, target, head),
      before: stateLine(layer, before, head),
      ...done,
    }
  })
}

async function plan(
  control: Control,
  { layer: name, state, paths, keepBoth }: z.infer<typeof inPlace>,
  call: Call,
): Promise<PlanAnswer> {
  return control.alone(name, async (layer) => {
    const target = await findState(control.catalogue, layer, state)
    const parts = partsOf(control, layer, paths, keepBoth)
    const found = await planOf(control, layer, { target, parts }, call)
    const head = await control.catalogue.head(layer.id)
    const line = stateLine(layer, target, head)
    if (found === null)
      return { layer: name, state: line, whole: true, write: [], remove: [], attrs: [], lose: [] }
    return {
      layer: name,
      state: line,
      whole: false,
      write: found.write.map(({ path, size }) => ({ path: shownPath(path), size })),
      remove: found.remove.map(shownPath),
      attrs: found.attrs.map(shownPath),
      lose: found.lose.map(shownPath),
    }
  })
}

async function copyOut(
  control: Control,
  { layer: name, state, paths, directory }: z.infer<typeof target> & { directory: string },
  call: Call,
): Promise<CopyAnswer> {
  const { place: into, fresh } = await outside(control, directory)
  return control.alone(name, async (layer) => {
    const snapshot = await findState(control.catalogue, layer, state)
    const { version } = versionOf(layer, snapshot)
    const done = await copyOutState({
      catalogue: control.catalogue,
      snapshot,
      ro: readOnly(control, layer, version),
      index: belowOf(control, layer, version).index,
      paths: partsOf(control, layer, paths, false)?.paths ?? [relPath('')],
      into: bytesOf(into),
      fresh,
      onProgress: ({ entries }) => call.progress(`wrote ${plural(entries, 'name')}`),
    })
    const head = await control.catalogue.head(layer.id)
    const left = done.left.map(shownPath)
    return { layer: name, state: stateLine(layer, snapshot, head), directory: into, ...done, left }
  })
}

/** The newest first; of a layer by the name that it has, or had. */
async function undosOf(control: Control, name: string | null): Promise<UndoRecord[]> {
  const all = (await control.catalogue.undos()).reverse()
  if (name === null) return all
  const named = (await control.catalogue.layers()).find((layer) => layer.name === name)?.id
  return all.filter(({ layer, name: then }) =>
    named === undefined ? then === name : layer === named,
  )
}

async function undoLast(
  control: Control,
  { layer }: { layer: string | null },
  call: Call,
): Promise<Undone> {
  const records = await undosOf(control, layer)
  if (records.length === 0) throw new Failure('SVS_NOTHING_TO_UNDO', layer ?? 'any layer')
  return undoFirst(control, records, call)
}

const shownPath = (path: RelPath): string => `/${shown(path)}`

/** A directory that no mount of this store shows, and that is not the store; made where it is absent. */
async function outside(
  control: Control,
  directory: string,
): Promise<{ place: string; fresh: boolean }> {
  const found = await resolvedMountPoint(directory).catch(() => null)
  refuseInside(control, found ?? (await resolvedMountPoint(dirname(directory))))
  if (found === null) {
    try {
      await mkdir(hostPath(directory))
      await chmod(hostPath(directory), 0o755)
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException
      throw new Failure('SVS_DIRECTORY_INVALID', directory, String(code), { cause })
    }
  }
  return { place: await realDirectory(directory, 'SVS_DIRECTORY_INVALID'), fresh: found === null }
}

function refuseInside(control: Control, place: string): void {
  const mounted = control.mounts?.containing(place)
  if (mounted) throw new Failure('SVS_TREE_INSIDE_MOUNT', place, mounted.mountPoint)
  const { root } = control.store.places
  if (`${place}/`.startsWith(`${root}/`))
    throw new Failure('SVS_DIRECTORY_INVALID', place, `it belongs to the store ${root}`)
}

/** Null where the whole layer is meant. */
function partsOf(
  control: Control,
  layer: LayerRecord,
  paths: readonly string[] | null,
  keepBoth: boolean,
): PartsWish | null {
  if (paths === null && !keepBoth) return null
  const wanted = (paths ?? ['/']).map((path) => insideOf(control, layer, path))
  return wanted.includes(relPath('')) && !keepBoth ? null : { paths: wanted, keepBoth }
}

/** Where a mount shows it, or as the layer has it. The text is not looked up: it may be absent now. */
export function insideOf(control: Control, layer: LayerRecord, path: string): RelPath {
  const mounted = path.startsWith('/') ? control.mounts?.containing(path) : null
  const isOf = mounted?.shows.includes(layer.id) === true || mounted?.state?.layer === layer.id
  const shows = isOf && mounted.mountPoint !== '/'
  try {
    return relPath(bytesOf(shows ? path.slice(mounted.mountPoint.length) : path))
  } catch (cause) {
    throw new Failure('SVS_PATH_INVALID', path, { cause })
  }
}
