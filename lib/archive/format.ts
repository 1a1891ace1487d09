// The format of archives: what `manifest.json` says, and how large anything in one may be.
//
//   .vpa, .vsa = ZIP, entries stored as they are (no compression of its own), without extra
//   fields, dated 1980-01-01, in this order:
//
//     manifest.json        canonical JSON (canonical.ts): all that decides what an import makes
//     signature            who made it, and ed25519 signatures over the manifest (signature.ts)
//     chunks/<sha256>      bytes, at most 1 MiB each, in the order of their names
//
//   payload = SHA-256 of manifest.json. Every chunk is named in it with its digest and length, so
//   the payload names each byte that is imported: the same states, codec and version have the same.
//
//   A *list* is lines of canonical JSON, each ended by a line feed, compressed (`codec`), and cut into
//   chunks; `digest` is the SHA-256 of the lines. Lists are: the entries of a state (entry-lines.ts; with
//   `prefix`, the frame refers to the list of the state before it, for the first one that of `from`), those
//   of the read-only part, and how to make contents: [scope, id, Content] (`base` is the scope of the
//   read-only part, `state` that of states). File data are the very chunks of the catalogue.
//
// Owners are numbers, with their names beside them (`owners`, of the machine where the state was made). Who
// imports gives those whom it knows by name its own numbers, in its store alone, and turns that back where it
// exports (owners.ts): lines and payload stay. The read-only part keeps its numbers, which its digest holds.
//
// Version 1. A reader refuses a higher version, and any field that it does not know: what may be
// left out by an older reader does not exist in this format.
//
// Rule: every number that sizes something is bounded here, before anything is read by it.

import { z } from 'zod'
import { KINDS, part } from '../snapshot/records.ts'

export const ARCHIVE_VERSION = 1

export const MANIFEST_NAME = 'manifest.json'
export const SIGNATURE_NAME = 'signature'
export const CHUNK_FOLDER = 'chunks/'

export const LIMITS = {
  manifest: 64 * 1024 * 1024,
  signature: 256 * 1024,
  chunk: 1024 * 1024,
  /** One piece of a list, uncompressed; pieces are cut at a fourth of it. */
  piece: 64 * 1024 * 1024,
  /** A whole list, uncompressed. */
  list: 2 * 1024 * 1024 * 1024,
  states: 10_000,
} as const

const count = z.number().int().nonnegative()
const digest = z.string().regex(/^[0-9a-f]{64}$/)
const stateId = z.string().regex(/^[0-9a-f]{10,64}$/)

const piece = z.strictObject({
  codec: z.enum(['zstd', 'brotli']),
  /** Before compression. */
  bytes: count.max(LIMITS.piece),
  chunks: z.array(digest).min(1).max(128),
  /** The frame refers to the piece with the same place in the list of the state before. */
  prefix: z.literal(true).optional(),
})
export type ListPiece = z.infer<typeof piece>

const list = z.strictObject({
  digest,
  lines: count,
  pieces: z.array(piece).max(1024),
})
export type ArchiveList = z.infer<typeof list>

const names = z.record(z.string().regex(/^\d{1,10}$/), z.string().min(1).max(256))

const state = z.strictObject({
  id: stateId,
  /** Milliseconds since 1970. */
  time: count,
  message: z.string().max(4096),
  label: z
    .string()
    .regex(/^[^\s/@:-][^\s/@:]{0,63}$/)
    .nullable(),
  tags: z.record(z.string().min(1).max(64), z.string().max(256)),
  trigger: z.enum(['manual', 'before-restore', 'before-update', 'before-deploy', 'scheduled']),
  parent: stateId.nullable(),
  counts: z.strictObject({ added: count, changed: count, deleted: count, attributes: count }),
  /** True where a renamed directory of the machine's own tree belongs to it. */
  dependsOnBase: z.boolean(),
  owners: z.strictObject({ users: names, groups: names }),
  /** Bytes of its files. */
  bytes: count,
  entries: list,
})
export type ArchiveState = z.infer<typeof state>

const base = z.strictObject({
  /** Of the read-only part that the states were made on (lib/layer/digest.ts). */
  digest,
  entries: count,
  bytes: count,
  /** The read-only part itself, where the archive brings it. */
  tree: list.nullable(),
})

export const archiveManifest = z.strictObject({
  format: z.literal('svsfs archive'),
  version: z.literal(ARCHIVE_VERSION),
  /** `patch`: states for a layer that is there. `layer`: a layer of its own. */
  kind: z.enum(['patch', 'layer']),
  layer: z.strictObject({
    name: z.string().min(1).max(64),
    excludes: z.array(z.string().max(1000)).max(1000),
    /** As the layer has it, with `${HOME}` and the like (variables.ts). */
    manifest: z.record(z.string(), z.unknown()),
  }),
  base,
  /** The state that must be there already; null for none. */
  from: z.strictObject({ id: stateId, digest }).nullable(),
  /** Oldest first. */
  states: z.array(state).max(LIMITS.states),
  /** What applying the last state would change, against `from` or the read-only part; null for a layer. */
  changes: z
    .strictObject({ added: count, changed: count, deleted: count, attributes: count })
    .nullable(),
  /** How to make the files. */
  contents: list,
  /** All codecs that a reader needs. */
  codecs: z.array(part.shape.codec),
  /** Kinds of names that it holds. */
  kinds: z.array(z.enum(KINDS)),
  /** Every chunk, with its length. */
  chunks: z.record(digest, count.min(1).max(LIMITS.chunk)),
})
export type ArchiveManifest = z.infer<typeof archiveManifest>
