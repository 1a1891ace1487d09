// Throw-away stores for tests of the daemon, and an engine that only remembers what it was told.

import { mkdirSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Call } from '../../lib/daemon/api.ts'
import { type Control, openControl } from '../../lib/daemon/control.ts'
import type { Engine, EngineCalls, EngineEvent } from '../../lib/daemon/engine-api.ts'
import { removeTree } from '../../lib/host/remove-tree.ts'
import { AT_FDCWD } from '../../lib/host/sys.ts'

export interface Test {
  teardown(done: () => unknown): void
}

/** A directory that goes with the test. */
export function throwAway(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'daemon-'))
  t.teardown(() => removeTree(AT_FDCWD, dir))
  return dir
}

/** A new store, open in this process. */
export async function newStore(t: Test): Promise<Control> {
  const root = join(throwAway(t), 'store')
  const control = await openControl({ root, doing: 'a test', create: true })
  let closed = false
  const close = control.close.bind(control)
  control.close = async () => {
    if (!closed) await close()
    closed = true
  }
  t.teardown(() => control.close())
  return control
}

/** A caller that nobody hears. */
export const nobody: Call = { progress() {}, whenGone() {} }

export interface Told {
  readonly name: keyof EngineCalls
  readonly args: readonly unknown[]
}

/** An engine that does nothing, and everything it was asked for; `emit` makes it report. */
export function deafEngine(answers: Partial<Record<keyof EngineCalls, () => unknown>> = {}): {
  engine: Engine
  told: Told[]
  emit(event: EngineEvent): void
} {
  const told: Told[] = []
  const listeners: ((event: EngineEvent) => void)[] = []
  const call =
    (name: keyof EngineCalls) =>
    async (...args: unknown[]) => {
      told.push({ name, args })
      return answers[name]?.()
    }
  const engine = {
    ...Object.fromEntries(
      (
        ['mount', 'umount', 'restack', 'freeze', 'thaw', 'applyRedo', 'which', 'stats'] as const
      ).map((name) => [name, call(name)]),
    ),
    onEvent: (listener: (event: EngineEvent) => void) => listeners.push(listener),
    stop: async () => {},
  } as unknown as Engine
  return { engine, told, emit: (event) => listeners.forEach((listener) => void listener(event)) }
}

/** A store whose mounts a deaf engine serves: what is taken away ends at once. */
export async function servedStore(t: Test, engine = deafEngine()) {
  const control = await newStore(t)
  const { umount } = engine.engine
  engine.engine.umount = async (id, lazy) => {
    await umount(id, lazy)
    control.mounts?.forget(id)
  }
  control.serveMounts(engine.engine, 'direct')
  return { control, ...engine }
}

/** An existing directory below the test's own. */
export function directory(root: string, name: string): string {
  const path = join(root, name)
  mkdirSync(path, { recursive: true })
  return path
}
