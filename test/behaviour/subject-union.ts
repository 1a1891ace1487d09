// The union without a mount: a View asked by a small kernel of our own, in this process.

import assert from 'node:assert/strict'
import { type Log, logTo } from '../../lib/base/log.ts'
import { raiseFileLimit } from '../../lib/host/thread.ts'
import { Pool } from '../../lib/union/pool.ts'
import type { Settler } from '../../lib/union/settler.ts'
import type { StackSpec } from '../../lib/union/spec.ts'
import { View } from '../../lib/union/view.ts'
import type { Tree } from './draw.ts'
import { makeGround, removeGround } from './ground.ts'
import { InProcessPlace } from './in-process-place.ts'
import { lowersOf } from './layered.ts'
import { LittleKernel } from './little-kernel.ts'
import type { DrawnStack } from './stacks.ts'
import type { Subject } from './suite.ts'

export interface UnionSubject {
  readonly name: string
  /** True for a kernel that gives back every node at once. */
  readonly forgetful: boolean
  readonly draw: (
    root: string,
    starts: readonly string[],
    tree?: Tree,
  ) => DrawnStack | Promise<DrawnStack>
  readonly tree?: Tree
}

export function union({ name, forgetful, draw, tree }: UnionSubject): Subject {
  return {
    name,
    differs: {},
    async make(starts) {
      const root = makeGround()
      const { branches, spec } = await draw(root, starts, tree)
      const lowers = lowersOf(root, branches)
      let served = serve(spec, forgetful)
      return {
        place: (start) => new InProcessPlace(served.kernel, start),
        // A walk over everything would spend its time on looking up the same directories.
        finished: () => {
          served.kernel.forgetful = false
        },
        remount: async () => {
          served.end()
          served = serve(spec, false)
        },
        lowers,
        close: async () => {
          for (const place of lowers) place.close()
          served.view.destroy()
          removeGround(root)
        },
      }
    },
  }
}

/** A view of a stack, and the kernel that asks it. */
export function serve(
  stack: StackSpec,
  forgetful: boolean,
  {
    privateTo = null,
    log = logTo(2, 'view'),
    settler = null,
  }: { privateTo?: string | null; log?: Log; settler?: Settler | null } = {},
) {
  // As the engine's thread does: nodes and directories are held by descriptors.
  raiseFileLimit()
  const privileged = process.geteuid?.() === 0
  const view = new View({
    pool: new Pool(privileged, settler),
    peers: new Set(),
    stack,
    view: {
      readOnly: false,
      writeTo: null,
      privateTo,
      blocked: [],
      privileged,
      timeout: Number.POSITIVE_INFINITY,
    },
    announce: (_batch, done) => done(),
    log,
  })
  const kernel = new LittleKernel(view, forgetful)
  return {
    view,
    kernel,
    end: () => {
      kernel.forgetAll()
      // What the kernel has given back is held no longer: the root alone is left.
      assert.deepEqual(view.counts, { nodes: 1, handles: 0 })
      view.destroy()
    },
  }
}
