// What lies in a repository: its tags, and what each is.
//
// Rule: a tag that cannot be read is listed with the reason; the others are shown all the same.

import { Failure } from '../base/failure.ts'
import { readArtifact, readManifest, typeOf } from './artifact.ts'
import { plain } from './http.ts'
import { inParallel } from './parallel.ts'
import type { FoundManifest, Repository } from './repository.ts'

const AT_ONCE = 8

export interface ListedState {
  readonly id: string
  readonly time: number
  readonly label: string | null
  readonly message: string
}

export interface Listed {
  readonly tag: string
  /** `other`: of another program. `unreadable`: `what` says why. */
  readonly kind: 'state' | 'layer' | 'image' | 'other' | 'unreadable'
  readonly digest: string | null
  /** What it is, in words. */
  readonly what: string
  readonly layer: string | null
  /** The last of its states; null for none. */
  readonly state: ListedState | null
  readonly states: number
  /** Bytes in the repository; blobs that others have too are counted with each. */
  readonly size: number | null
  /** Digest of the read-only part that it lies over. */
  readonly base: string | null
  readonly payload: string | null
}

/** `tag`: that one alone. */
export async function listRepository(
  repository: Repository,
  tag: string | null,
  onProgress: (text: string) => void,
): Promise<Listed[]> {
  const tags = tag === null ? [...new Set(await repository.tags())].sort() : [tag]
  const found = new Map<string, Listed>()
  await inParallel(tags, AT_ONCE, async (each) => {
    found.set(each, await lineOf(repository, each))
    onProgress(`looked at ${found.size} of ${tags.length} tags`)
  })
  return tags.map((each) => found.get(each)!)
}

const nothing = {
  digest: null,
  layer: null,
  state: null,
  states: 0,
  size: null,
  base: null,
  payload: null,
} as const

async function lineOf(repository: Repository, tag: string): Promise<Listed> {
  try {
    return await read(repository, tag, await repository.manifest({ tag, digest: null }))
  } catch (err) {
    const isOne = err instanceof Failure && ONE.has(err.code)
    if (!isOne) throw err
    return { ...nothing, tag, kind: 'unreadable', what: err.message }
  }
}

/** Failures that are of one tag. */
const ONE = new Set<string>([
  'SVS_REPOSITORY_INVALID',
  'SVS_REPOSITORY_NOT_FOUND',
  'SVS_REPOSITORY_REFUSED',
])

async function read(repository: Repository, tag: string, found: FoundManifest): Promise<Listed> {
  const { digest } = found
  const platforms = platformsIn(found.bytes)
  if (platforms !== null)
    return { ...nothing, tag, digest, kind: 'image', what: `image for ${platforms || 'nothing'}` }
  const manifest = readManifest(found, repository.name)
  const type = typeOf(manifest)
  const { config, layers } = manifest
  const size = [config, ...layers].reduce((sum, one) => sum + one.size, found.bytes.length)
  if (type === 'image') return { ...nothing, tag, digest, size, kind: 'image', what: 'image' }
  if (type !== 'svsfs')
    return { ...nothing, tag, digest, size, kind: 'other', what: plain(type, 100) }
  const { summary } = await readArtifact(repository, found, tag)
  const { layer, payload, base, count, kind, from } = summary
  const last = summary.states.at(-1) ?? null
  const after = from === null ? '' : `, after ${plain(from, 64)}`
  return {
    tag,
    kind: kind === 'layer' ? 'layer' : 'state',
    digest,
    what: kind === 'layer' ? `layer with ${count} states` : `state${after}`,
    layer: plain(layer, 64),
    state: last && {
      id: plain(last.id, 64),
      time: last.time,
      label: last.label && plain(last.label, 64),
      message: plain(last.message, 200),
    },
    states: count,
    size,
    base: base.digest,
    payload,
  }
}

/** The machines that a list of manifests is for; null for what is none. */
function platformsIn(bytes: Buffer): string | null {
  try {
    const { manifests } = JSON.parse(bytes.toString()) as { manifests?: unknown }
    if (!Array.isArray(manifests)) return null
    const names = manifests.slice(0, 50).flatMap((each) => {
      const { os, architecture } = (each as { platform?: Record<string, unknown> })?.platform ?? {}
      return typeof os === 'string' && os !== 'unknown' ? [`${os}/${architecture}`] : []
    })
    return plain([...new Set(names)].join(', '), 200)
  } catch {
    return null
  }
}
