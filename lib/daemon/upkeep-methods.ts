// Keeping a store in order by hand: removing garbage.

import { z } from 'zod'
import { Pace } from '../snapshot/pace.ts'
import type { Control } from './control.ts'
import { type Collected, collectStore } from './garbage.ts'
import { type Call, method } from './method.ts'
import { withRoom } from './spare.ts'

const gcShape = z.strictObject({
  dryRun: z.boolean().default(false),
  all: z.boolean().default(false),
})

export const upkeepMethods = {
  gc: method(gcShape, gc),
} as const

async function gc(control: Control, wish: z.infer<typeof gcShape>, call: Call): Promise<Collected> {
  const gone = new AbortController()
  call.whenGone(() => gone.abort())
  const pace = new Pace(1, AbortSignal.any([gone.signal, control.ending.signal]))
  const progress = (text: string) => call.progress(text)
  return withRoom(control.store.places, () => collectStore(control, { ...wish, pace, progress }))
}
