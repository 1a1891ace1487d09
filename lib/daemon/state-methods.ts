// States of layers: taking, listing.

import { z } from 'zod'
import { Failure } from '../base/failure.ts'
import type { LayerRecord, SnapshotRecord } from '../snapshot/records.ts'
import type { Control } from './control.ts'
import { type Call, method } from './method.ts'
import { type Settled, settleLayer } from './settle.ts'
import { nameShape } from './shapes.ts'
import { takeState } from './states.ts'

/** A state as lists show it. */
export interface StateLine {
  readonly id: string
  /** Name of its layer. */
  readonly layer: string
  /** Milliseconds since 1970. */
  readonly time: number
  readonly message: string
  readonly label: string | null
  readonly trigger: SnapshotRecord['trigger']
  /** Names in it, bytes of its files, bytes it added to the store. */
  readonly entries: number
  readonly bytes: number
  readonly stored: number
  readonly counts: {
    readonly added: number
    readonly changed: number
    readonly deleted: number
    readonly attributes: number
  }
  /** The layer came from this state: taken of it, or restored to it. */
  readonly current: boolean
}

export interface SnapshotAnswer extends StateLine {
  /** False where nothing changed since this state, so that none was made. */
  readonly taken: boolean
}

export interface SettleAnswer extends Settled {
  readonly layer: string
}

const snapshotShape = z.strictObject({
  layer: nameShape,
  message: z.string().max(4096).default(''),
  label: z
    .string()
    .regex(/^[^\s/@:-][^\s/@:]{0,63}$/, 'must be one word, without "/", "@" and ":"')
    .refine((text) => text !== 'latest', 'must not be "latest"')
    .nullable()
    .default(null),
  /** Make a state although nothing changed. */
  always: z.boolean().default(false),
})

export const stateMethods = {
  snapshot: method(snapshotShape, snapshot),
  snapshots: method(z.strictObject({ layer: nameShape.nullable().default(null) }), snapshots),
  settle: method(z.strictObject({ layer: nameShape.nullable().default(null) }), settle),
} as const

async function snapshot(
  control: Control,
  { layer: name, message, label, always }: z.infer<typeof snapshotShape>,
  call: Call,
): Promise<SnapshotAnswer> {
  return control.alone(name, async (layer) => {
    const states = await control.catalogue.snapshots(layer.id)
    const holder = label === null ? undefined : states.find((state) => state.label === label)
    if (holder !== undefined) throw new Failure('SVS_LABEL_TAKEN', holder.id, name, label ?? '')
    const wish = {
      message,
      label,
      trigger: 'manual',
      allowEmpty: always || label !== null,
    } as const
    const taken = await takeState(control, layer, wish, call)
    return { ...stateLine(layer, taken.snapshot, taken.snapshot.id), taken: taken.kind === 'taken' }
  })
}

/** Newest first. */
async function snapshots(
  control: Control,
  { layer: name }: { layer: string | null },
): Promise<StateLine[]> {
  const layers = name === null ? await control.catalogue.layers() : [await control.layer(name)]
  const lines: StateLine[] = []
  for (const layer of layers) {
    const head = await control.catalogue.head(layer.id)
    const states = await control.catalogue.snapshots(layer.id)
    lines.push(...states.map((state) => stateLine(layer, state, head)))
  }
  return lines.sort((a, b) => b.time - a.time)
}

/** One layer, or all, one after the other. */
async function settle(
  control: Control,
  { layer: name }: { layer: string | null },
  call: Call,
): Promise<SettleAnswer[]> {
  const layers = name === null ? await control.catalogue.layers() : [await control.layer(name)]
  const answers: SettleAnswer[] = []
  for (const layer of layers) {
    call.progress(`settling layer ${layer.name}`)
    const done = await control.alone(layer.name, (record) => settleLayer(control, record))
    answers.push({ layer: layer.name, ...done })
  }
  return answers
}

/** `head`: the state that the layer came from. */
export const stateLine = (
  layer: LayerRecord,
  state: SnapshotRecord,
  head: string | null,
): StateLine => ({
  id: state.id,
  layer: layer.name,
  time: state.time,
  message: state.message,
  label: state.label,
  trigger: state.trigger,
  entries: state.entries,
  bytes: state.bytes,
  stored: state.stored,
  counts: {
    added: state.counts.added,
    changed: state.counts.changed,
    deleted: state.counts.deleted,
    attributes: state.counts.attributes,
  },
  current: state.id === head,
})
