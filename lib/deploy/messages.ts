// What is said between a machine that deploys and a host: requests, and answers to each.
//
//   sender ─▶ { ask, params, pieces }, then so many frames of bytes
//   host   ─▶ { progress }            any number of times
//   host   ─▶ { ok: true, data }  or  { ok: false, error }
//
//   about    what the host is and has                    offer    an archive's manifest and signature
//   layer    what it has of a layer                      pieces   chunks that it has asked for
//   call     a method of its store (REMOTE alone)        take     import, switch, check
//   rollback what was before the last deployment         drop     forget what was sent
//
// offer and pieces answer what is wanted next, until nothing is. One request is answered before the
// next is heard.
//
// Rule: both ends read every message by its schema, and neither believes the other. A receiver that
// speaks another version than GREETING names is not spoken to.

import { z } from 'zod'

const count = z.number().int().nonnegative()
const digest = z.string().regex(/^[0-9a-f]{64}$/)
const stateId = z.string().regex(/^[0-9a-f]{10,64}$/)
const layer = z.string().min(1).max(64)

/** How many chunks are asked for at once. */
export const MOST_WANTED = 4096
/** How many states a sender names to find one that both have. */
export const MOST_CANDIDATES = 200

export const request = z.strictObject({
  ask: z.string().max(32),
  params: z.record(z.string(), z.unknown()),
  /** Frames of bytes that follow. */
  pieces: count.max(MOST_WANTED).default(0),
})
export type Request = z.input<typeof request>

const error = z.looseObject({
  code: z.string().max(100),
  message: z.string(),
  hint: z.string().nullable().optional(),
  exit: z.number(),
})

export const reply = z.union([
  z.looseObject({ progress: z.string() }),
  z.looseObject({ ok: z.literal(true), data: z.unknown() }),
  z.looseObject({ ok: z.literal(false), error }),
])
export type ErrorSaid = z.infer<typeof error>

export const about = z.looseObject({
  version: z.string().max(100),
  arch: z.string().max(100),
  kernel: z.string().max(100),
  /** What keeps FUSE from being used; null where nothing does. */
  fuse: z.string().max(500).nullable(),
  /** Bytes that the store's disk has left. */
  free: count,
  codecs: z.array(z.string().max(20)).max(100),
  /** Null where there is no store yet. */
  layers: z
    .array(z.looseObject({ name: z.string(), base: z.string(), active: z.boolean() }))
    .nullable(),
})
export type About = z.infer<typeof about>

export const layerParams = z.strictObject({
  layer,
  base: digest,
  /** The newest first: which of them has the host? */
  states: z.array(stateId).max(MOST_CANDIDATES),
})
export const layerAnswer = z.looseObject({
  /** Null where the host has no such layer. */
  bases: z.array(z.string().max(64)).nullable(),
  /** The first of the states that it has. */
  state: stateId.nullable(),
  codecs: z.array(z.string().max(20)).max(100),
})
export type LayerAnswer = z.infer<typeof layerAnswer>

const allowed = {
  allowUnsigned: z.boolean().default(false),
  allowDevices: z.boolean().default(false),
  allowLinks: z.boolean().default(false),
  numericOwner: z.boolean().default(false),
}

export const offerParams = z.strictObject({
  layer,
  payload: digest,
  /** Bytes of each; they follow, manifest first. */
  manifest: count.max(64 * 1024 * 1024),
  signature: count.max(256 * 1024),
  allowUnsigned: allowed.allowUnsigned,
})

/** Chunks that are wanted next; none when all is there. */
export const wantedAnswer = z.looseObject({
  wanted: z.array(digest).max(MOST_WANTED),
  /** Chunks and bytes wanted in all, as far as is known. */
  chunks: count,
  bytes: count,
})
export type Wanted = z.infer<typeof wantedAnswer>

export const takeParams = z.strictObject({
  layer,
  payload: digest,
  /** Go to the last state of it; without, it is kept beside what is there. */
  restore: z.boolean(),
  activate: z.boolean(),
  ...allowed,
  /** For the shell there, once the layer shows the state: where it fails, all is as before. */
  check: z.string().min(1).max(10_000).nullable(),
  /** Seconds after which it counts as failed. */
  checkTime: z.number().int().min(1).max(86_400),
  /** Who sends, as people know it. */
  from: z.string().max(300),
})

export const takenAnswer = z.looseObject({
  /** What happened; `wanted`: something is gone that was there, and has to be sent. */
  done: z.enum(['switched', 'already', 'kept', 'wanted']),
  /** The state that the layer shows, or that was kept. */
  state: stateId.nullable(),
  /** The state that holds what was replaced. */
  before: stateId.nullable(),
  /** True where the layer was made. */
  created: z.boolean(),
  mounts: z.array(z.string()),
})
export type Taken = z.infer<typeof takenAnswer>

export const rollbackParams = z.strictObject({ layer })
export const rollbackAnswer = z.looseObject({
  /** `none`: it is what it was before already. */
  done: z.enum(['restored', 'removed', 'none']),
  state: stateId.nullable(),
  mounts: z.array(z.string()),
})
export type RolledBack = z.infer<typeof rollbackAnswer>

export const callParams = z.strictObject({
  method: z.string().max(100),
  params: z.record(z.string(), z.unknown()),
})

/** The methods that a machine may call on another one's store. */
export const REMOTE: ReadonlySet<string> = new Set([
  'status',
  'layer.list',
  'snapshot',
  'snapshots',
  'restore',
  'restore.plan',
  'diff',
  'undo',
  'undo.list',
])
