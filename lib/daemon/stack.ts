// From records to stacks: which layers a mount shows, in which order, and where they lie.
//
//   records (active, priority) + what the mount asked for ─▶ StackSpec, top first
//
// Rule: this is the one place that decides the order. Pure: it reads no disk.

import { bytesOf } from '../base/path.ts'
import type { LayerRecord } from '../snapshot/records.ts'
import type { BaseSpec, LayerSpec, StackSpec } from '../union/spec.ts'
import { layerPlaces, type StorePlaces } from './store-path.ts'

/** What a mount wants of the store's layers. */
export interface StackChoice {
  /** Ids of the only layers it may show (`mount --layer`); null for all active ones. */
  readonly only: readonly string[] | null
  /** Id of a layer that is on top, active or not: the private mount of `svsfs run`. */
  readonly top: string | null
  readonly base: BaseSpec | null
}

/** The layers that a mount shows, top first: `top`, then the active ones by priority; of equals the younger. */
export function chosenLayers(records: readonly LayerRecord[], choice: StackChoice): LayerRecord[] {
  const { only, top } = choice
  const active = records
    .filter(({ id, active }) => active && id !== top && (only === null || only.includes(id)))
    .sort((a, b) => b.priority - a.priority || b.created - a.created || b.tag - a.tag)
  return [...records.filter(({ id }) => id === top), ...active]
}

export function stackOf(
  places: StorePlaces,
  records: readonly LayerRecord[],
  choice: StackChoice,
): StackSpec {
  const layers = chosenLayers(records, choice).map((record) => layerSpec(places, record))
  return { layers, base: choice.base ?? emptyBase(places) }
}

const emptyBase = (places: StorePlaces): BaseSpec => ({
  path: bytesOf(places.empty),
  writable: false,
  timeout: Number.POSITIVE_INFINITY,
})

/** Where the current sublayers of a layer lie, as the union is told. */
export function layerSpec(places: StorePlaces, record: LayerRecord): LayerSpec {
  const at = layerPlaces(places, record.id)
  const { version } = record.ro
  return {
    id: record.id,
    name: record.name,
    tag: record.tag,
    rw: bytesOf(at.rw(record.rw)),
    numbers: bytesOf(at.numbers(record.rw)),
    work: bytesOf(at.work),
    ro: [{ path: bytesOf(at.ro(version)), index: bytesOf(at.index(version)), version }],
    scratch: record.excludes.length === 0 ? null : bytesOf(at.scratch(record.rw)),
    excludes: record.excludes,
  }
}
