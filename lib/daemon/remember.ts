// Writing down what an operation on a layer replaced, so that it can be taken back (undoing.ts).
//
// Rule: an operation counts once it is done, so its record is written after it.

import type { LayerRecord, UndoRecord } from '../snapshot/records.ts'
import type { Control } from './control.ts'

/** Writes down how to take back what was just done to a layer. */
export async function remember(
  control: Control,
  what: UndoRecord['what'],
  before: LayerRecord,
  about: Partial<Pick<UndoRecord, 'state' | 'paths'>> = {},
): Promise<void> {
  const { id: layer, name } = before
  await control.catalogue.putUndo({
    at: Date.now(),
    what,
    layer,
    name,
    before,
    state: null,
    ...about,
  })
}
