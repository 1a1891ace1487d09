// index.json of an OCI image layout: which manifest has which tag. The index of a directory that is a
// repository.
//
// Rule: entries of others (without a tag, of other kinds) are kept as they are.

import { Failure } from '../base/failure.ts'
import { type Descriptor, type ImageIndex, imageIndex, MEDIA } from './format.ts'
import type { Pick } from './place.ts'

export const LAYOUT_NAME = 'oci-layout'
export const LAYOUT_TEXT = '{"imageLayoutVersion":"1.0.0"}'
export const INDEX_NAME = 'index.json'
export const TAG_OF = 'org.opencontainers.image.ref.name'

export const LARGEST_INDEX = 16 * 1024 * 1024

export const blobPath = (digest: string): string => `blobs/${digest.replace(':', '/')}`

/** Throws SVS_REPOSITORY_INVALID. */
export function readIndex(bytes: Buffer, name: string): ImageIndex {
  const read = imageIndex.safeParse(parsed(bytes))
  if (!read.success)
    throw new Failure('SVS_REPOSITORY_INVALID', name, `its ${INDEX_NAME} is none of a layout`)
  return read.data
}

export const emptyIndex = (): ImageIndex => ({
  schemaVersion: 2,
  mediaType: MEDIA.index,
  manifests: [],
})

export const tagsOf = ({ manifests }: ImageIndex): string[] =>
  manifests.flatMap(({ annotations }) => annotations?.[TAG_OF] ?? [])

/** The manifest that is meant; the only one there is where nothing is said. Throws SVS_REPOSITORY_NOT_FOUND. */
export function pickOf(index: ImageIndex, pick: Pick | null, name: string): Descriptor {
  const { manifests } = index
  const found =
    pick === null
      ? manifests.length === 1
        ? manifests[0]
        : manifests.find(({ annotations }) => annotations?.[TAG_OF] === 'latest')
      : pick.digest === null
        ? manifests.find(({ annotations }) => annotations?.[TAG_OF] === pick.tag)
        : manifests.find(({ digest }) => digest === pick.digest)
  if (found !== undefined) return found
  const wanted = pick?.tag ?? pick?.digest ?? `tag named (it has ${tagsOf(index).length} of them)`
  throw new Failure('SVS_REPOSITORY_NOT_FOUND', wanted, name)
}

/** The index with one entry more, in place of the one that had the tag. */
export function withEntry(
  index: ImageIndex,
  { mediaType, digest, size, artifactType }: Descriptor & { readonly artifactType: string | null },
  tag: string,
): ImageIndex {
  const others = index.manifests.filter(({ annotations }) => annotations?.[TAG_OF] !== tag)
  const entry = {
    mediaType,
    digest,
    size,
    ...(artifactType === null ? {} : { artifactType }),
    annotations: { [TAG_OF]: tag },
  }
  return { ...index, manifests: [...others, entry] }
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString())
  } catch {
    return null
  }
}
