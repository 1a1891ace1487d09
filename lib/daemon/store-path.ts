// Where a store lies, and the names of the places in it.
//
//   <store>/store.json  catalogue/  layers/<id>/…  frozen/<n>/  keys/  run/  packages/  incoming/
//   repositories.json
//
// Rule: these are host paths as Node takes them; what goes to the engine is made internal
// (bytes as latin1) by `bytesOf` at that point.

import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

/** `--store`, then $SVSFS_STORE, then /var/lib/svsfs for root or the user's own data directory. */
export function storePath(option: string | undefined, env = process.env): string {
  const named = option ?? env.SVSFS_STORE
  if (named !== undefined && named !== '') return resolve(named)
  if (process.geteuid?.() === 0) return '/var/lib/svsfs'
  const data = env.XDG_DATA_HOME
  return join(data?.startsWith('/') === true ? data : join(homedir(), '.local/share'), 'svsfs')
}

/** Places of a store. */
export interface StorePlaces {
  readonly root: string
  readonly json: string
  readonly catalogue: string
  readonly layers: string
  readonly frozen: string
  readonly keys: string
  readonly run: string
  readonly lock: string
  readonly log: string
  readonly events: string
  /** Room kept for a full disk (spare.ts). */
  readonly spare: string
  /** Mount points of `svsfs run`. */
  readonly views: string
  /** An empty directory: the base of a mount that has none, so that it shows one without layers. */
  readonly empty: string
  /** What apt downloaded for recipes; may be removed at any time. */
  readonly packages: string
  /** Repositories of registries that were used (known-repositories.ts). */
  readonly repositories: string
  /** What has come of archives from other machines (lib/deploy/incoming.ts), and what goes to them. */
  readonly incoming: string
}

export function storePlaces(root: string): StorePlaces {
  return {
    root,
    json: join(root, 'store.json'),
    catalogue: join(root, 'catalogue'),
    layers: join(root, 'layers'),
    frozen: join(root, 'frozen'),
    keys: join(root, 'keys'),
    run: join(root, 'run'),
    lock: join(root, 'run/lock'),
    log: join(root, 'run/daemon.log'),
    events: join(root, 'run/events.log'),
    spare: join(root, 'run/spare'),
    views: join(root, 'run/views'),
    empty: join(root, 'run/empty'),
    packages: join(root, 'packages'),
    repositories: join(root, 'repositories.json'),
    incoming: join(root, 'incoming'),
  }
}

/** Places of one layer. */
export interface LayerPlaces {
  readonly root: string
  /** Temporary names; emptied whenever the store is opened. */
  readonly work: string
  /** Excluded files of a writable sublayer: a reset leaves them behind too. */
  scratch(number: number): string
  ro(version: number): string
  index(version: number): string
  rw(number: number): string
  numbers(number: number): string
}

export function layerPlaces(places: StorePlaces, id: string): LayerPlaces {
  const root = join(places.layers, id)
  return {
    root,
    work: join(root, 'work'),
    ro: (version) => join(root, 'ro', String(version)),
    index: (version) => join(root, 'ro', `${version}.index`),
    scratch: (number) => join(root, 'scratch', String(number)),
    rw: (number) => join(root, 'rw', String(number)),
    numbers: (number) => join(root, 'rw', `${number}.numbers`),
  }
}
