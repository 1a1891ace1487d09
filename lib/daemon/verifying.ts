// Verifying a store, or what concerns one layer; repairing what can be had again.
//
//   verify ─▶ faults ─▶ clear ─▶ live trees, read-only parts ─▶ verify ─▶ again, while that helps
//
// Rule: a repair changes the catalogue only; layers are read, frozen where they are mounted.

import { bytesOf, shown } from '../base/path.ts'
import { ownPrefix } from '../layer/marks.ts'
import { Pace } from '../snapshot/pace.ts'
import type { LayerRecord } from '../snapshot/records.ts'
import { clearDamage, layersHurt, mendLists, storeLive, storeLower } from '../snapshot/repair.ts'
import { type Fault, type Verified, type VerifyOptions, verify } from '../snapshot/verify.ts'
import type { Control } from './control.ts'
import type { Call } from './method.ts'
import { readOnly, withImage } from './states.ts'
import { layerPlaces } from './store-path.ts'
import { redoDirs } from './sublayers.ts'

/** A repair ends after so many passes, whatever is left. */
const ROUNDS = 8

export interface FaultLine extends Pick<Fault, 'kind' | 'at' | 'why'> {
  /** States and paths that cannot be read because of it. */
  readonly hurts: readonly {
    readonly layer: string
    readonly state: string
    readonly paths: readonly string[]
    readonly count: number
  }[]
  readonly repaired: boolean
}

export interface VerifyAnswer extends Omit<Verified, 'faults'> {
  readonly faults: readonly FaultLine[]
  /** Faults that are left. */
  readonly left: number
}

export async function verifyStore(
  control: Control,
  layer: LayerRecord | null,
  repair: boolean,
  call: Call,
): Promise<VerifyAnswer> {
  const options = await optionsOf(control, layer, call)
  const found = await verify(options)
  let left = found.faults
  // What comes back shows what lay behind it: names lead to lists, lists to contents.
  for (let round = 0, hopeless = false; repair && left.length > 0 && round < ROUNDS; round++) {
    await repairOnce(control, options, left, hopeless, call)
    const after = (await verify(options)).faults
    const stuck = sameFaults(left, after)
    left = after
    if (stuck && hopeless) break
    hopeless = stuck
  }
  const remaining = new Set(left.map(({ at }) => at))
  const names = await namesOfLayers(control)
  // What a repair uncovers was there before.
  const all = [...found.faults, ...left.filter(({ at }) => !found.faults.some((f) => f.at === at))]
  const faults = all.map(({ kind, at, why, hurts }) => ({
    kind,
    at,
    why,
    hurts: hurts.map(({ layer: id, paths, ...hurt }) => ({
      ...hurt,
      layer: names.get(id) ?? id,
      paths: paths.map((path) => shown(path) || '/'),
    })),
    repaired: !remaining.has(at),
  }))
  return { ...found, faults, left: left.length }
}

const sameFaults = (some: readonly Fault[], others: readonly Fault[]): boolean =>
  some.map(({ at }) => at).join() === others.map(({ at }) => at).join()

async function optionsOf(
  { catalogue, store, ending }: Control,
  layer: LayerRecord | null,
  call: Call,
): Promise<VerifyOptions> {
  const trees = new Map<string, string[]>()
  const removed = (await catalogue.removedLayers()).map(({ record }) => record)
  for (const record of [...(await catalogue.layers()), ...removed])
    for (const { digest, version } of record.versions)
      trees.set(digest, [bytesOf(layerPlaces(store.places, record.id).ro(version))])
  const gone = new AbortController()
  call.whenGone(() => gone.abort())
  return {
    catalogue,
    layer: layer?.id ?? null,
    ro: (digest) => trees.get(digest) ?? [],
    temporary: bytesOf(store.places.run),
    pace: new Pace(1, AbortSignal.any([gone.signal, ending.signal])),
    onProgress: (text) => call.progress(text),
  }
}

async function repairOnce(
  control: Control,
  options: VerifyOptions,
  faults: readonly Fault[],
  hopeless: boolean,
  call: Call,
): Promise<void> {
  const { catalogue, store } = control
  await clearDamage(catalogue, faults, hopeless)
  const hurt = layersHurt(faults)
  for (const { id, name } of (await catalogue.layers()).filter((layer) => hurt.has(layer.id))) {
    call.progress(`reading layer ${name} for what is lost`)
    await control
      .alone(name, (layer) =>
        withImage(control, layer, async (frozen) => {
          const { rw, numbers } = redoDirs(store.places, layer)
          const ro = readOnly(control, layer, layer.ro.version)
          const dirs = { rw, numbers, ro, area: frozen?.area ?? null }
          const job = { dirs, prefix: ownPrefix(), ro, scope: layer.ro.digest }
          await mendLists(catalogue, faults, await storeLive(catalogue, job))
        }),
      )
      .catch((err: unknown) => control.log.warn(`layer ${id} could not be read for a repair`, err))
  }
  await storeLower(options, faults)
}

async function namesOfLayers({ catalogue }: Control): Promise<ReadonlyMap<string, string>> {
  return new Map((await catalogue.layers()).map(({ id, name }) => [id, name]))
}
