// A container image, fetched: its layers as files, the lowest first.
//
//   index ─▶ the manifest for this machine ─▶ config ─▶ what each layer is, uncompressed
//                                          └▶ layers ─▶ DIR/0, DIR/1, …
//
// Rule: every file is held against its digest here; what it unpacks to, by whoever unpacks it.

import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { Failure } from '../base/failure.ts'
import { readManifest, typeOf } from './artifact.ts'
import { fetchBlob, fetchInto } from './blobs.ts'
import { type Descriptor, imageIndex, LIMITS } from './format.ts'
import type { Pick } from './place.ts'
import type { FoundManifest, Repository } from './repository.ts'

export interface FetchedLayer {
  /** As Node takes it. */
  readonly path: string
  /** SHA-256 in hex of what it is uncompressed; null where the image does not say. */
  readonly diffId: string | null
}

const LAYER =
  /^application\/vnd\.(?:oci\.image\.layer\.v1\.tar|docker\.image\.rootfs\.diff\.tar)(?:[.+](?:gzip|zstd))?$/
/** Images have some dozens; a manifest may say anything. */
const MOST_LAYERS = 1000

const configShape = z.looseObject({
  rootfs: z.looseObject({
    diff_ids: z.array(z.string().regex(/^sha256:[0-9a-f]{64}$/)).max(MOST_LAYERS),
  }),
})

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' }

/** What images call this kind of machine. */
export const architectureHere = (): string => ARCHITECTURES[process.arch] ?? process.arch

/** Fetches an image into an empty directory. Throws SVS_REPOSITORY_OTHER, SVS_REPOSITORY_INVALID. */
export async function fetchImage(
  repository: Repository,
  pick: Pick | null,
  dir: string,
  { place, onProgress }: { place: string; onProgress(text: string): void },
): Promise<FetchedLayer[]> {
  const found = await forThisMachine(repository, await repository.manifest(pick), place)
  const manifest = readManifest(found, repository.name)
  const { config, layers } = manifest
  const odd = layers.find(({ mediaType }) => !LAYER.test(mediaType))
  if (typeOf(manifest) !== 'image' || odd !== undefined || layers.length > MOST_LAYERS)
    throw new Failure(
      'SVS_REPOSITORY_INVALID',
      place,
      'it is no image whose layers can be unpacked',
    )
  const diffIds = await diffIdsOf(repository, config, layers.length)
  const total = layers.reduce((sum, { size }) => sum + size, 0)
  const fetched: FetchedLayer[] = []
  let before = 0
  for (const [at, layer] of layers.entries()) {
    const path = join(dir, String(at))
    const file = await open(path, 'wx', 0o600)
    try {
      await fetchInto(repository, layer, file, (bytes) =>
        onProgress(`fetched ${Math.floor((100 * (before + bytes)) / total)} % of ${place}`),
      )
    } finally {
      await file.close()
    }
    before += layer.size
    fetched.push({ path, diffId: diffIds[at]!.slice('sha256:'.length) })
  }
  return fetched
}

async function diffIdsOf(
  repository: Repository,
  config: Descriptor,
  count: number,
): Promise<string[]> {
  const bytes = await fetchBlob(repository, config, LIMITS.manifest)
  const read = configShape.safeParse(parsed(bytes))
  if (read.success && read.data.rootfs.diff_ids.length === count) return read.data.rootfs.diff_ids
  throw new Failure(
    'SVS_REPOSITORY_INVALID',
    repository.name,
    'an image that does not say what its layers are',
  )
}

async function forThisMachine(
  repository: Repository,
  found: FoundManifest,
  place: string,
): Promise<FoundManifest> {
  const read = imageIndex.safeParse(parsed(found.bytes))
  if (!read.success) return found
  const wanted = architectureHere()
  const fitting = read.data.manifests.filter(
    ({ platform }) => platform?.os === 'linux' && platform.architecture === wanted,
  )
  // arm64 is v8 wherever nothing else is said.
  const one = fitting.find(({ platform }) => (platform?.variant ?? 'v8') === 'v8') ?? fitting[0]
  if (one === undefined)
    throw new Failure('SVS_REPOSITORY_NOT_FOUND', `image for linux/${wanted}`, place)
  return repository.manifest({ tag: null, digest: one.digest })
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString())
  } catch {
    return null
  }
}
