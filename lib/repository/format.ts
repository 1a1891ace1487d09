// The format of artifacts: how an archive lies in a repository, and how large anything there may be.
//
//   manifest   an OCI image manifest, with artifactType; its layers are, in this order:
//     config           application/vnd.svsfs.config.v1+json    what it is, for lists: names what it brings
//     layers[0]        application/vnd.svsfs.manifest.v1+json  manifest.json of the archive, its very bytes:
//                                                              so its digest is the archive's payload
//     layers[1]        application/vnd.svsfs.signature.v1+json entry `signature` of the archive
//     layers[2…]       application/vnd.svsfs.index.v1+json     which chunks lie in which pack
//                      application/vnd.svsfs.pack.v1           chunks, one after the other
//
//   index    {"version":1,"packs":[{"digest","size","chunks":[id,length,…]}…]}, canonical JSON
//
// Chunks of the read-only part, of states, and of lists are in packs and indexes of their own (packs.ts):
// what does not change from one state to the next is the same blobs, and so is sent once.
//
// Rule: a manifest and all that it names come from a stranger. Sizes are bounded here before anything is
// read by them, every blob is held against its digest, every chunk against its own.

import { z } from 'zod'

export const MEDIA = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  state: 'application/vnd.svsfs.state.v1',
  layer: 'application/vnd.svsfs.layer.v1',
  config: 'application/vnd.svsfs.config.v1+json',
  archive: 'application/vnd.svsfs.manifest.v1+json',
  signature: 'application/vnd.svsfs.signature.v1+json',
  packs: 'application/vnd.svsfs.index.v1+json',
  pack: 'application/vnd.svsfs.pack.v1',
  image: 'application/vnd.oci.image.config.v1+json',
  imageLayer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
} as const

export const LIMITS = {
  /** What registries themselves take. */
  manifest: 4 * 1024 * 1024,
  config: 1024 * 1024,
  archive: 64 * 1024 * 1024,
  signature: 256 * 1024,
  packs: 32 * 1024 * 1024,
  pack: 32 * 1024 * 1024,
  chunk: 1024 * 1024,
  layers: 10_000,
  tags: 10_000,
  /** States that a config names, the last ones. */
  states: 20,
} as const

const count = z.number().int().nonnegative()
const hex = z.string().regex(/^[0-9a-f]{64}$/)
const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/)
const annotations = z.record(z.string().max(256), z.string().max(4096)).optional()

const descriptor = z.looseObject({
  mediaType: z.string().max(256),
  digest,
  size: count,
  annotations,
})
export type Descriptor = Pick<z.infer<typeof descriptor>, 'mediaType' | 'digest' | 'size'> & {
  readonly annotations?: Readonly<Record<string, string>> | undefined
}

/** An image manifest, whoever made it. */
export const imageManifest = z.looseObject({
  schemaVersion: z.literal(2),
  mediaType: z.string().max(256).optional(),
  artifactType: z.string().max(256).optional(),
  config: descriptor,
  layers: z.array(descriptor).max(LIMITS.layers),
  annotations,
})
export type ImageManifest = z.infer<typeof imageManifest>

/** A list of manifests: an image for several machines, or the index.json of a layout. */
export const imageIndex = z.looseObject({
  schemaVersion: z.literal(2),
  mediaType: z.string().max(256).optional(),
  manifests: z
    .array(
      descriptor.extend({
        artifactType: z.string().max(256).optional(),
        platform: z
          .looseObject({
            architecture: z.string().max(100),
            os: z.string().max(100),
            variant: z.string().max(100).optional(),
          })
          .optional(),
      }),
    )
    .max(LIMITS.tags),
})
export type ImageIndex = z.infer<typeof imageIndex>

const summaryState = z.looseObject({
  id: z.string().max(64),
  time: count,
  label: z.string().max(64).nullable(),
  message: z.string().max(4096),
})

/** What lists show of an artifact; nobody vouches for it before its signature was checked. */
export const summary = z.looseObject({
  version: z.literal(1),
  kind: z.enum(['patch', 'layer']),
  layer: z.string().max(64),
  payload: hex,
  base: z.looseObject({ digest: hex, bytes: count, included: z.boolean() }),
  from: z.string().max(64).nullable(),
  count,
  states: z.array(summaryState).max(LIMITS.states),
})
export type Summary = z.infer<typeof summary>

export const packIndex = z.strictObject({
  version: z.literal(1),
  packs: z
    .array(
      z.strictObject({
        digest,
        size: count.min(1).max(LIMITS.pack),
        /** Id and length, again and again, in the order in which they lie there. */
        chunks: z.array(z.union([hex, count.min(1).max(LIMITS.chunk)])).min(2),
      }),
    )
    .max(LIMITS.layers),
})

/** JSON as it is put into a repository. */
export const jsonBytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))
