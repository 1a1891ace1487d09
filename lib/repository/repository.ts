// What a repository is, whatever it lies on: blobs by their digest, manifests by tag or digest.
//
//   Registry    HTTP, the distribution specification (registry.ts)
//   Layout      a directory, an OCI image layout (layout.ts)
//   FileServer  such a directory behind a web server, for reading (file-server.ts)
//
// Rule: a repository passes on what it is given; whoever asks holds it against its digest (blobs.ts).

import { createHash, hash } from 'node:crypto'
import { Failure } from '../base/failure.ts'
import type { Pick } from './place.ts'

export interface FoundManifest {
  readonly bytes: Buffer
  /** `sha256:…`, of these bytes. */
  readonly digest: string
}

/** What is put into a repository. */
export interface Blob {
  readonly digest: string
  readonly size: number
  /** The bytes from an offset on: sending may have to go on where it was cut off. */
  read(from: number): AsyncIterable<Buffer>
}

/** How a blob came to be there. */
export type Put = 'sent' | 'there'

/** A manifest that is put, and what an index says of it. */
export interface NewManifest {
  readonly bytes: Buffer
  readonly mediaType: string
  readonly artifactType: string | null
  readonly tag: string
}

export interface Repository {
  /** For people, without a tag. */
  readonly name: string
  tags(): Promise<string[]>
  /** By tag or digest; null for the usual one. Throws SVS_REPOSITORY_NOT_FOUND. */
  manifest(pick: Pick | null): Promise<FoundManifest>
  has(digest: string): Promise<boolean>
  /** Bytes `start` to `end` of a blob of `size`, as they come. */
  read(digest: string, start: number, end: number, size: number): AsyncIterable<Buffer>
  put(blob: Blob): Promise<Put>
  /** Takes a blob out of another repository of the same registry; false where that cannot be. */
  mount(digest: string, from: string): Promise<boolean>
  putManifest(manifest: NewManifest): Promise<void>
  close(): Promise<void>
}

export const digestOf = (bytes: Buffer): string => `sha256:${hash('sha256', bytes)}`

export const newHash = () => createHash('sha256')

/** A blob that is in memory. */
export function blobOf(bytes: Buffer): Blob {
  return {
    digest: digestOf(bytes),
    size: bytes.length,
    async *read(from) {
      yield bytes.subarray(from)
    },
  }
}

/** A manifest by its digest must be that one. Throws SVS_REPOSITORY_INVALID. */
export function manifestOf(name: string, bytes: Buffer, pick: Pick | null): FoundManifest {
  const digest = digestOf(bytes)
  if (pick !== null && pick.digest !== null && pick.digest !== digest)
    throw new Failure('SVS_REPOSITORY_INVALID', name, `a manifest that is not ${pick.digest}`)
  return { bytes, digest }
}
