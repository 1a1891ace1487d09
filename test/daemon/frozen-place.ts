// A store with a mounted layer to freeze, for the tests of images: served by one daemon for all tests of
// a file, each of which has a directory of its own in the layer.
//
//   const place = await frozenPlace(t)
//   const d = place.room()                      a new directory in the layer
//   const id = await place.freeze()             by the daemon's API, as the others
//   await place.shown(id, (at) => …)            while the image is mounted at `at`

import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from '../../lib/base/failure.ts'
import { Client } from '../../lib/daemon/client.ts'
import type { FreezeLine } from '../../lib/daemon/frozen-layers.ts'
import { storePlaces } from '../../lib/daemon/store-path.ts'
import { type StorePlace, storeOf } from './store-of.ts'

export const DRAWING = {
  'd/base': 'base',
  'd/other': 'other',
  'd/in/deep': 'deep',
  'd/large': 'from below '.repeat(3000),
}

export interface FreezeWish {
  readonly layer?: string
  readonly preserve?: string
  readonly block?: number
}

export class FrozenPlace {
  readonly store: StorePlace
  readonly #client: Client
  #rooms = 0

  constructor(store: StorePlace, client: Client) {
    this.store = store
    this.#client = client
  }

  /** A new directory in the layer. Its name in the layer is the last part. */
  room(): string {
    const at = join(this.store.at, `room-${this.#rooms++}`)
    mkdirSync(at)
    return at
  }

  async freeze({ layer = 'app', ...wish }: FreezeWish = {}): Promise<string> {
    return (await this.#client.call('freeze', { layer, ...wish })).id
  }

  async line(id: string): Promise<FreezeLine> {
    const found = (await this.#client.call('freezes', {})).find((line) => line.id === id)
    if (found === undefined) throw new Error(`no freeze ${id}`)
    return found
  }

  async thaw(...ids: readonly string[]): Promise<void> {
    for (const id of ids) await this.#client.call('thaw', { id })
  }

  /** Mounts an image, and answers where. */
  async show(id: string, writable = false): Promise<string> {
    const mountPoint = join(this.store.dir, `shown-${this.#rooms++}`)
    mkdirSync(mountPoint)
    await this.#client.call('mount.frozen', { id, mountPoint, writable })
    return mountPoint
  }

  async hide(mountPoint: string): Promise<void> {
    await this.#client.call('umount', { mountPoint })
  }

  async shown<T>(id: string, use: (at: string) => T): Promise<T> {
    const at = await this.show(id)
    try {
      return use(at)
    } finally {
      await this.hide(at)
    }
  }

  close(): void {
    this.#client.close()
  }
}

export async function frozenPlace(t: {
  teardown(act: () => Promise<void>): void
}): Promise<FrozenPlace> {
  const store = await storeOf(t)
  await store.layer('app', DRAWING)
  await store.mount()
  await store.ask('activate', 'app')
  const client = await Client.connect(storePlaces(store.store))
  if (client === null) throw new Error('no daemon runs')
  const place = new FrozenPlace(store, client)
  t.teardown(async () => place.close())
  return place
}

/** The code of the failure that something ends with; `done` where it does not. */
export async function failureOf(asked: Promise<unknown>): Promise<string> {
  try {
    await asked
    return 'done'
  } catch (err) {
    return err instanceof Failure ? err.code : (/SVS_[A-Z_]+/.exec(String(err))?.[0] ?? String(err))
  }
}

/** Every name below a directory with its content, or the digest of a long one. */
export function contentsOf(root: string, path = ''): Record<string, string> {
  const found: Record<string, string> = {}
  for (const entry of readdirSync(join(root, path), { withFileTypes: true })) {
    const at = join(path, entry.name)
    if (entry.isDirectory()) Object.assign(found, { [at]: 'dir' }, contentsOf(root, at))
    else found[at] = shortened(readFileSync(join(root, at)))
  }
  return found
}

const shortened = (bytes: Buffer): string =>
  bytes.length < 100 ? bytes.toString('latin1') : createHash('sha256').update(bytes).digest('hex')

/** Files and directories of the layer's own. */
export function drawOwn(d: string): void {
  writeFileSync(join(d, 'own'), 'own')
  mkdirSync(join(d, 'dir/sub'), { recursive: true })
  writeFileSync(join(d, 'dir/sub/f'), 'f')
  mkdirSync(join(d, 'dir/empty'))
  writeFileSync(join(d, 'in/more'), 'more')
}

/** Changes those, and what the read-only part has, in every way. */
export function changeAll(d: string): void {
  writeFileSync(join(d, 'own'), 'changed')
  writeFileSync(join(d, 'base'), 'changed, too')
  writeFileSync(join(d, 'new'), 'new')
  rmSync(join(d, 'other'))
  renameSync(join(d, 'in'), join(d, 'out'))
  rmSync(join(d, 'out/deep'))
  rmSync(join(d, 'dir'), { recursive: true })
}
