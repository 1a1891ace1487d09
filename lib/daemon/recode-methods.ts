// Storing the programs of states better, when there is time.
//
//   states, the newest first ─▶ recodeState, one after the other ─▶ what they replaced: gc
//
// Rule: states are read and restored meanwhile; whatever is broken off leaves them as they were. The
// sweep has the time that is left; where that is none, the daemon does it later.

import { z } from 'zod'
import { Failure } from '../base/failure.ts'
import { bytesOf } from '../base/path.ts'
import { collectGarbage } from '../snapshot/gc.ts'
import { Pace } from '../snapshot/pace.ts'
import { type Recoded, recodeState } from '../snapshot/recode.ts'
import type { LayerRecord, SnapshotRecord } from '../snapshot/records.ts'
import { findState } from '../snapshot/state-name.ts'
import type { Control } from './control.ts'
import { type Call, method } from './method.ts'
import { nameShape, stateShape } from './shapes.ts'
import { readOnly } from './states.ts'
import { layerPlaces } from './store-path.ts'
import { plural } from './text.ts'

export interface RecodeAnswer extends Recoded {
  readonly states: number
  /** Bytes that are free already; null where that is left to gc. */
  readonly freed: number | null
}

const recodeShape = z.strictObject({
  /** All layers of the store by default, and all states of a layer. */
  layer: nameShape.nullable().default(null),
  state: stateShape.nullable().default(null),
  /** Nothing more is begun after so many; null for as long as it takes. */
  seconds: z.number().positive().nullable().default(null),
})

export const recodeMethods = { recode: method(recodeShape, recode) } as const

async function recode(
  control: Control,
  { layer: name, state, seconds }: z.infer<typeof recodeShape>,
  call: Call,
): Promise<RecodeAnswer> {
  const layers = name === null ? await control.catalogue.layers() : [await control.layer(name)]
  const end = seconds === null ? null : Date.now() + seconds * 1000
  const gone = new AbortController()
  call.whenGone(() => gone.abort())
  const broken = AbortSignal.any([gone.signal, control.ending.signal])
  const sum = { states: 0, programs: 0, recoded: 0, saved: 0, unfinished: false }
  for (const [layer, snapshot] of await wanted(control, layers, state)) {
    const budget = end === null ? null : Math.max(0, end - Date.now())
    sum.unfinished = broken.aborted || budget === 0
    if (sum.unfinished) break
    const done = await recodeOne(control, layer, snapshot, budget, (programs) =>
      call.progress(`looked at ${plural(sum.programs + programs, 'program')}`),
    )
    // Deleted meanwhile.
    if (done === null) continue
    sum.states += 1
    sum.programs += done.programs
    sum.recoded += done.recoded
    sum.saved += done.saved
    sum.unfinished = done.unfinished
    if (sum.unfinished) break
  }
  const left = end === null ? broken : AbortSignal.any([broken, endAt(end)])
  return { ...sum, freed: sum.recoded === 0 ? 0 : await sweep(control, left, call) }
}

const endAt = (end: number): AbortSignal => AbortSignal.timeout(Math.max(0, end - Date.now()))

async function sweep(control: Control, left: AbortSignal, call: Call): Promise<number | null> {
  // Also for a daemon that starts later, where this is broken off.
  await control.catalogue.forgetSwept()
  try {
    const pace = new Pace(1, left)
    const onProgress = (text: string) => call.progress(text)
    return (await collectGarbage(control.catalogue, { pace, onProgress })).bytes
  } catch (err) {
    // It needs more time, or is under way elsewhere.
    if (!(err instanceof Failure && LATER.has(err.code))) throw err
    control.upkeep.garbage()
    return null
  }
}

const LATER: ReadonlySet<string> = new Set(['SVS_CANCELLED', 'SVS_STORE_BUSY'])

async function wanted(
  control: Control,
  layers: readonly LayerRecord[],
  state: string | null,
): Promise<[LayerRecord, SnapshotRecord][]> {
  const all: [LayerRecord, SnapshotRecord][] = []
  for (const layer of layers)
    for (const snapshot of await statesOf(control, layer, state)) all.push([layer, snapshot])
  return all
}

// The newest first: they are what is restored most often, and what later states refer to.
async function statesOf(
  control: Control,
  layer: LayerRecord,
  state: string | null,
): Promise<SnapshotRecord[]> {
  if (state !== null) return [await findState(control.catalogue, layer, state)]
  return (await control.catalogue.snapshots(layer.id)).reverse()
}

/** Null for a state that was deleted meanwhile. */
export async function recodeOne(
  control: Control,
  layer: LayerRecord,
  snapshot: SnapshotRecord,
  budget: number | null,
  onProgress: (programs: number) => void = () => {},
): Promise<Recoded | null> {
  const job = {
    catalogue: control.catalogue,
    snapshot,
    ro: readOnly(control, layer, snapshot.ro.version),
    temporary: bytesOf(layerPlaces(control.store.places, layer.id).work),
    budget,
    onProgress,
  }
  try {
    return await recodeState(job)
  } catch (err) {
    if (err instanceof Failure && err.code === 'SVS_STATE_NOT_FOUND') return null
    throw err
  }
}
