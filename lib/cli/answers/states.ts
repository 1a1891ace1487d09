// What svsfs snapshot, snapshots, state, timeline, forget, schedule, diff, cat, log answer.

import { z } from 'zod'
import type { DatabaseChanges } from '../../contents/database.ts'
import type { SettingsFormat } from '../../contents/settings.ts'
import type { CatAnswer } from '../../daemon/cat-methods.ts'
import type { LogAnswer, TimelineAnswer } from '../../daemon/log-methods.ts'
import type { ForgetAnswer, ScheduleLine } from '../../daemon/schedule-methods.ts'
import type { SnapshotAnswer } from '../../daemon/state-methods.ts'
import { KINDS } from '../../snapshot/records.ts'
import type { ReadAnswer } from '../contents.ts'
import { count, counts, flag, moment, of, stateLine, text, texts } from './shapes.ts'

const mark = z.enum(['A', 'M', 'D', 'attr', 'R'])
const also = z.enum(['M', 'attr'])
const kind = z.enum(KINDS)
/** Bytes are base64, where they were asked for. */
const side = z.strictObject({ kind, size: count, bytes: text.exactOptional() })
const plainSide = side.omit({ bytes: true })

const scalar = z.union([text, z.number(), flag, z.null()])
const settings = z.strictObject({
  format: of<SettingsFormat>()(z.enum(['json', 'toml', 'plist', 'ini', 'registry', 'prefs'])),
  changes: z.array(
    z.strictObject({
      key: text,
      path: z.array(z.union([text, z.number()])),
      before: scalar.exactOptional(),
      after: scalar.exactOptional(),
    }),
  ),
  more: count,
})

const cell = z.union([text, z.number(), z.null(), z.strictObject({ bytes: count })])
const change = z.enum(['added', 'removed', 'changed'])
const tables = of<DatabaseChanges>()(
  z.strictObject({
    schema: z.array(
      z.strictObject({
        kind: z.enum(['table', 'column', 'index', 'view', 'trigger']),
        name: text,
        did: change,
      }),
    ),
    tables: z.array(
      z.strictObject({
        table: text,
        added: count,
        removed: count,
        changed: count,
        rows: z.array(
          z.strictObject({
            kind: change,
            key: z.record(text, cell),
            cells: z.array(
              z.strictObject({
                column: text,
                before: cell.exactOptional(),
                after: cell.exactOptional(),
              }),
            ),
          }),
        ),
        why: text.exactOptional(),
      }),
    ),
    why: text.exactOptional(),
  }),
)

const difference = z.strictObject({
  path: text,
  mark,
  from: text.exactOptional(),
  also: also.exactOptional(),
  before: side.nullable(),
  after: side.nullable(),
  settings: settings.exactOptional(),
  tables: tables.extend({ database: text }).exactOptional(),
})

const below = z.strictObject({
  path: text,
  mark,
  from: text.exactOptional(),
  also: also.exactOptional(),
  before: plainSide.nullable(),
  after: plainSide.nullable(),
})

const keep = z.strictObject({
  last: count.exactOptional(),
  hourly: count.exactOptional(),
  daily: count.exactOptional(),
  weekly: count.exactOptional(),
  monthly: count.exactOptional(),
  tags: texts.exactOptional(),
})

const schedule = of<ScheduleLine>()(
  z.strictObject({
    id: text,
    layer: text,
    when: z.union([z.strictObject({ every: count }), z.strictObject({ cron: text })]),
    keep: keep.nullable(),
    paused: flag,
    next: moment.nullable(),
    last: z.strictObject({ at: moment, state: text, failure: text.nullable() }).nullable(),
  }),
)

export const snapshotAnswer = of<SnapshotAnswer>()(stateLine.extend({ taken: flag }))

export const STATES = {
  snapshot: snapshotAnswer.extend({
    kept: z.strictObject({ place: text, digest: text, sent: count }).optional(),
  }),
  snapshots: z.array(stateLine),
  timeline: of<TimelineAnswer>()(
    z.strictObject({
      layer: text,
      from: text.nullable(),
      total: count,
      states: z.array(stateLine.extend({ parent: text.nullable(), dotted: flag })),
    }),
  ),
  'state label': stateLine,
  'state tag': stateLine,
  'state pin': stateLine,
  'state unpin': stateLine,
  'state delete': z.array(stateLine),
  forget: of<ForgetAnswer>()(
    z.strictObject({
      layer: text,
      kept: z.array(stateLine.extend({ why: texts })),
      forgotten: z.array(stateLine),
      dryRun: flag,
    }),
  ),
  'schedule add': schedule,
  'schedule list': z.array(schedule),
  'schedule remove': schedule,
  'schedule pause': schedule,
  'schedule resume': schedule,
  diff: of<ReadAnswer>()(
    z.strictObject({
      layer: text,
      from: stateLine.nullable(),
      to: stateLine.nullable(),
      differences: z.array(difference),
    }),
  ),
  cat: of<CatAnswer>()(
    z.strictObject({
      layer: text,
      state: stateLine.nullable(),
      path: text,
      size: count,
      bytes: text.nullable(),
    }),
  ),
  log: of<LogAnswer>()(
    z.strictObject({
      layer: text,
      path: text.nullable(),
      lines: z.array(
        z.strictObject({
          state: stateLine,
          since: text.nullable(),
          change: z
            .strictObject({
              mark: z.enum([...mark.options, 'other']),
              path: text,
              from: text.exactOptional(),
              to: text.exactOptional(),
              also: also.exactOptional(),
              before: plainSide.nullable(),
              after: plainSide.nullable(),
              counts,
              below: z.array(below),
            })
            .nullable(),
        }),
      ),
    }),
  ),
}
