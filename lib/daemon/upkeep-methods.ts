// Keeping a store in order by hand: removing garbage, verifying, repairing.

import { z } from 'zod'
import { Pace } from '../snapshot/pace.ts'
import type { Control } from './control.ts'
import { type Collected, collectStore } from './garbage.ts'
import { type Call, method } from './method.ts'
import { nameShape } from './shapes.ts'
import { withRoom } from './spare.ts'
import { verifyStore } from './verifying.ts'

const gcShape = z.strictObject({
  dryRun: z.boolean().default(false),
  all: z.boolean().default(false),
})

export const upkeepMethods = {
  gc: method(gcShape, gc),
  verify: method(
    z.strictObject({
      /** Only what its states need; null for the whole store. */
      layer: nameShape.nullable().default(null),
      repair: z.boolean().default(false),
    }),
    async (control, { layer, repair }, call) =>
      verifyStore(control, layer === null ? null : await control.layer(layer), repair, call),
  ),
} as const

async function gc(control: Control, wish: z.infer<typeof gcShape>, call: Call): Promise<Collected> {
  const gone = new AbortController()
  call.whenGone(() => gone.abort())
  const pace = new Pace(1, AbortSignal.any([gone.signal, control.ending.signal]))
  const progress = (text: string) => call.progress(text)
  return withRoom(control.store.places, () => collectStore(control, { ...wish, pace, progress }))
}
