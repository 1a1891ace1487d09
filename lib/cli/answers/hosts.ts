// What svsfs host, deploy, rollback and receive answer.

import { z } from 'zod'
import type { HostLine } from '../../daemon/host-methods.ts'
import type { Sent } from '../../deploy/sender.ts'
import type { DeployAnswer } from '../deploy-command.ts'
import { count, flag, moment, of, text, texts } from './shapes.ts'

const seen = z.strictObject({
  at: moment,
  state: z.enum(['online', 'unreachable']),
  version: text.nullable(),
  arch: text.nullable(),
  why: text.nullable(),
})

const hostLine = of<HostLine>()(
  z.strictObject({
    name: text,
    url: text,
    group: text.nullable(),
    options: z.record(text, text),
    program: text,
    store: text.nullable(),
    maintenance: flag,
    added: moment,
    seen: seen.nullable(),
    state: z.enum(['online', 'maintenance', 'unreachable', 'unknown']),
  }),
)

const error = z.strictObject({
  code: text,
  message: text,
  hint: text.nullable(),
  exit: count.min(1),
})

/** What became of one host. */
const result = <Data extends z.ZodType>(data: Data) =>
  z.strictObject({
    host: text,
    ok: flag.nullable(),
    data: data.nullable(),
    error: error.nullable(),
    why: text.nullable(),
  })

// What another machine says of itself may have more in it, where it is newer.
const about = z.looseObject({
  version: text,
  arch: text,
  kernel: text,
  fuse: text.nullable(),
  free: count,
  codecs: texts,
  layers: z.array(z.looseObject({ name: text, base: text, active: flag })).nullable(),
})

const sent = of<Sent>()(
  z.strictObject({
    host: text,
    done: z.enum(['switched', 'already', 'kept', 'wanted', 'would']),
    state: text.nullable(),
    before: text.nullable(),
    created: flag,
    mounts: texts,
    chunks: count,
    bytes: count,
    from: text.nullable(),
  }),
)

const rolledBack = z.looseObject({
  done: z.enum(['restored', 'removed', 'none']),
  state: text.nullable(),
  mounts: texts,
})

export const HOSTS = {
  'host add': hostLine,
  'host list': z.array(hostLine),
  'host remove': hostLine,
  'host maintenance': hostLine,
  'host check': z.array(result(about)),
  deploy: of<DeployAnswer>()(
    z.strictObject({
      layer: text,
      state: text.nullable(),
      results: z.array(result(sent)),
      left: texts,
    }),
  ),
  rollback: z.strictObject({ layer: text, results: z.array(result(rolledBack)), left: texts }),
  // It speaks to svsfs deploy, and to nobody else.
  receive: z.null(),
}
