// Shapes that answers of several commands share (answers.ts).
//
// Rule: every one is strict: a field that is not written here is in no answer.

import { z } from 'zod'
import type { LayerLine } from '../../daemon/layer-line.ts'
import type { OrderAnswer } from '../../daemon/order-methods.ts'
import type { StateLine } from '../../daemon/state-methods.ts'
import type { SublayerLine } from '../../daemon/sublayer-methods.ts'

/** A shape whose values are what a command answers. */
export const of =
  <Data>() =>
  <Shape extends z.ZodType<Data>>(shape: Shape): Shape =>
    shape

export const text = z.string()
export const flag = z.boolean()
export const count = z.int().min(0)
/** Milliseconds since 1970. */
export const moment = z.int().min(0)
export const texts = z.array(text)

export const layerLine = of<LayerLine>()(
  z.strictObject({
    name: text,
    id: text,
    active: flag,
    priority: z.int(),
    version: z.int().min(1),
    digest: text,
    entries: count,
    bytes: count,
    created: moment,
  }),
)

export const counts = z.strictObject({
  added: count,
  changed: count,
  deleted: count,
  attributes: count,
  renamed: count,
})

export const sizes = z.strictObject({ own: count, shared: count })

export const stateLine = of<StateLine>()(
  z.strictObject({
    id: text,
    layer: text,
    time: moment,
    message: text,
    label: text.nullable(),
    tags: z.record(text, text),
    pinned: flag,
    trigger: z.enum(['manual', 'before-restore', 'before-update', 'before-deploy', 'scheduled']),
    entries: count,
    bytes: count,
    stored: count,
    sizes: sizes.nullable(),
    counts,
    current: flag,
    status: z.enum(['stored', 'pending']),
  }),
)

export const orderLine = of<OrderAnswer>()(
  z.strictObject({ layer: text, changed: flag, mounts: texts }),
)

export const sublayerLine = of<SublayerLine>()(
  z.strictObject({
    layer: text,
    name: text,
    current: flag,
    version: z.int().min(1),
    made: moment,
    state: text.nullable(),
  }),
)
