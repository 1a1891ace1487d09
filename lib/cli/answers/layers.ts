// What svsfs layer, activate, deactivate, priority, reset, settle, du answer.

import { z } from 'zod'
import type { DuAnswer } from '../../daemon/du-methods.ts'
import type { CreateAnswer, DeleteAnswer, LayerDetails } from '../../daemon/layer-methods.ts'
import {
  count,
  flag,
  layerLine,
  of,
  orderLine,
  sizes,
  sublayerLine,
  text,
  texts,
} from './shapes.ts'

const created = of<CreateAnswer>()(layerLine.extend({ warnings: texts, mounts: texts }))
const diskUse = { disk: count, files: count }

export const LAYERS = {
  'layer create': created,
  'layer list': z.array(layerLine),
  'layer show': of<LayerDetails>()(
    layerLine.extend({
      mounts: texts,
      excludes: texts,
      /** As the recipe or the package wrote it. */
      manifest: z.record(text, z.unknown()),
      states: count,
      references: z.record(text, count),
      pinned: count,
      schedules: count,
      places: z.strictObject({ ro: text, rw: text, scratch: text }),
    }),
  ),
  'layer vars': z.array(z.strictObject({ name: text, value: text.nullable(), used: flag })),
  'layer rename': layerLine,
  'layer delete': of<DeleteAnswer>()(z.strictObject({ layer: text, states: count, kept: flag })),
  'layer replace': created,
  'layer sublayers': z.array(sublayerLine),
  activate: z.array(orderLine),
  deactivate: z.array(orderLine),
  priority: orderLine,
  reset: orderLine.extend({ state: text.nullable() }),
  settle: z.array(z.strictObject({ layer: text.nullable(), files: count, bytes: count })),
  du: of<DuAnswer>()(
    z.strictObject({
      store: text,
      parts: z.array(
        z.strictObject({
          what: z.enum([
            'read-only',
            'writable',
            'scratch',
            'left',
            'deleted',
            'frozen',
            'catalogue',
            'packages',
            'incoming',
            'run',
            'other',
          ]),
          layer: text.nullable(),
          name: text,
          current: flag,
          ...diskUse,
        }),
      ),
      states: z.array(
        z.strictObject({ layer: text, states: z.array(sizes.extend({ id: text })), own: count }),
      ),
      needed: count,
      shared: count,
      total: z.strictObject(diskUse),
      free: count,
      unread: count,
    }),
  ),
}
