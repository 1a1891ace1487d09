// Storing the programs of states better, when there is time.
//
// Rule: states are read and restored meanwhile; whatever is broken off leaves them as they were.

import { z } from 'zod'
import { bytesOf } from '../base/path.ts'
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
  let gone = false
  call.whenGone(() => {
    gone = true
  })
  const sum = { states: 0, programs: 0, recoded: 0, saved: 0, unfinished: false }
  for (const layer of layers) {
    for (const snapshot of await statesOf(control, layer, state)) {
      const budget = end === null ? null : Math.max(0, end - Date.now())
      sum.unfinished = gone || control.ending.signal.aborted || budget === 0
      if (sum.unfinished) return sum
      const done = await recodeOne(control, layer, snapshot, budget, (programs) =>
        call.progress(`looked at ${plural(sum.programs + programs, 'program')}`),
      )
      sum.states += 1
      sum.programs += done.programs
      sum.recoded += done.recoded
      sum.saved += done.saved
      if (done.unfinished) return { ...sum, unfinished: true }
    }
  }
  return sum
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

function recodeOne(
  control: Control,
  layer: LayerRecord,
  snapshot: SnapshotRecord,
  budget: number | null,
  onProgress: (programs: number) => void,
): Promise<Recoded> {
  return recodeState({
    catalogue: control.catalogue,
    snapshot,
    ro: readOnly(control, layer, snapshot.ro.version),
    temporary: bytesOf(layerPlaces(control.store.places, layer.id).work),
    budget,
    onProgress,
  })
}
