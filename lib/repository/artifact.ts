// What lies in a repository under a tag, read: an archive of svsfs, an image of containers, something else.
//
//   manifest ─▶ what is it ─▶ Artifact: summary, the blobs of the archive, packs
//
// Rule: everything is held against its schema and its bounds before it counts; packs that lie about
// themselves are found out by their chunks.

import type { z } from 'zod'
import { Failure } from '../base/failure.ts'
import { fetchBlob } from './blobs.ts'
import {
  type Descriptor,
  type ImageManifest,
  imageManifest,
  LIMITS,
  MEDIA,
  packIndex,
  type Summary,
  summary,
} from './format.ts'
import type { KnownPack } from './packs.ts'
import type { FoundManifest, Repository } from './repository.ts'

export interface Artifact {
  readonly digest: string
  readonly manifest: ImageManifest
  readonly summary: Summary
  /** manifest.json and signature of the archive. */
  readonly archive: Descriptor
  readonly signature: Descriptor
  readonly indexes: readonly Descriptor[]
  /** Bytes of all that the manifest names. */
  readonly size: number
}

/** What a manifest is, by its own words. */
export function typeOf({ artifactType, config, mediaType }: ImageManifest): string {
  if (artifactType === MEDIA.state || artifactType === MEDIA.layer) return 'svsfs'
  if (config.mediaType === MEDIA.config) return 'svsfs'
  if (/\.(?:oci\.image\.config\.v1|docker\.container\.image\.v1)\+json$/.test(config.mediaType))
    return 'image'
  return artifactType ?? config.mediaType ?? mediaType ?? 'unknown'
}

/** Throws SVS_REPOSITORY_INVALID. */
export function readManifest({ bytes }: FoundManifest, name: string): ImageManifest {
  return checked(imageManifest, bytes, name, 'a manifest')
}

/** Reads a manifest that is one of svsfs. Throws SVS_REPOSITORY_OTHER, SVS_REPOSITORY_INVALID. */
export async function readArtifact(
  repository: Repository,
  found: FoundManifest,
  place: string,
): Promise<Artifact> {
  const raw = parsed(found.bytes)
  if (typeof raw === 'object' && raw !== null && 'manifests' in raw)
    throw new Failure('SVS_REPOSITORY_OTHER', place, 'an image for several machines', place)
  const manifest = readManifest(found, repository.name)
  const type = typeOf(manifest)
  if (type !== 'svsfs') {
    const what = type === 'image' ? 'an image of containers' : `of the type ${type.slice(0, 100)}`
    throw new Failure('SVS_REPOSITORY_OTHER', place, what, place)
  }
  const { config, layers } = manifest
  const one = (mediaType: string, most: number): Descriptor => {
    const found = layers.filter((layer) => layer.mediaType === mediaType)
    if (found.length !== 1) throw invalid(repository, `it must have one layer of ${mediaType}`)
    if (found[0]!.size > most) throw invalid(repository, `its ${mediaType} is too large`)
    return found[0]!
  }
  const bytes = await fetchBlob(repository, config, LIMITS.config)
  return {
    digest: found.digest,
    manifest,
    summary: checked(summary, bytes, repository.name, 'a config'),
    archive: one(MEDIA.archive, LIMITS.archive),
    signature: one(MEDIA.signature, LIMITS.signature),
    indexes: layers.filter(({ mediaType }) => mediaType === MEDIA.packs),
    size: [config, ...layers].reduce((sum, { size }) => sum + size, found.bytes.length),
  }
}

/** The packs that an index names. Throws SVS_REPOSITORY_INVALID. */
export async function readPacks(
  repository: Repository,
  indexes: readonly Descriptor[],
): Promise<KnownPack[]> {
  const packs: KnownPack[] = []
  let left: number = LIMITS.packs
  for (const index of indexes) {
    const bytes = await fetchBlob(repository, index, left)
    left -= bytes.length
    const read = checked(packIndex, bytes, repository.name, 'an index of packs')
    for (const { digest, size, chunks } of read.packs)
      packs.push({ digest, size, chunks: chunksOf(repository, chunks, size) })
  }
  return packs
}

function chunksOf(
  repository: Repository,
  words: readonly (string | number)[],
  size: number,
): KnownPack['chunks'] {
  const chunks: { id: string; length: number }[] = []
  let end = 0
  for (let at = 0; at < words.length; at += 2) {
    const [id, length] = [words[at], words[at + 1]]
    if (typeof id !== 'string' || typeof length !== 'number')
      throw invalid(repository, 'an index of packs that is out of step')
    chunks.push({ id, length })
    end += length
  }
  if (end !== size) throw invalid(repository, 'a pack that is not as long as its chunks')
  return chunks
}

function checked<S extends z.ZodType>(
  schema: S,
  bytes: Buffer,
  name: string,
  what: string,
): z.output<S> {
  const read = schema.safeParse(parsed(bytes))
  if (read.success) return read.data
  const [issue] = read.error.issues
  const where = issue?.path.join('.').slice(0, 100) ?? ''
  throw new Failure('SVS_REPOSITORY_INVALID', name, `${what} that is none${where && ` (${where})`}`)
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString())
  } catch {
    return null
  }
}

const invalid = ({ name }: Repository, why: string): Failure =>
  new Failure('SVS_REPOSITORY_INVALID', name, why)
