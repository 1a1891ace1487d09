// Going back to states of layers.

import { z } from 'zod'
import { findState } from '../snapshot/state-name.ts'
import type { Control } from './control.ts'
import { type Call, method } from './method.ts'
import { type Restored, restoreState } from './restoring.ts'
import { nameShape } from './shapes.ts'
import { type StateLine, stateLine } from './state-methods.ts'

export interface RestoreAnswer extends Omit<Restored, 'before'> {
  readonly layer: string
  readonly state: StateLine
  /** The state that holds what was replaced: restoring it undoes the restore. */
  readonly before: StateLine
}

export const restoreMethods = {
  restore: method(
    z.strictObject({
      layer: nameShape,
      /** Id or the beginning of one, label, `latest`, `-1` for the one before the latest. */
      state: z.string().min(1).max(128),
    }),
    restore,
  ),
} as const

async function restore(
  control: Control,
  { layer: name, state }: { layer: string; state: string },
  call: Call,
): Promise<RestoreAnswer> {
  return control.alone(name, async (layer) => {
    const target = await findState(control.catalogue, layer, state)
    const { before, ...done } = await restoreState(control, layer, target, call)
    return {
      layer: name,
      state: stateLine(layer, target, target.id),
      before: stateLine(layer, before, target.id),
      ...done,
    }
  })
}
