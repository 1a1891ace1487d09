// What a method needs of the process that runs it: known without loading the methods themselves.
//
// Rule: imports types alone; a command that asks the daemon has to start fast.

import type { MethodName } from './api.ts'

export interface Needs {
  /** It needs a mount: a command starts the daemon for it. */
  readonly daemon?: true
  /** A store is made if there is none. */
  readonly creates?: true
}

const NEEDS: Partial<Record<MethodName, Needs>> = {
  mount: { daemon: true, creates: true },
  'mount.frozen': { daemon: true },
  'mount.state': { daemon: true },
  stop: { daemon: true },
  'run.prepare': { daemon: true },
  'run.finish': { daemon: true },
  which: { daemon: true },
  'layer.create': { creates: true },
  import: { creates: true },
  pull: { creates: true },
  'receive.begin': { creates: true },
  'host.add': { creates: true },
  'key.create': { creates: true },
  'key.trust': { creates: true },
}

/** Without further words a method works with and without the daemon, on a store that exists. */
export const needsOf = (name: MethodName): Needs => NEEDS[name] ?? {}
