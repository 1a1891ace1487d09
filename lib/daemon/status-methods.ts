// Looking: what a store holds, what is mounted, what happened. Nothing here changes anything.

import { basename, dirname, join } from 'node:path'
import { z } from 'zod'
import { Failure } from '../base/failure.ts'
import { bytesOf, relPath, shown } from '../base/path.ts'
import type { Control } from './control.ts'
import type { DataPath } from './engine-api.ts'
import { lastEvents, type StoreEvent } from './events.ts'
import { realPath } from './host-path.ts'
import { byName, type LayerLine, layerLine } from './layer-line.ts'
import { method } from './method.ts'
import type { Mounted } from './mounts.ts'
import { pathShape } from './shapes.ts'

export interface MountLine {
  readonly id: number
  readonly mountPoint: string
  readonly base: string | null
  readonly readOnly: boolean
  /** How reads and writes reach the files, as it was agreed with the kernel. */
  readonly dataPath: DataPath
  readonly purpose: Mounted['purpose']
  readonly since: string
  /** Names of the layers it shows, top first. */
  readonly layers: readonly string[]
}

export interface Status {
  readonly store: {
    readonly path: string
    readonly id: string
    readonly made: string
    /** When garbage was last looked for, in milliseconds since 1970; 0 for not since a deletion. */
    readonly collected: number
  }
  /** null where the store is opened by the command itself. */
  readonly daemon: {
    readonly pid: number
    readonly since: string
    readonly transport: string
    /** Bytes in memory. */
    readonly memory: number
  } | null
  readonly layers: readonly LayerLine[]
  readonly mounts: readonly MountLine[]
}

/** Which sublayer provides a path; the first provides it, the others are hidden by it or merge. */
export interface WhichAnswer {
  readonly mountPoint: string
  readonly path: string
  readonly providers: readonly {
    /** Name of the layer, or null for the base. */
    readonly layer: string | null
    readonly part: 'rw' | 'ro' | 'scratch' | 'base'
    readonly path: string
    readonly kind: string
  }[]
}

export const statusMethods = {
  status: method(z.strictObject({}), status),
  mounts: method(z.strictObject({}), (control) => mountLines(control)),
  which: method(z.strictObject({ path: pathShape }), which),
  events: method(
    z.strictObject({ last: z.number().int().min(0).max(100_000).default(20) }),
    async (control, { last }): Promise<StoreEvent[]> => lastEvents(control.store.places, last),
  ),
} as const

async function status(control: Control): Promise<Status> {
  const { store, engine } = control
  const records = await control.catalogue.layers()
  return {
    store: {
      path: store.places.root,
      id: store.json.id,
      made: store.json.made,
      collected: await control.catalogue.swept(),
    },
    daemon:
      engine === null
        ? null
        : {
            pid: process.pid,
            since: control.started,
            transport: control.transport ?? 'direct',
            memory: process.memoryUsage.rss(),
          },
    layers: records.map(layerLine).sort(byName),
    mounts: await mountLines(control),
  }
}

async function mountLines(control: Control): Promise<MountLine[]> {
  const records = await control.catalogue.layers()
  const nameOf = new Map(records.map(({ id, name }) => [id, name]))
  return (control.mounts?.list() ?? []).map((mounted) => ({
    id: mounted.id,
    mountPoint: mounted.mountPoint,
    base: mounted.choice.base === null ? null : shown(mounted.choice.base.path),
    readOnly: mounted.view.readOnly,
    dataPath: mounted.dataPath,
    purpose: mounted.purpose,
    since: mounted.since,
    layers: namesShown(mounted, (id) => nameOf.get(id) ?? id),
  }))
}

/** Of a state, `NAME@ID`. */
function namesShown({ shows, state }: Mounted, nameOf: (id: string) => string): string[] {
  return state === null ? shows.map(nameOf) : [`${nameOf(state.layer)}@${state.id}`]
}

async function which(control: Control, { path }: { path: string }): Promise<WhichAnswer> {
  const { place, mounted } = await placeOf(control, path)
  const inside = relPath(bytesOf(place.slice(mounted.mountPoint.length)))
  const found = (await control.engine?.which(mounted.id, inside)) ?? []
  // A mount without a base has an empty directory of ours in its place.
  const hasBase = mounted.choice.base !== null
  const isNamed = ({ part }: { part: string }) => part !== 'base' || hasBase
  if (found.length === 0) throw new Failure('SVS_PATH_NOT_FOUND', path)
  return {
    mountPoint: mounted.mountPoint,
    path: shown(inside),
    providers: found.filter(isNamed).map((provider) => ({
      layer: provider.part === 'base' ? null : provider.layer,
      part: provider.part,
      path: shown(provider.path),
      kind: provider.kind,
    })),
  }
}

/** The path with its directory's links resolved, but not its last name, and the mount it lies in. */
async function placeOf(
  control: Control,
  path: string,
): Promise<{ place: string; mounted: Mounted }> {
  const parent = await realPath(dirname(path)).catch((cause: unknown) => {
    throw new Failure('SVS_PATH_NOT_FOUND', path, { cause })
  })
  const place = path === '/' ? path : join(parent, basename(path))
  const mounted = control.mounts?.containing(place) ?? null
  if (mounted === null || mounted.state !== null) throw new Failure('SVS_PATH_NOT_MOUNTED', path)
  return { place, mounted }
}
