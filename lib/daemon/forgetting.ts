// Forgetting states by a policy.
//
// Rule: callers hold the layer; the states go in one batch, all or none.

import type { KeepPolicy, LayerRecord, ListedState } from '../snapshot/records.ts'
import { type Retained, retain } from '../snapshot/retention.ts'
import type { Control } from './control.ts'
import { plural } from './text.ts'

/** What the policy keeps of a layer's states; the rest is deleted, unless only asked for. */
export async function forgetStates(
  control: Control,
  layer: LayerRecord,
  policy: KeepPolicy,
  dryRun = false,
): Promise<Retained<ListedState>> {
  const { catalogue, events, upkeep } = control
  const retained = retain(await catalogue.listed(layer.id), policy)
  const { forget } = retained
  if (dryRun || forget.length === 0) return retained
  await catalogue.deleteSnapshots(forget)
  const text = `forgot ${plural(forget.length, 'state')} of layer ${layer.name}`
  events.tell('forgotten', text, { layer: layer.name })
  upkeep.garbage()
  return retained
}
