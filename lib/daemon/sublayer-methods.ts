// Writable sublayers of a layer beside the current one: states made into sublayers, switching
// between them, forgetting one.
//
//   restore --as    state ─▶ rw/<n> ─▶ record names it
//   switch          current ─▶ kept under its name;  kept ─▶ current, with its read-only version
//
// Rule: switching replaces nothing: what was current is kept as it is, and can be switched to again.

import { z } from 'zod'
import { Failure } from '../base/failure.ts'
import type { LayerRecord, Sublayer } from '../snapshot/records.ts'
import { findState } from '../snapshot/state-name.ts'
import type { Control } from './control.ts'
import { type Call, method } from './method.ts'
import type { OrderAnswer } from './order-methods.ts'
import { remember } from './remember.ts'
import { buildSublayer, versionOf } from './restoring.ts'
import { nameShape } from './shapes.ts'
import { withRoom } from './spare.ts'
import { FIRST_SUBLAYER, nextWritable } from './sublayers.ts'

/** A writable sublayer as lists show it. */
export interface SublayerLine {
  readonly layer: string
  readonly name: string
  /** The one that mounts show when the layer is active. */
  readonly current: boolean
  /** Version of the read-only part that it lies over. */
  readonly version: number
  /** Milliseconds since 1970. */
  readonly made: number
  /** Id of the state that it came from; null for none. */
  readonly state: string | null
}

const sublayerName = z
  .string()
  .regex(
    /^[^\s/@:.-][^\s/@:]{0,63}$/,
    'must be one word of at most 64 characters, without "/", "@", ":"',
  )
const one = z.strictObject({ layer: nameShape, sublayer: sublayerName })

export const sublayerMethods = {
  sublayers: method(z.strictObject({ layer: nameShape }), sublayers),
  'sublayer.make': method(one.extend({ state: z.string().min(1).max(128) }), make),
  'sublayer.switch': method(one, (control, { layer, sublayer }) =>
    control.alone(layer, (record) => switchTo(control, record, sublayer, true)),
  ),
  'sublayer.delete': method(one, remove),
} as const

async function sublayers(control: Control, { layer }: { layer: string }): Promise<SublayerLine[]> {
  const record = await control.layer(layer)
  return linesOf(record, await control.catalogue.head(record.id))
}

function linesOf(record: LayerRecord, head: string | null): SublayerLine[] {
  const all = [currentOf(record, head), ...(record.sublayers ?? [])]
  return all.map(({ name, ro, made, head: state, rw }) => ({
    layer: record.name,
    name,
    current: rw === record.rw,
    version: ro.version,
    made,
    state,
  }))
}

const currentOf = (record: LayerRecord, head: string | null): Sublayer => ({
  name: record.sublayer ?? FIRST_SUBLAYER,
  rw: record.rw,
  ro: record.ro,
  made: record.sublayerMade ?? record.created,
  head,
})

const namesOf = (record: LayerRecord): string[] => linesOf(record, null).map(({ name }) => name)

async function make(
  control: Control,
  { layer: name, state, sublayer }: { layer: string; state: string; sublayer: string },
  call: Call,
): Promise<SublayerLine> {
  return control.alone(name, async (layer) => {
    if (namesOf(layer).includes(sublayer))
      throw new Failure('SVS_SUBLAYER_EXISTS', layer.name, sublayer)
    const snapshot = await findState(control.catalogue, layer, state)
    const ro = versionOf(layer, snapshot)
    const rw = nextWritable(control.store.places, layer)
    call.progress(`making state ${snapshot.id} as sublayer ${sublayer}`)
    await withRoom(control.store.places, () =>
      buildSublayer(control, { ...layer, ro, rw }, snapshot),
    )
    const made: Sublayer = { name: sublayer, rw, ro, made: Date.now(), head: snapshot.id }
    const record = { ...layer, sublayers: [...(layer.sublayers ?? []), made] }
    await control.catalogue.putLayer(record)
    return linesOf(record, null).find((line) => line.name === sublayer)!
  })
}

/** The kept sublayer becomes the current one, and the layer active where `activate`. Callers hold the layer. */
export async function switchTo(
  control: Control,
  record: LayerRecord,
  name: string,
  activate: boolean,
): Promise<OrderAnswer> {
  const active = record.active || activate
  const isCurrent = (record.sublayer ?? FIRST_SUBLAYER) === name
  if (isCurrent && active === record.active)
    return { layer: record.name, changed: false, mounts: [] }
  const head = await control.catalogue.head(record.id)
  const next = isCurrent ? currentOf(record, head) : find(record, name)
  const others = (record.sublayers ?? []).filter((kept) => kept.name !== name)
  const renewed: LayerRecord = {
    ...record,
    active,
    ro: next.ro,
    rw: next.rw,
    sublayer: next.name,
    sublayerMade: next.made,
    sublayers: isCurrent ? others : [...others, currentOf(record, head)],
  }
  const mounts = await control.publish(renewed)
  await control.catalogue.setHead(record.id, next.head)
  await remember(control, isCurrent ? 'activate' : 'sublayer', record)
  const text = `layer ${record.name} has its writable sublayer ${name}`
  control.events.tell('activated', text, { layer: record.name })
  return { layer: record.name, changed: true, mounts }
}

function find(record: LayerRecord, name: string): Sublayer {
  const found = (record.sublayers ?? []).find((kept) => kept.name === name)
  if (found === undefined) throw new Failure('SVS_SUBLAYER_NOT_FOUND', record.name, name)
  return found
}

async function remove(
  control: Control,
  { layer, sublayer }: z.infer<typeof one>,
): Promise<SublayerLine[]> {
  return control.alone(layer, async (record) => {
    if ((record.sublayer ?? FIRST_SUBLAYER) === sublayer)
      throw new Failure('SVS_SUBLAYER_CURRENT', record.name, sublayer)
    const { rw } = find(record, sublayer)
    const left = { ...record, sublayers: record.sublayers?.filter((kept) => kept.rw !== rw) ?? [] }
    await control.catalogue.putLayer(left)
    control.dropUnused(left)
    return linesOf(left, await control.catalogue.head(record.id))
  })
}
