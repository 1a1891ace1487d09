// The second transport: fuse-native, in the process's main thread. It cannot tell the kernel
// anything: what changes from our side shows when the kernel's second is over.

import type { Log } from '../base/log.ts'
import type { Jobs } from '../fuse/io.ts'
import { NativeMount } from '../fuse/native.ts'
import type { FuseNative } from '../fuse/native-load.ts'
import { mountAt } from '../host/mount-table.ts'
import type { View } from '../union/view.ts'
import type { MountSpec } from './engine-api.ts'
import type { Connect, LinkEvents, MountLink } from './link.ts'

/** How often it is looked whether somebody else unmounted it, in milliseconds: nothing tells us. */
const LOOK_EVERY = 2000

/** Connects mounts through libfuse 2. */
export function natively(Fuse: FuseNative, parts: { log: Log; jobs: Jobs }): Connect {
  return (spec, view, events) => new NativeLink(Fuse, parts, spec, view, events)
}

class NativeLink implements MountLink {
  readonly #mount: NativeMount
  readonly #events: LinkEvents
  readonly #mountPoint: string
  #look: NodeJS.Timeout | null = null

  constructor(
    Fuse: FuseNative,
    parts: { log: Log; jobs: Jobs },
    spec: MountSpec,
    view: View,
    events: LinkEvents,
  ) {
    this.#events = events
    this.#mountPoint = spec.mountPoint
    this.#mount = new NativeMount(Fuse, {
      fs: view,
      mountPoint: spec.mountPoint,
      source: spec.source,
      readOnly: spec.view.readOnly,
      allowOther: spec.allowOther,
      log: parts.log,
      submit: parts.jobs.submit,
    })
    this.#mount.mount().then(
      () => this.#ready(),
      (err: Error) => {
        view.destroy()
        events.failed(err)
      },
    )
  }

  get requests(): number {
    return this.#mount.requests
  }

  // It reads by itself, and has no way to be asked.
  readonly hasRequests = false

  #ready(): void {
    this.#look = setInterval(() => this.#lookForIt(), LOOK_EVERY)
    this.#events.ready('cached')
  }

  #lookForIt(): void {
    if (mountAt(this.#mountPoint)?.type.startsWith('fuse')) return
    this.#end()
    this.#mount.gone()
    this.#events.ended('unmounted')
  }

  #end(): void {
    if (this.#look !== null) clearInterval(this.#look)
    this.#look = null
  }

  umount(lazy: boolean, done: (error: Error | null) => void): void {
    this.#mount.unmount(lazy).then(
      () => {
        this.#end()
        this.#events.ended('unmounted')
        done(null)
      },
      (err: Error) => done(err),
    )
  }

  tell(_batch: readonly unknown[], done: (error: Error | null) => void): void {
    done(null)
  }
}
