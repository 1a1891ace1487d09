// Mounting and unmounting; ending the daemon.
//
// Rule: everything that can be refused is refused before the engine is asked, with a failure
// that says which word of the caller's was wrong.

import { realpath } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { Failure } from '../base/failure.ts'
import { bytesOf } from '../base/path.ts'
import { unmountFuse } from '../host/mount.ts'
import { mountAt } from '../host/mount-table.ts'
import type { LayerRecord } from '../snapshot/records.ts'
import { findState } from '../snapshot/state-name.ts'
import type { BaseSpec } from '../union/spec.ts'
import { type Control, noLayer } from './control.ts'
import { errorWords } from './errors.ts'
import { method } from './method.ts'
import {
  freeMountPoint,
  isOurs,
  mayAllowOther,
  realDirectory,
  resolvedMountPoint,
} from './mount-point.ts'
import type { Mounts } from './mounts.ts'
import { refuseOwnMount } from './own-mounts.ts'
import { STACKS } from './queue.ts'
import { nameShape, pathShape, stateShape } from './shapes.ts'

const mountShape = z.strictObject({
  mountPoint: pathShape,
  base: pathShape.nullable().default(null),
  baseWritable: z.boolean().default(false),
  /** Seconds for which the kernel may trust what the base showed. */
  wholeCopies: z.boolean().default(false),
  /** MiB a second; null: as it is. */
  settleRate: z.number().min(0).max(1_000_000).nullable().default(null),
  baseTimeout: z.number().min(0).max(86_400).default(1),
  /** The only layers it may show; null for all active ones. */
  layers: z.array(nameShape).nullable().default(null),
  writeTo: nameShape.nullable().default(null),
  readOnly: z.boolean().default(false),
  /** null: as this user may. */
  allowOther: z.boolean().nullable().default(null),
  trace: z.boolean().default(false),
  transport: z.enum(['direct', 'fuse-native']).nullable().default(null),
  kernelCap: z.enum(['6.1']).nullable().default(null),
  /** null: passthrough where it is read-only. */
  dataPath: z.enum(['cached', 'passthrough']).nullable().default(null),
})
type MountParams = z.infer<typeof mountShape>

const stateMountShape = z.strictObject({
  layer: nameShape,
  state: stateShape,
  mountPoint: pathShape,
  allowOther: z.boolean().nullable().default(null),
})

export interface MountAnswer {
  readonly id: number
  readonly mountPoint: string
  /** Names of the layers it shows, top first. */
  readonly layers: readonly string[]
  /** Named by `--layer`, and not active. */
  readonly inactive: readonly string[]
}

export interface UmountAnswer {
  readonly mountPoints: readonly string[]
  /** How many mounts the store still has. */
  readonly left: number
  /** Those of which somebody still uses what they show, a program or another mount namespace: they are served until that ends. */
  readonly used: readonly string[]
  /** No process has the store for long any more: the daemon ends with its last mount, unless it is a service. */
  readonly ends: boolean
}

export const mountMethods = {
  mount: method(mountShape, mount),
  'mount.state': method(stateMountShape, mountState),
  umount: method(
    z.strictObject({ mountPoint: pathShape, lazy: z.boolean().default(false) }),
    umount,
  ),
  'umount.all': method(z.strictObject({ lazy: z.boolean().default(false) }), umountAll),
  stop: method(z.strictObject({}), stop),
} as const

async function mount(control: Control, params: MountParams): Promise<MountAnswer> {
  return control.queue.run(STACKS, async () => {
    const mounts = mountsOf(control)
    refuseOtherTransport(control, params.transport)
    await refuseOwnMount(control, dirname(params.mountPoint))
    const mountPoint = await freeMountPoint(params.mountPoint)
    await refuseStore(control, mountPoint)
    const base = await baseOf(params)
    const allowOther = mayAllowOther(params.allowOther)
    const records = await control.catalogue.layers()
    const named = params.layers?.map((name) => idOf(records, name)) ?? null
    const only = named === null ? null : await Promise.all(named)
    const writeTo = params.writeTo === null ? null : await idOf(records, params.writeTo)
    const mounted = await mounts.mount(records, {
      mountPoint,
      purpose: 'mount',
      choice: { only, top: null, base },
      view: {
        readOnly: params.readOnly,
        writeTo,
        privateTo: null,
        wholeCopies: params.wholeCopies,
        ...(params.settleRate === null ? {} : { settleRate: params.settleRate }),
      },
      allowOther,
      trace: params.trace,
      kernelCap: params.kernelCap,
      dataPath: params.dataPath,
    })
    control.events.tell('mounted', `mounted at ${mountPoint}`, { mountPoint })
    const nameOf = (id: string) => records.find((record) => record.id === id)?.name ?? id
    return {
      id: mounted.id,
      mountPoint,
      layers: mounted.shows.map(nameOf),
      inactive: (only ?? []).filter((id) => !mounted.shows.includes(id)).map(nameOf),
    }
  })
}

