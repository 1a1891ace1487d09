// Taking states of a layer, mounted or not.
//
//   mounted      freeze ─▶ snapshot of the frozen image ─▶ thaw
//   not mounted  snapshot, while nothing can be mounted
//
// Rule: callers hold the layer in the queue, so its writable sublayer is not exchanged meanwhile.

import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { bytesOf } from '../base/path.ts'
import { removeTree } from '../host/remove-tree.ts'
import { AT_FDCWD } from '../host/sys.ts'
import type { BelowIndex } from '../snapshot/below.ts'
import { newId } from '../snapshot/catalogue.ts'
import type { LayerRecord, SnapshotRecord, Trigger } from '../snapshot/records.ts'
import { headOf, type JournalAnswer, type Taken, takeSnapshot } from '../snapshot/snapshot.ts'
import { publishedBase } from '../union/numbers.ts'
import type { Control } from './control.ts'
import type { Engine } from './engine-api.ts'
import type { Call } from './method.ts'
import type { PendingState } from './pending.ts'
import { STACKS } from './queue.ts'
import { layerPlaces } from './store-path.ts'
import { redoDirs } from './sublayers.ts'
import { plural } from './text.ts'

export interface StateWish {
  readonly message: string
  readonly label: string | null
  readonly trigger: Trigger
  readonly tags?: Readonly<Record<string, string>>
  /** Make a state although nothing changed. */
  readonly allowEmpty?: boolean
  /**
   * Called when its instant has come, where the layer is mounted and it will be a state: one is made
   * then although nothing changed. Not called where the journal knows that nothing did.
   */
  readonly onPending?: (state: PendingState) => void
}

/** Puts the layer, as it is at this instant, into the catalogue. */
export function takeState(
  control: Control,
  layer: LayerRecord,
  wish: StateWish,
  call: Call | null = null,
): Promise<Taken> {
  return withImage(control, layer, (frozen) => takeFrom(control, layer, wish, call, frozen))
}

/** Runs `use` on an image of the layer that does not change meanwhile: frozen, or not mounted (null). */
export async function withImage<T>(
  control: Control,
  layer: LayerRecord,
  use: (frozen: Frozen | null) => Promise<T>,
): Promise<T> {
  // Whether it is mounted must not change before the image is frozen; nor, where it is not, before it is read.
  const begun = await control.queue.run(STACKS, async () => {
    const { engine } = control
    if (engine !== null && isShown(control, layer)) return freeze(control, engine, layer)
    return { done: await use(null) }
  })
  if ('done' in begun) return begun.done
  try {
    return await use(begun)
  } finally {
    await begun.thaw()
  }
}

/** True where a mount shows the layer. */
export const isShown = (control: Control, layer: LayerRecord): boolean =>
  (control.mounts?.showing(layer.id) ?? []).length > 0

/** A layer as it was at one instant. */
export interface Frozen {
  readonly area: string
  /** The instant, in milliseconds since 1970. */
  readonly at: number
  /** What the layer's journal knew then. */
  readonly journal: JournalAnswer
  thaw(): Promise<void>
}

async function freeze(control: Control, engine: Engine, layer: LayerRecord): Promise<Frozen> {
  const area = bytesOf(mkdtempSync(join(control.store.places.frozen, `${layer.id}-`)))
  try {
    const head = await headOf(control.catalogue, layer.id)
    const frozen = await engine.freeze(layer.id, area, head?.journal ?? null)
    const { freeze: number, at, journal } = frozen
    const thaw = async () => {
      await engine.thaw(number)
      removeTree(AT_FDCWD, area)
    }
    return { area, at, journal, thaw }
  } catch (err) {
    removeTree(AT_FDCWD, area)
    throw err
  }
}

/** Puts an image that is held already into the catalogue. */
export function takeFrom(
  control: Control,
  layer: LayerRecord,
  wish: StateWish,
  call: Call | null,
  frozen: Frozen | null,
): Promise<Taken> {
  if (frozen === null) return storeFrom(control, layer, wish, call, frozen, newId())
  const { message, label, trigger, tags = {}, onPending, allowEmpty = false } = wish
  const id = newId()
  if (!allowEmpty && isEmpty(frozen.journal))
    return storeFrom(control, layer, wish, call, frozen, id)
  const pending = { id, layer, time: frozen.at, message, label, trigger, tags }
  return control.pending.during(pending, () => {
    onPending?.(pending)
    // An id that somebody was told stands for a state.
    const promised = { ...wish, allowEmpty: allowEmpty || onPending !== undefined }
    return storeFrom(control, layer, promised, call, frozen, id)
  })
}

const isEmpty = ({ changed }: JournalAnswer): boolean =>
  changed !== null && changed.names.length === 0 && changed.files.length === 0

async function storeFrom(
  control: Control,
  layer: LayerRecord,
  wish: StateWish,
  call: Call | null,
  frozen: Frozen | null,
  id: string,
): Promise<Taken> {
  const { rw, numbers } = redoDirs(control.store.places, layer)
  const taken = await takeSnapshot({
    id,
    catalogue: control.catalogue,
    layer,
    dirs: {
      rw,
      numbers,
      ro: readOnly(control, layer, layer.ro.version),
      area: frozen?.area ?? null,
    },
    index: indexOf(control, layer, layer.ro.version),
    ...wish,
    restamped: control.restamped.get(layer.id) ?? null,
    ...(frozen === null ? {} : { at: frozen.at, journal: frozen.journal }),
    onProgress: ({ entries }) => call?.progress(`read ${plural(entries, 'name')}`),
  })
  if (taken.kind === 'taken') {
    const { id, message } = taken.snapshot
    const text = `state ${id} of layer ${layer.name}${message === '' ? '' : `: ${message}`}`
    control.events.tell('snapshot', text, { layer: layer.name, state: id })
  }
  return taken
}

/**
 * Keeps what programs changed in a writable sublayer between its state and now, when no mount shows
 * it any more. Null where that is nothing, or could not be kept.
 */
export async function keepRest(
  control: Control,
  left: LayerRecord,
  wish: StateWish,
): Promise<SnapshotRecord | null> {
  try {
    const message = `${wish.message}, changed meanwhile`
    const taken = await takeFrom(control, left, { ...wish, message }, null, null)
    return taken.kind === 'taken' ? taken.snapshot : null
  } catch (err) {
    control.log.warn(`what was changed in layer ${left.name} at the end is in no state`, err)
    return null
  }
}

/** By which numbers the files of a version are known. */
export const indexOf = (control: Control, layer: LayerRecord, version: number): BelowIndex => ({
  path: bytesOf(layerPlaces(control.store.places, layer.id).index(version)),
  base: publishedBase(layer.tag, version),
})

/** A version of the layer's read-only part, as jobs take it. */
export const readOnly = (control: Control, layer: LayerRecord, version: number): string[] => [
  bytesOf(layerPlaces(control.store.places, layer.id).ro(version)),
]
