// What svsfs mount, umount, status, which, events, run, freeze and what keeps mounts answer.

import { z } from 'zod'
import { EVENT_KINDS, type StoreEvent } from '../../daemon/events.ts'
import type { FreezeLine } from '../../daemon/frozen-layers.ts'
import type { MountAnswer, UmountAnswer } from '../../daemon/mount-methods.ts'
import type { Status, WhichAnswer } from '../../daemon/status-methods.ts'
import type { Uses } from '../top-lines.ts'
import { count, flag, layerLine, moment, of, text, texts } from './shapes.ts'

const freezeLine = of<FreezeLine>()(
  z.strictObject({
    id: text,
    layer: text,
    since: moment,
    state: z.enum(['whole', 'failed', 'gone']),
    reason: text,
    blocks: count,
    bytes: count,
    block: count,
    preserve: text,
    mounts: texts,
  }),
)

const mountLine = z.strictObject({
  id: count,
  mountPoint: text,
  base: text.nullable(),
  readOnly: flag,
  dataPath: z.enum(['cached', 'passthrough']),
  purpose: z.enum(['mount', 'run', 'frozen', 'state']),
  since: text,
  layers: texts,
})

export const MOUNTS = {
  mount: of<MountAnswer>()(
    z.strictObject({ id: count, mountPoint: text, layers: texts, inactive: texts }),
  ),
  umount: of<UmountAnswer>()(
    z.strictObject({ mountPoints: texts, left: count, used: texts, ends: flag }),
  ),
  enable: z.strictObject({
    unit: text,
    mountPoint: text,
    files: z.array(z.strictObject({ path: text, text })),
    written: flag,
    started: flag,
    manager: z.enum(['system', 'user']),
    told: flag,
  }),
  disable: z.strictObject({ unit: text, mountPoint: text, removed: texts, stopped: flag }),
  daemon: z.strictObject({ root: text }),
  status: of<Status>()(
    z.strictObject({
      store: z.strictObject({ path: text, id: text, made: text, collected: moment }),
      daemon: z
        .strictObject({ pid: count, since: text, transport: text, memory: count })
        .nullable(),
      layers: z.array(layerLine),
      mounts: z.array(mountLine),
    }),
  ),
  which: of<WhichAnswer>()(
    z.strictObject({
      mountPoint: text,
      path: text,
      providers: z.array(
        z.strictObject({
          layer: text.nullable(),
          part: z.enum(['rw', 'ro', 'scratch', 'base']),
          path: text,
          kind: text,
        }),
      ),
    }),
  ),
  top: of<Uses>()(
    z.strictObject({
      seconds: z.number(),
      uses: z.array(
        z.strictObject({
          mountPoint: text,
          pid: count.nullable(),
          name: text,
          operations: z.record(text, count),
          requests: count,
          read: count,
          written: count,
        }),
      ),
      uncounted: texts,
    }),
  ),
  events: z.array(
    of<StoreEvent>()(
      z.strictObject({
        at: text,
        kind: z.enum(EVENT_KINDS),
        layer: text.exactOptional(),
        mountPoint: text.exactOptional(),
        state: text.exactOptional(),
        text,
      }),
    ),
  ),
  run: z.strictObject({ status: count }),
  freeze: freezeLine,
  freezes: z.array(freezeLine),
  thaw: freezeLine,
}
