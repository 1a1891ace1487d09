// The private mount of one `svsfs run`: base `/`, the active layers, the named one on top,
// which receives every change.
//
// Rule: it lives as long as the command that asked for it: `run.finish`, or the end of the
// command's connection, takes it away.

import { mkdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { bytesOf, shown } from '../base/path.ts'
import { filledInAll, type Variables, variablesHere } from '../layer/variables.ts'
import type { Control } from './control.ts'
import { ensureHome, homeOf } from './home.ts'
import { type Call, method } from './method.ts'
import { mountsOf } from './mount-methods.ts'
import { STACKS } from './queue.ts'
import { nameShape } from './shapes.ts'

export interface RunAnswer {
  /** Number by which `run.finish` takes the view away. */
  readonly view: number
  /** Where the view is mounted: the root for the program. */
  readonly root: string
  readonly layer: string
  /** HOME of the program, inside the view. */
  readonly home: string
  /** What the layer's recipe or manifest says, for whoever starts the program. */
  readonly manifest: Readonly<Record<string, unknown>>
}

const prepareShape = z.strictObject({
  layer: nameShape,
  /** Seconds for which the kernel may trust what the base showed. */
  baseTimeout: z.number().min(0).max(86_400).default(1),
  trace: z.boolean().default(false),
})

export const runMethods = {
  'run.prepare': method(prepareShape, prepare),
  'run.finish': method(z.strictObject({ view: z.number().int() }), finish),
} as const

async function prepare(
  control: Control,
  { layer, baseTimeout, trace }: z.infer<typeof prepareShape>,
  call: Call,
): Promise<RunAnswer> {
  return control.queue.run(STACKS, async () => {
    const record = await control.layer(layer)
    await ensureHome(control, record)
    const mountPoint = freshView(control)
    const mounted = await mountsOf(control).mount(await control.catalogue.layers(), {
      mountPoint,
      purpose: 'run',
      choice: {
        only: null,
        top: record.id,
        base: { path: bytesOf('/'), writable: false, timeout: baseTimeout },
      },
      view: { readOnly: false, writeTo: null, privateTo: record.id },
      // Programs that root starts may become other users.
      allowOther: process.geteuid?.() === 0,
      trace,
      kernelCap: null,
      dataPath: null,
    })
    const view = mounted.id
    call.whenGone(() => {
      void finish(control, { view }).catch((err: unknown) =>
        control.log.warn(`the view at ${mountPoint} could not be taken away`, err),
      )
    })
    const home = shown(homeOf(record))
    const manifest = manifestHere(record.manifest, variablesHere(home))
    return { view, root: mountPoint, layer: record.name, home, manifest }
  })
}

/** What a program is started by, with its variables filled in. */
function manifestHere(
  manifest: Readonly<Record<string, unknown>>,
  variables: Variables,
): Readonly<Record<string, unknown>> {
  const used = Object.entries(manifest).filter(([name]) => name === 'commands' || name === 'env')
  return { ...manifest, ...filledInAll(Object.fromEntries(used), variables) }
}

/** Takes a view away; one that is gone already is no failure. What still runs in it keeps its files. */
async function finish(control: Control, { view }: { view: number }): Promise<null> {
  return control.queue.run(STACKS, async () => {
    const mounts = mountsOf(control)
    const mounted = mounts.list().find(({ id, purpose }) => id === view && purpose === 'run')
    if (mounted === undefined) return null
    await mounts.umount(mounted, true)
    rmdirSync(mounted.mountPoint)
    return null
  })
}

function freshView(control: Control): string {
  for (let number = 1; ; number++) {
    const path = join(control.store.places.views, String(number))
    try {
      mkdirSync(path, { mode: 0o700 })
      return path
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code !== 'EEXIST') throw err
    }
  }
}
