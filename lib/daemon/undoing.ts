// Taking the last operation on a layer back.
//
//   operation ─▶ remember: what it was, the state or the record before ─▶ undo
//
//   restore, reset   back to the state before, or of parts to theirs in it
//   replace          the same, on the version before
//   activate, …      as it was;   sublayer   the former one;   delete   the layer is back
//
// Rule: what undoing replaces is a state first, as with any restore: nothing newer is lost by it.

import { Failure } from '../base/failure.ts'
import type { LayerRecord, UndoRecord } from '../snapshot/records.ts'
import { findState } from '../snapshot/state-name.ts'
import type { Control } from './control.ts'
import type { Call } from './method.ts'
import { bringBack } from './removal.ts'
import { restoreState } from './restoring.ts'
import { switchTo } from './sublayer-methods.ts'
import { FIRST_SUBLAYER } from './sublayers.ts'

export interface Undone {
  readonly what: UndoRecord['what']
  /** Milliseconds since 1970 when it was done. */
  readonly at: number
  readonly layer: string
  /** Id of the state that holds what undoing replaced; null where it replaced nothing. */
  readonly before: string | null
  readonly mounts: readonly string[]
  /** Later operations that cannot be taken back any more: their states are deleted. */
  readonly skipped: readonly Skipped[]
}

export type Skipped = Pick<UndoRecord, 'what' | 'at' | 'name'> & { readonly state: string }

/** Takes the first of the operations back that can be, and forgets those before it. */
export async function undoFirst(
  control: Control,
  records: readonly UndoRecord[],
  call: Call,
): Promise<Undone> {
  const lost: UndoRecord[] = []
  for (const record of records) {
    try {
      const done = await undo(control, record, call)
      for (const each of lost) await control.catalogue.deleteUndo(each)
      return { ...done, skipped: lost.map(skippedLine) }
    } catch (err) {
      if (!(err instanceof Failure) || err.code !== 'SVS_STATE_NOT_FOUND') throw err
      lost.push(record)
    }
  }
  const [first] = lost
  throw first === undefined
    ? new Failure('SVS_NOTHING_TO_UNDO', 'any layer')
    : new Failure('SVS_STATE_NOT_FOUND', first.name, first.state ?? '')
}

const skippedLine = ({ what, at, name, state }: UndoRecord): Skipped => ({
  what,
  at,
  name,
  state: state ?? '',
})

/** Takes an operation back, and forgets it. */
async function undo(
  control: Control,
  record: UndoRecord,
  call: Call,
): Promise<Omit<Undone, 'skipped'>> {
  const done =
    record.what === 'delete'
      ? await undelete(control, record)
      : await turnBack(control, record, call)
  await control.catalogue.deleteUndo(record)
  return { what: record.what, at: record.at, ...done }
}

type Done = Pick<Undone, 'layer' | 'before' | 'mounts'>

async function undelete(control: Control, { layer, name }: UndoRecord): Promise<Done> {
  const record = await bringBack(control, layer, name)
  return { layer: record.name, before: null, mounts: [] }
}

// By its id: it may have another name by now.
async function turnBack(control: Control, undone: UndoRecord, call: Call): Promise<Done> {
  const known = await control.catalogue.layer(undone.layer)
  if (known === null) throw new Failure('SVS_LAYER_NOT_FOUND', undone.name)
  return control.alone(known.name, async (layer) => {
    const { before, mounts } = await turnedBack(control, layer, undone, call)
    return { layer: layer.name, before, mounts }
  })
}

async function turnedBack(
  control: Control,
  layer: LayerRecord,
  { what, state, before, paths }: UndoRecord,
  call: Call,
): Promise<Pick<Done, 'before' | 'mounts'>> {
  if (state !== null) {
    const target = await findState(control.catalogue, layer, state)
    const parts = paths === undefined ? null : { paths, keepBoth: false, absent: true }
    // A replacement brought what is said of the new version, too.
    const said =
      what === 'replace' && before !== null
        ? { excludes: before.excludes, manifest: before.manifest }
        : {}
    const done = await restoreState(control, { ...layer, ...said }, target, call, parts)
    return { before: done.before.id, mounts: done.mounts }
  }
  if (before === null) throw new Failure('SVS_NOTHING_TO_UNDO', layer.name)
  if (what === 'sublayer') {
    const name = before.sublayer ?? FIRST_SUBLAYER
    const { mounts } = await switchTo(control, layer, name, false)
    await forgetLast(control, layer)
    return { before: null, mounts }
  }
  return { before: null, mounts: await control.publish({ ...layer, active: before.active }) }
}

// Switching back is remembered as switching is; undoing is not.
async function forgetLast(control: Control, { id }: LayerRecord): Promise<void> {
  const last = (await control.catalogue.undos()).findLast(({ layer }) => layer === id)
  if (last?.what === 'sublayer') await control.catalogue.deleteUndo(last)
}
