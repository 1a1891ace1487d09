// Deleting layers so that they can be brought back.
//
//   delete   record ─▶ removed/<id>, directories and states stay ─▶ undo record
//   undo     removed/<id> ─▶ record
//   gc       after a week, or where the disk is tight at once: states, record, directories
//
// Rule: a removed layer is in no list and in no mount; what it holds is not garbage until it is
// purged. A purge takes the record first, then the directories.

import { Failure } from '../base/failure.ts'
import type { LayerRecord, RemovedLayer } from '../snapshot/records.ts'
import type { Control } from './control.ts'
import { nameKey, STACKS } from './queue.ts'
import { roomLeft } from './spare.ts'
import { layerPlaces } from './store-path.ts'
import { removeLayer } from './unfinished.ts'

/** How long a deleted layer can be brought back. */
const KEPT_MS = 7 * 24 * 3600 * 1000
/** Where the disk has less than this left, what is deleted goes at once. */
const TIGHT_BYTES = 64 * 1024 * 1024

/** Takes a layer out of all lists. Callers hold it and STACKS. True where it can be brought back. */
export async function takeOut(
  control: Control,
  record: LayerRecord,
  now: boolean,
): Promise<boolean> {
  const { catalogue, store } = control
  const at = Date.now()
  if (now || roomLeft(store.places) < TIGHT_BYTES) {
    await purge(control, record)
    return false
  }
  await catalogue.removeLayer({ record, at })
  const { id: layer, name } = record
  await catalogue.putUndo({ at, what: 'delete', layer, name, state: null, before: record })
  return true
}

/** Removes a layer for good; gc removes what its states alone held. */
export async function purge(control: Control, { id }: LayerRecord): Promise<void> {
  await control.catalogue.deleteLayer(id)
  removeLayer(layerPlaces(control.store.places, id))
  control.upkeep.garbage()
}

/** Deleted layers whose time is over; all of them where `all`. */
export async function overdue(control: Control, all: boolean): Promise<RemovedLayer[]> {
  const before = all ? Number.POSITIVE_INFINITY : Date.now() - KEPT_MS
  return (await control.catalogue.removedLayers()).filter(({ at }) => at < before)
}

/**
 * Brings a deleted layer back, deactivated, with its states. Throws SVS_LAYER_NOT_FOUND where gc took
 * it, SVS_LAYER_EXISTS where another has its name.
 */
export async function bringBack(
  control: Control,
  id: string,
  name: string,
  as = name,
): Promise<LayerRecord> {
  const { catalogue, queue } = control
  return queue.run(nameKey(as), () =>
    queue.run(id, () =>
      queue.run(STACKS, async () => {
        const removed = (await catalogue.removedLayers()).find(({ record }) => record.id === id)
        if (removed === undefined) throw new Failure('SVS_LAYER_NOT_FOUND', name)
        if ((await catalogue.layers()).some((layer) => layer.name === as))
          throw new Failure('SVS_LAYER_EXISTS', as)
        const record = { ...removed.record, name: as, active: false }
        await catalogue.bringBack(record)
        control.events.tell('created', `layer ${as} is back`, { layer: as })
        return record
      }),
    ),
  )
}
