// What svsfs push, pull, repo and desktop answer: layers outside of their store.

import { z } from 'zod'
import type { PullAnswer, PushAnswer, RepositoryAnswer } from '../../daemon/repository-methods.ts'
import { count, flag, moment, of, text, texts } from './shapes.ts'
import { snapshotAnswer } from './states.ts'
import { imported } from './upkeep.ts'

const listed = z.strictObject({
  tag: text,
  kind: z.enum(['state', 'layer', 'image', 'other', 'unreadable']),
  digest: text.nullable(),
  what: text,
  layer: text.nullable(),
  state: z
    .strictObject({ id: text, time: moment, label: text.nullable(), message: text })
    .nullable(),
  states: count,
  size: count.nullable(),
  base: text.nullable(),
  payload: text.nullable(),
})

export const PLACES = {
  push: of<PushAnswer>()(
    z.strictObject({
      place: text,
      digest: text,
      sent: count,
      there: count,
      mounted: count,
      size: count,
      fresh: flag,
      payload: text,
      signers: texts,
      layer: text,
      kind: z.enum(['patch', 'layer']),
      states: texts,
      from: text.nullable(),
    }),
  ),
  pull: of<PullAnswer>()(imported.extend({ place: text, payload: text, fetched: count })),
  'repo list': of<RepositoryAnswer>()(z.strictObject({ place: text, tags: z.array(listed) })),
  'repo serve': z.strictObject({ url: text }),
  'desktop add': z.strictObject({ path: text, text, written: flag }),
  'desktop remove': z.strictObject({ path: text }),
  'desktop keep': snapshotAnswer,
  'desktop back': z.strictObject({ opened: flag, status: count.nullable() }),
}