/** A state as a directory: nothing of it is restored. */
async function mountState(
  control: Control,
  { layer: name, state, ...params }: z.infer<typeof stateMountShape>,
): Promise<MountAnswer> {
  // The layer first: nobody deletes it, or the state, before it is held.
  return control.alone(name, async (layer) => {
    const snapshot = await findState(control.catalogue, layer, state)
    return control.queue.run(STACKS, async () => {
      await refuseOwnMount(control, dirname(params.mountPoint))
      const mountPoint = await freeMountPoint(params.mountPoint)
      await refuseStore(control, mountPoint)
      const allowOther = mayAllowOther(params.allowOther)
      const id = await control.shown.mount(layer, snapshot, mountPoint, allowOther)
      const shown = `${name}@${snapshot.id}`
      control.events.tell('mounted', `state ${shown} is shown at ${mountPoint}`, { mountPoint })
      return { id, mountPoint, layers: [shown], inactive: [] }
    })
  })
}

async function umount(
  control: Control,
  { mountPoint, lazy }: { mountPoint: string; lazy: boolean },
): Promise<UmountAnswer> {
  return control.queue.run(STACKS, async () => {
    const place = await resolvedMountPoint(mountPoint)
    const mounted = control.mounts?.at(place) ?? null
    let used = false
    if (mounted !== null) used = (await control.mounts?.umount(mounted, lazy)) === false
    else await umountForeign(place, lazy)
    control.events.tell('unmounted', `unmounted ${place}`, { mountPoint: place })
    const left = control.mounts?.size ?? 0
    return { mountPoints: [place], left, used: used ? [place] : [], ends: endsNow(control) }
  })
}

/** Takes away a mount whose daemon died, or one of `svsfs overlay`, which belongs to no store. */
export async function umountForeign(mountPoint: string, lazy: boolean): Promise<string> {
  const place = await resolvedMountPoint(mountPoint)
  const found = mountAt(bytesOf(place))
  if (found === null || !isOurs(found)) throw new Failure('SVS_NOT_MOUNTED', place)
  unmountFuse(bytesOf(place), lazy)
  return place
}

async function umountAll(control: Control, { lazy }: { lazy: boolean }): Promise<UmountAnswer> {
  return control.queue.run(STACKS, async () => {
    const mountPoints: string[] = []
    const used: string[] = []
    // The youngest first: a later one may lie inside an earlier one.
    for (const mounted of control.mounts?.list().reverse() ?? []) {
      const { mountPoint } = mounted
      try {
        if ((await control.mounts?.umount(mounted, lazy)) === false) used.push(mountPoint)
      } catch (err) {
        if (mountPoints.length === 0) throw err
        const { message } = errorWords(err)
        throw new Failure('SVS_IN_PART', `unmounted ${mountPoints.join(', ')}`, message, {
          cause: err,
        })
      }
      control.events.tell('unmounted', `unmounted ${mountPoint}`, { mountPoint })
      mountPoints.push(mountPoint)
    }
    // A daemon whose first mount was refused still waits for another one; who asked waits for its end.
    control.mounts?.checkEmpty()
    return { mountPoints, left: 0, used, ends: endsNow(control) }
  })
}

const endsNow = ({ mounts, stays }: Control): boolean => (mounts?.isEmpty ?? true) && !stays

async function stop(control: Control): Promise<UmountAnswer> {
  const answer = await umountAll(control, { lazy: true })
  control.stop?.()
  return { ...answer, ends: true }
}

export function mountsOf(control: Control): Mounts {
  if (control.mounts === null) throw new Failure('SVS_NO_DAEMON', 'mount')
  return control.mounts
}

function refuseOtherTransport(control: Control, wanted: MountParams['transport']): void {
  if (wanted === null || wanted === control.transport) return
  throw new Failure('SVS_TRANSPORT_MIXED', control.transport ?? 'direct', wanted)
}

// Covered, the store could not be reached any more.
export async function refuseStore(control: Control, mountPoint: string): Promise<void> {
  const store = await realpath(control.store.places.root)
  const within = (path: string, dir: string) => `${path}/`.startsWith(dir === '/' ? dir : `${dir}/`)
  if (within(store, mountPoint))
    throw new Failure('SVS_MOUNT_POINT_INVALID', mountPoint, `the store ${store} lies there`)
  if (within(mountPoint, store))
    throw new Failure('SVS_MOUNT_POINT_INVALID', mountPoint, `it belongs to the store ${store}`)
}

async function baseOf(params: MountParams): Promise<BaseSpec | null> {
  if (params.base === null) return null
  const path = bytesOf(await realDirectory(params.base, 'SVS_DIRECTORY_INVALID'))
  return { path, writable: params.baseWritable, timeout: params.baseTimeout }
}

async function idOf(records: readonly LayerRecord[], name: string): Promise<string> {
  const found = records.find((record) => record.name === name)
  if (found === undefined) throw await noLayer(name, records)
  return found.id
}
