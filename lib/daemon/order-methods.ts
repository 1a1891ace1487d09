// Which layers are active and in which order; reset. All live: what running programs see
// follows before the command ends.
//
// Rule: the record first, then the mounts, then the event (mounts.ts says why).

import { z } from 'zod'
import { Failure } from '../base/failure.ts'
import type { LayerRecord, SnapshotRecord } from '../snapshot/records.ts'
import type { Control } from './control.ts'
import { isDiskFull } from './errors.ts'
import type { EventKind } from './events.ts'
import { method } from './method.ts'
import { remember } from './remember.ts'
import { nameShape } from './shapes.ts'
import { withRoom } from './spare.ts'
import { isShown, keepRest, type StateWish, takeState } from './states.ts'
import { layerPlaces } from './store-path.ts'
import { makeWritable, nextWritable } from './sublayers.ts'

/** What an operation on the order did, and where it is seen. */
export interface OrderAnswer {
  readonly layer: string
  /** False where there was nothing to do. */
  readonly changed: boolean
  /** Mount points that followed. */
  readonly mounts: readonly string[]
}

const one = z.strictObject({ layer: nameShape })

export const orderMethods = {
  activate: method(one, (control, { layer }) =>
    change(control, layer, { active: true }, ['activated', `layer ${layer} is active`]),
  ),
  deactivate: method(one, (control, { layer }) =>
    change(control, layer, { active: false }, ['deactivated', `layer ${layer} is not active`]),
  ),
  priority: method(
    one.extend({ priority: z.number().int().min(-1_000_000).max(1_000_000) }),
    (control, { layer, priority }) =>
      change(control, layer, { priority }, ['priority', `layer ${layer} has priority ${priority}`]),
  ),
  reset: method(one.extend({ snapshot: z.boolean().default(true) }), reset),
} as const

async function change(
  control: Control,
  name: string,
  fields: Partial<Pick<LayerRecord, 'active' | 'priority'>>,
  [kind, text]: readonly [EventKind, string],
): Promise<OrderAnswer> {
  return control.alone(name, async (record) => {
    const same = Object.entries(fields).every(([field, value]) => record[field] === value)
    if (same) return { layer: name, changed: false, mounts: [] }
    const mounts = await control.publish({ ...record, ...fields })
    if (kind === 'activated') await remember(control, 'activate', record)
    if (kind === 'deactivated') await remember(control, 'deactivate', record)
    control.events.tell(kind, text, { layer: name })
    return { layer: name, changed: true, mounts }
  })
}

interface Renewed {
  readonly mounts: string[]
  /** The state that holds what programs changed until the end; null where that is nothing. */
  readonly rest: SnapshotRecord | null
}

async function renew(
  control: Control,
  record: LayerRecord,
  wish: StateWish | null,
): Promise<Renewed> {
  const shown = isShown(control, record)
  const fresh = {
    ...record,
    rw: nextWritable(control.store.places, record),
    sublayerMade: Date.now(),
  }
  makeWritable(layerPlaces(control.store.places, record.id), record.ro.version, fresh.rw)
  const mounts = await control.publish(fresh)
  const rest = shown && wish !== null ? await keepRest(control, record, wish) : null
  await control.catalogue.setHead(record.id, null)
  control.dropUnused(fresh)
  return { mounts, rest }
}

const whyNotKept =
  (layer: string) =>
  (cause: unknown): never => {
    if (!isDiskFull(cause)) throw cause
    throw new Failure('SVS_RESET_NO_ROOM', layer, { cause })
  }

/** A new empty writable sublayer becomes the current one; what was there is a state first, unless told not to. */
async function reset(
  control: Control,
  { layer: name, snapshot }: { layer: string; snapshot: boolean },
): Promise<OrderAnswer & { state: string | null }> {
  return control.alone(name, async (record) => {
    const wish = { message: 'before reset', label: null, trigger: 'before-restore' } as const
    const before = snapshot ? await takeState(control, record, wish).catch(whyNotKept(name)) : null
    const { mounts, rest } = await withRoom(control.store.places, () =>
      renew(control, record, before === null ? null : wish),
    )
    const state = rest?.id ?? before?.snapshot.id ?? null
    if (state !== null) await remember(control, 'reset', record, { state })
    control.events.tell('reset', `layer ${name} is as it was imported`, { layer: name })
    return { layer: name, changed: true, mounts, state }
  })
}
