// Starting the daemon of a store, in an order that makes nobody wait longer than needed.
//
//   take the store ─┬▶ threads of the engine: load the union, wait for calls
//                   └▶ this thread: loads the API, opens the catalogue, listens ─▶ Daemon
//
// Rule: imports little. Of a store that another process holds, nothing is started.

import { logTo } from '../base/log.ts'
import type { Daemon } from './daemon.ts'
import { createEngine } from './engine.ts'
import type { Engine, MountSpec } from './engine-api.ts'
import { takeStore } from './store.ts'

export interface DaemonOptions {
  readonly root: string
  readonly transport: MountSpec['transport']
  /** Descriptor of the log: the store's own file, or stderr in the foreground. */
  readonly log: number
  /** It does not end with its last mount: a service, which is ended. */
  readonly stays?: boolean
}

/** Makes this process the daemon of the store. */
export async function startDaemon({
  root,
  transport,
  log: fd,
  stays = false,
}: DaemonOptions): Promise<Daemon> {
  const store = takeStore(root, 'svsfs daemon', false)
  const log = logTo(fd, 'daemon')
  let engine: Engine | null = null
  let daemons: typeof import('./daemon.ts')
  try {
    engine = await createEngine({ log, transport })
    daemons = await import('./daemon.ts')
  } catch (err) {
    await engine?.stop()
    store.release()
    throw err
  }
  return daemons.Daemon.serve({ store, engine, transport, log, stays })
}
