// What a host does for whoever deploys to it: asked by `svsfs receive` (lib/cli/receive-command.ts),
// which has the link.
//
//   layer ─▶ begin ─▶ offer … (until nothing is wanted) ─▶ take ─▶ settle      rollback
//
// Rule: an archive that came in parts is checked as one in a file is, by the keys that this store
// trusts, before anything is written.

import { z } from 'zod'
import type { ImportedState } from '../archive/import.ts'
import {
  type About,
  type LayerAnswer,
  layerParams,
  offerParams,
  rollbackParams,
  type Taken,
  takeParams,
  type Wanted,
} from '../deploy/messages.ts'
import { hasZstd } from '../host/zstd.ts'
import { layerName } from '../layer/layer.ts'
import type { LayerRecord } from '../snapshot/records.ts'
import { warmThread } from '../snapshot/thread.ts'
import { importChain, signalOf } from './archive-methods.ts'
import type { Control } from './control.ts'
import { rollBack, settle, switchTo } from './deployed.ts'
import { type Call, method } from './method.ts'
import { type Received, refuseUnfit, wantedOf, withReceived } from './received.ts'
import { roomLeft } from './spare.ts'

const takeShape = takeParams.omit({ check: true, checkTime: true }).extend({
  /** `settle` follows. */
  pending: z.boolean(),
})

export const receiveMethods = {
  'receive.about': method(z.strictObject({}), about),
  'receive.layer': method(layerParams, layerOf),
  'receive.begin': method(z.strictObject({}), async ({ store }) => ({
    incoming: store.places.incoming,
  })),
  'receive.offer': method(offerParams.omit({ manifest: true, signature: true }), offer),
  'receive.take': method(takeShape, take),
  'receive.settle': method(
    z.strictObject({ layer: rollbackParams.shape.layer, stays: z.boolean() }),
    async (control, { layer, stays }, call) => settle(control, layer, stays, call),
  ),
  'receive.rollback': method(rollbackParams, (control, { layer }, call) =>
    rollBack(control, layer, call),
  ),
} as const

/** Codecs that this program can read here. */
export const codecsHere = (): string[] => [
  'hole',
  'raw',
  'brotli',
  'patch',
  'slice',
  'over',
  ...(hasZstd() ? ['zstd'] : []),
]

type Rest = Pick<About, 'free' | 'layers'>

async function about({ catalogue, store }: Control): Promise<Rest> {
  const layers = await catalogue.layers()
  return {
    free: roomLeft(store.places),
    layers: layers.map(({ name, ro, active }) => ({ name, base: ro.digest, active })),
  }
}

async function layerOf(
  control: Control,
  { layer: name, base, states }: z.infer<typeof layerParams>,
): Promise<LayerAnswer> {
  warmThread()
  const layer = await layerOrNone(control, name)
  const codecs = codecsHere()
  if (layer === null) return { bases: null, state: null, codecs }
  const bases = layer.versions.map(({ digest }) => digest)
  for (const id of states) {
    const found = await control.catalogue.findSnapshot(layer.id, id)
    if (found !== null && found.ro.digest === base) return { bases, state: id, codecs }
  }
  return { bases, state: null, codecs }
}

async function layerOrNone({ catalogue }: Control, name: string): Promise<LayerRecord | null> {
  return (await catalogue.layers()).find((layer) => layer.name === name) ?? null
}

async function judge(
  control: Control,
  { archive }: Received,
  allowUnsigned: boolean,
): Promise<void> {
  const { Keys } = await import('../archive/keys.ts')
  const keys = new Keys(control.store.places.keys)
  keys.judge(archive.path, archive.signed.signatures, allowUnsigned)
}

/** Whether it may be sent, and what of it. */
function offer(
  control: Control,
  wish: Omit<z.infer<typeof offerParams>, 'manifest' | 'signature'>,
): Promise<Wanted> {
  return withReceived(control, wish.payload, async (received) => {
    await judge(control, received, wish.allowUnsigned)
    const name = layerName(wish.layer)
    const layer = await layerOrNone(control, name)
    await refuseUnfit(control, layer, name, received.archive)
    return wantedOf(control, layer, received)
  })
}

function take(control: Control, wish: z.infer<typeof takeShape>, call: Call): Promise<Taken> {
  return withReceived(control, wish.payload, async (received) => {
    const { archive } = received
    await judge(control, received, wish.allowUnsigned)
    const name = layerName(wish.layer)
    const there = await layerOrNone(control, name)
    await refuseUnfit(control, there, name, archive)
    const none = { state: null, before: null, created: there === null, mounts: [] }
    if ((await wantedOf(control, there, received)).chunks > 0) return { done: 'wanted', ...none }
    const allowed = { devices: wish.allowDevices, links: wish.allowLinks }
    const { numericOwner } = wish
    const signal = signalOf(control, call)
    const bringing = { allowed, numericOwner, signal, onProgress: call.progress }
    const imported = await importChain(control, name, [archive], bringing)
    const state = imported.at(-1)?.snapshot.id ?? null
    if (!wish.restore) return { done: 'kept', ...none, state }
    return switched(control, name, imported, wish, there === null, call)
  })
}

async function switched(
  control: Control,
  name: string,
  imported: readonly ImportedState[],
  wish: z.infer<typeof takeShape>,
  created: boolean,
  call: Call,
): Promise<Taken> {
  const target = imported.at(-1)?.snapshot ?? null
  const { from, payload, activate, pending } = wish
  // A daemon hears that who checks is gone; elsewhere the next one that opens the store finds it so.
  if (pending && control.engine !== null)
    call.whenGone(() => void settle(control, name, false, SILENT).catch(() => {}))
  const done = await control.alone(name, (layer) =>
    switchTo(control, layer, target, { from, payload, activate, pending, created }, call),
  )
  const { mounts, before } = done
  return { done: done.done, state: target?.id ?? null, before, created, mounts: [...mounts] }
}

const SILENT: Call = { progress() {}, whenGone() {} }
