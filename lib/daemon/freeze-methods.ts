// Freezes of layers: beginning, listing, showing and ending them.

import { dirname } from 'node:path'
import { z } from 'zod'
import { Failure } from '../base/failure.ts'
import type { Control } from './control.ts'
import { usualDataPath } from './engine-api.ts'
import type { FreezeLine, Preserve } from './frozen-layers.ts'
import { method } from './method.ts'
import type { MountAnswer } from './mount-methods.ts'
import { mountsOf, refuseStore } from './mount-methods.ts'
import { freeMountPoint, mayAllowOther, realDirectory } from './mount-point.ts'
import { refuseOwnMount } from './own-mounts.ts'
import { STACKS } from './queue.ts'
import { nameShape, pathShape } from './shapes.ts'

const KIB = 1024
const SMALLEST = 4 * KIB
const LARGEST = 1024 * KIB

/** Where memory can be used as a directory. */
const MEMORY = '/dev/shm'

const freezeShape = z.strictObject({
  layer: nameShape,
  /** An absolute directory, `ram:BYTES`, or null for the store. */
  preserve: z.string().max(4095).nullable().default(null),
  /** Bytes of a large file that are preserved together. */
  block: z
    .number()
    .int()
    .min(SMALLEST)
    .max(LARGEST)
    .refine((bytes) => (bytes & (bytes - 1)) === 0, 'must be a power of two')
    .default(SMALLEST),
})

const idShape = z.strictObject({ id: z.string().max(64) })

const mountShape = z.strictObject({
  id: z.string().max(64),
  mountPoint: pathShape,
  writable: z.boolean().default(false),
  allowOther: z.boolean().nullable().default(null),
})

export const freezeMethods = {
  freeze: method(freezeShape, freeze),
  thaw: method(idShape, thaw),
  freezes: method(z.strictObject({}), (control) => control.frozen.list()),
  'mount.frozen': method(mountShape, mountFrozen),
} as const

async function freeze(
  control: Control,
  { layer: name, preserve, block }: z.infer<typeof freezeShape>,
): Promise<FreezeLine> {
  const wanted = await preserveOf(preserve)
  return control.alone(name, (layer) =>
    control.queue.run(STACKS, async () => {
      const { id } = await control.frozen.freeze(layer, wanted, block)
      control.events.tell('snapshot', `freeze ${id} of layer ${name}`, { layer: name })
      return lineOf(control, id)
    }),
  )
}

async function lineOf(control: Control, id: string): Promise<FreezeLine> {
  const found = (await control.frozen.list()).find((line) => line.id === id)
  if (found === undefined) throw new Failure('SVS_FREEZE_NOT_FOUND', id)
  return found
}

async function preserveOf(preserve: string | null): Promise<Preserve> {
  if (preserve === null) return { text: 'store', place: null, limit: null }
  const memory = /^ram:(\d{1,15})$/.exec(preserve)
  if (memory !== null) return { text: preserve, place: MEMORY, limit: Number(memory[1]) }
  if (!preserve.startsWith('/')) throw new Failure('SVS_BAD_REQUEST', 'freeze', 'preserve')
  const place = await realDirectory(preserve, 'SVS_DIRECTORY_INVALID')
  return { text: place, place, limit: null }
}

async function thaw(control: Control, { id }: z.infer<typeof idShape>): Promise<FreezeLine> {
  return control.queue.run(STACKS, async () => {
    const found = control.frozen.find(id)
    const line = await lineOf(control, found.id)
    await control.frozen.thaw(found)
    return line
  })
}

async function mountFrozen(
  control: Control,
  params: z.infer<typeof mountShape>,
): Promise<MountAnswer> {
  return control.queue.run(STACKS, async () => {
    const mounts = mountsOf(control)
    const freeze = control.frozen.find(params.id)
    await refuseOwnMount(control, dirname(params.mountPoint))
    const mountPoint = await freeMountPoint(params.mountPoint)
    await refuseStore(control, mountPoint)
    const allowOther = mayAllowOther(params.allowOther)
    const layer = await control.catalogue.layer(freeze.layer)
    if (layer === null) throw new Failure('SVS_LAYER_NOT_FOUND', freeze.layer)
    const { stack, end } = await control.frozen.show(freeze, layer, params.writable)
    const readOnly = !params.writable
    const mounted = await mounts
      .mount([], {
        mountPoint,
        purpose: 'frozen',
        choice: { only: [], top: null, base: null },
        view: { readOnly, writeTo: null, privateTo: null },
        allowOther,
        trace: false,
        kernelCap: null,
        // The image is a mount already: the kernel passes nothing through to it.
        dataPath: usualDataPath(false),
        frozen: { id: freeze.id, stack, end },
      })
      .catch(async (err) => {
        await end()
        throw err
      })
    control.events.tell('mounted', `freeze ${freeze.id} is shown at ${mountPoint}`, { mountPoint })
    return { id: mounted.id, mountPoint, layers: [layer.name], inactive: [] }
  })
}
