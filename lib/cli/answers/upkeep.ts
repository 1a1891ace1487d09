// What svsfs restore, undo, update, gc, verify, doctor, recode, archives, keys and the program itself answer.

import { z } from 'zod'
import type { Inspected } from '../../archive/inspect.ts'
import type { KeyLine } from '../../archive/keys.ts'
import type { ExportAnswer, ImportAnswer } from '../../daemon/archive-methods.ts'
import type { Diagnosis } from '../../daemon/doctor.ts'
import type { Collected } from '../../daemon/garbage.ts'
import type { ImageAnswer } from '../../daemon/image-methods.ts'
import type { RecodeAnswer } from '../../daemon/recode-methods.ts'
import type {
  CopyAnswer,
  PlanAnswer,
  RestoreAnswer,
  UndoLine,
} from '../../daemon/restore-methods.ts'
import type { Undone } from '../../daemon/undoing.ts'
import type { VerifyAnswer } from '../../daemon/verifying.ts'
import { count, flag, moment, of, stateLine, sublayerLine, text, texts } from './shapes.ts'
import { snapshotAnswer } from './states.ts'

const undone = z.enum([
  'restore',
  'reset',
  'activate',
  'deactivate',
  'sublayer',
  'replace',
  'delete',
])

const restored = of<RestoreAnswer>()(
  z.strictObject({
    layer: text,
    state: stateLine,
    before: stateLine,
    mounts: texts,
    changed: z.strictObject({ write: count, remove: count, attrs: count }).nullable(),
  }),
)
const copied = of<CopyAnswer>()(
  z.strictObject({
    layer: text,
    state: stateLine,
    directory: text,
    entries: count,
    bytes: count,
    left: texts,
  }),
)
const planned = of<PlanAnswer>()(
  z.strictObject({
    layer: text,
    state: stateLine,
    whole: flag,
    write: z.array(z.strictObject({ path: text, size: count })),
    remove: texts,
    attrs: texts,
    lose: texts,
  }),
)

const key = of<KeyLine>()(
  z.strictObject({ name: text, key: text, kind: z.enum(['own', 'trusted', 'revoked']), text }),
)

export const imported = of<ImportAnswer>()(
  z.strictObject({
    layer: text,
    states: z.array(stateLine.extend({ fresh: flag })),
    restored: z.strictObject({ state: text, before: text, mounts: texts }).nullable(),
  }),
)

const bytes = count

export const UPKEEP = {
  restore: z.discriminatedUnion('did', [
    restored.extend({ did: z.literal('restored') }),
    copied.extend({ did: z.literal('copied') }),
    sublayerLine.extend({ did: z.literal('made') }),
    planned.extend({
      did: z.literal('planned'),
      open: z.array(z.strictObject({ pid: count, name: text, files: texts })),
    }),
  ]),
  undo: z.union([
    of<Undone>()(
      z.strictObject({
        what: undone,
        at: moment,
        layer: text,
        before: text.nullable(),
        mounts: texts,
        skipped: z.array(z.strictObject({ what: undone, at: moment, name: text, state: text })),
      }),
    ),
    z.array(
      of<UndoLine>()(
        z.strictObject({
          what: undone,
          at: moment,
          layer: text,
          state: text.nullable(),
          paths: texts.nullable(),
        }),
      ),
    ),
  ]),
  update: z.strictObject({
    status: count,
    before: snapshotAnswer,
    rolledBack: flag,
    failed: text.nullable(),
  }),
  gc: of<Collected>()(
    z.strictObject({
      chunks: count,
      contents: count,
      lists: count,
      bytes,
      layers: texts,
      directories: texts,
      foreign: texts,
      dryRun: flag,
    }),
  ),
  verify: of<VerifyAnswer>()(
    z.strictObject({
      states: count,
      entries: count,
      contents: count,
      chunks: count,
      bytes,
      faults: z.array(
        z.strictObject({
          kind: z.enum(['record', 'chunk', 'list', 'content', 'read-only']),
          at: text,
          why: text,
          hurts: z.array(z.strictObject({ layer: text, state: text, paths: texts, count })),
          repaired: flag,
        }),
      ),
      left: count,
    }),
  ),
  doctor: of<Diagnosis>()(
    z.strictObject({
      store: text,
      verdict: z.enum(['ok', 'warning', 'failure']),
      findings: z.array(
        z.strictObject({
          name: text,
          verdict: z.enum(['ok', 'warning', 'failure']),
          says: text,
          mend: text.nullable(),
        }),
      ),
    }),
  ),
  recode: of<RecodeAnswer>()(
    z.strictObject({
      programs: count,
      recoded: count,
      saved: count,
      unfinished: flag,
      states: count,
      freed: count.nullable(),
    }),
  ),
  export: z.union([
    of<ExportAnswer>()(
      z.strictObject({
        path: text,
        bytes,
        payload: text,
        chunks: count,
        signers: texts,
        layer: text,
        kind: z.enum(['patch', 'layer']),
        states: texts,
        from: text.nullable(),
      }),
    ),
    of<ImageAnswer>()(
      z.strictObject({
        place: text,
        digest: text,
        layer: text,
        state: text.nullable(),
        size: count,
        sent: count,
        warnings: texts,
      }),
    ),
  ]),
  inspect: of<Inspected>()(
    z.strictObject({
      path: text,
      bytes,
      version: count,
      payload: text,
      kind: z.enum(['patch', 'layer']),
      layer: text,
      base: z.strictObject({ digest: text, bytes, included: flag }),
      from: text.nullable(),
      states: z.array(
        z.strictObject({
          id: text,
          time: moment,
          message: text,
          label: text.nullable(),
          entries: count,
          bytes,
        }),
      ),
      changes: z
        .strictObject({ added: count, changed: count, deleted: count, attributes: count })
        .nullable(),
      codecs: texts,
      kinds: texts,
      chunks: z.strictObject({ count, bytes }),
      made: z.strictObject({ at: moment, by: text, host: text }),
      signatures: z.array(z.strictObject({ key: text, name: text, at: moment })),
    }),
  ),
  import: imported,
  'key create': key,
  'key list': z.array(key),
  'key trust': key,
  'key revoke': key,
  'key export': key,
  completion: z.union([
    z.strictObject({ script: text }),
    z.strictObject({
      candidates: z.array(z.strictObject({ word: text, about: text })),
      also: z.enum(['directories', 'files']).nullable(),
    }),
  ]),
  'config show': z.strictObject({
    files: texts,
    settings: z.array(
      z.strictObject({
        table: text,
        key: text,
        value: z.union([flag, z.number(), text, texts]).nullable(),
        origin: text.nullable(),
        variable: text,
        about: text,
      }),
    ),
  }),
  'help exits': z.array(z.strictObject({ exit: count, meaning: text })),
  'help json': z.record(text, z.unknown()),
  'help errors': z.array(z.strictObject({ code: text, exit: count, text })),
}
