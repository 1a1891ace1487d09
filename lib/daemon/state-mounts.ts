// States that are shown as directories.
//
//   mount --state ─▶ what it consists of is held ─▶ StateServer ─▶ mount point ─▶ umount ─▶ let go
//
// The mount points lie in run/shown-states.json too: a daemon that was killed leaves dead mounts, which
// the next one takes away.
//
// Rule: belongs to the main thread. A state may be deleted while it is shown: what it consists of stays
// until nobody looks at it any more, and its layer stays too.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { Failure } from '../base/failure.ts'
import { bytesOf, shown } from '../base/path.ts'
import { unmountFuse } from '../host/mount.ts'
import { mountAt } from '../host/mount-table.ts'
import type { LayerRecord, Piece, SnapshotRecord } from '../snapshot/records.ts'
import type { Control } from './control.ts'
import { isDead, isOurs } from './mount-point.ts'
import type { Mounted } from './mounts.ts'
import { belowOf, versionOf } from './restoring.ts'
import type { StateServer, StateServerOptions } from './state-server.ts'
import { layerPlaces } from './store-path.ts'

export class StateMounts {
  readonly #control: Control
  readonly #servers = new Set<StateServer>()

  constructor(control: Control) {
    this.#control = control
  }

  /** Callers hold the layer and STACKS. Answers the mount's number. */
  async mount(
    layer: LayerRecord,
    snapshot: SnapshotRecord,
    mountPoint: string,
    allowOther: boolean,
  ): Promise<number> {
    const { catalogue, mounts } = this.#control
    if (mounts === null) throw new Failure('SVS_NO_DAEMON', 'mount')
    const held = await catalogue.hold(snapshot)
    if (held === null) throw new Failure('SVS_STATE_NOT_FOUND', snapshot.id, layer.name)
    let server: StateServer | null = null
    let mounted: Mounted | null = null
    try {
      const { StateServer } = await import('./state-server.ts')
      server = await StateServer.start({
        ...this.#optionsOf(layer, snapshot, held.pieces, mountPoint),
        allowOther,
        onGone: (reason) => {
          held.release()
          if (server !== null) this.#servers.delete(server)
          if (mounted !== null) this.#gone(mounted, reason)
        },
      })
    } catch (err) {
      held.release()
      mounts.checkEmpty()
      throw err
    }
    const { umount } = server
    mounted = mounts.adopt(mountPoint, { layer: layer.id, id: snapshot.id }, umount.bind(server))
    this.#servers.add(server)
    this.#note()
    return mounted.id
  }

  #optionsOf(
    layer: LayerRecord,
    snapshot: SnapshotRecord,
    pieces: readonly Piece[],
    mountPoint: string,
  ): Omit<StateServerOptions, 'allowOther' | 'onGone'> {
    const { catalogue, store, events, log } = this.#control
    const below = belowOf(this.#control, layer, versionOf(layer, snapshot).version)
    const name = `${layer.name}@${snapshot.id}`
    const told = new Set<string>()
    return {
      mountPoint,
      source: `svsfs:${bytesOf(name)}`,
      depot: catalogue,
      state: {
        id: snapshot.id,
        pieces,
        ro: below.path,
        index: below.index,
        scope: snapshot.ro.digest,
        temporary: bytesOf(layerPlaces(store.places, layer.id).work),
      },
      onDamage: (path, why) => {
        if (told.has(path)) return
        told.add(path)
        const text = `/${shown(path)} of state ${name} cannot be read: ${why}; svsfs verify shows what else is damaged`
        log.error(text)
        events.tell('failed', text, { layer: layer.name, state: snapshot.id })
      },
    }
  }

  // By somebody else's umount, or because a thread of it ended.
  #gone(mounted: Mounted, reason: string): void {
    const { mounts, events } = this.#control
    const { mountPoint } = mounted
    if ((mounts?.forget(mounted.id) ?? null) !== null)
      events.tell('unmounted', `${mountPoint}: ${reason}`, { mountPoint })
    this.#note()
  }

  /** Fails where a state of the layer is shown. */
  refuse({ id, name }: LayerRecord): void {
    const found = this.#control.mounts?.served().find(({ state }) => state?.layer === id)
    if (found !== undefined) throw new Failure('SVS_LAYER_BUSY', name, found.mountPoint)
  }

  /** Takes away what a daemon that was killed left. */
  async removeDead(): Promise<void> {
    for (const place of this.#noted()) {
      const found = mountAt(bytesOf(place))
      if (found !== null && isOurs(found) && (await isDead(place)))
        unmountFuse(bytesOf(place), true)
    }
    this.#note()
  }

  /** The engine has ended. */
  async stop(): Promise<void> {
    const servers = [...this.#servers]
    this.#servers.clear()
    await Promise.all(servers.map((server) => server.stop()))
  }

  get #file(): string {
    return join(this.#control.store.places.run, 'shown-states.json')
  }

  #noted(): string[] {
    try {
      return z.array(z.string().startsWith('/')).parse(JSON.parse(readFileSync(this.#file, 'utf8')))
    } catch {
      // None was ever shown, or the file is no use: nothing is done by it.
      return []
    }
  }

  #note(): void {
    const mounts = this.#control.mounts?.list() ?? []
    const places = mounts.filter(({ state }) => state !== null).map(({ mountPoint }) => mountPoint)
    if (places.length > 0 || this.#noted().length > 0)
      writeFileSync(this.#file, JSON.stringify(places))
  }
}
