// Bringing an archive into a repository: what is there already is not sent.
//
//   earlier artifacts ─▶ their packs ─┐
//   chunks of the archive ────────────┴▶ packs ─▶ indexes ─▶ manifest.json, signature ─▶ manifest, tag
//
// Rule: the tag is set last: until then nobody sees anything of it.

import { Failure } from '../base/failure.ts'
import { type Artifact, readArtifact, readPacks } from './artifact.ts'
import { type Descriptor, jsonBytes, MEDIA, type Summary } from './format.ts'
import { type Chunk, choosePacks, cutPacks, type KnownPack, type Pack } from './packs.ts'
import { inParallel } from './parallel.ts'
import type { Pick } from './place.ts'
import { blobOf, digestOf, type Repository } from './repository.ts'

/** An archive, as far as bringing it somewhere needs it. */
export interface Pushing {
  readonly summary: Summary
  /** manifest.json and signature, their bytes. */
  readonly text: Buffer
  readonly signed: Buffer
  /** Names of those who have signed it. */
  readonly signers: readonly string[]
  readonly chunks: ReadonlyMap<string, number>
  useOf(id: string): 'base' | 'state' | 'list'
  chunk(id: string): Promise<Buffer>
  /** True where a signature that is there says what `signed` says. */
  isSigned(there: Buffer): boolean
}

export interface Pushed {
  /** Of the manifest. */
  readonly digest: string
  /** Bytes of blobs that were sent, that were there, and that another repository had. */
  readonly sent: number
  readonly there: number
  readonly mounted: number
  /** Of all blobs. */
  readonly size: number
  /** False where the tag was this very artifact already. */
  readonly fresh: boolean
}

/** Another repository of the same registry, whose blobs may be taken. */
export interface Relative {
  readonly repository: Repository
  /** As the registry calls it. */
  readonly path: string
}

/** Tags that are looked at for packs, and artifacts whose indexes are read. */
const MOST_LOOKED_AT = 32
const MOST_READ = 8
const AT_ONCE = 4
/** Packs in memory at a time. */
const PACKS_AT_ONCE = 2

export async function push(
  repository: Repository,
  tag: string,
  what: Pushing,
  { relatives, onProgress }: { relatives: readonly Relative[]; onProgress(text: string): void },
): Promise<Pushed> {
  const earlier = await artifactsIn(repository, { tag, digest: null }, what)
  const same = earlier.find(({ isTag, artifact }) => isTag && isSame(artifact, what))
  if (same !== undefined && (await hasSignature(repository, same.artifact, what)))
    return { ...nothing, digest: same.artifact.digest, size: same.artifact.size, fresh: false }
  const sending = new Sending(repository, what, onProgress)
  await sending.know(earlier.map(({ artifact }) => artifact))
  for (const relative of relatives) await sending.knowRelative(relative)
  return sending.send(tag)
}

const nothing = { sent: 0, there: 0, mounted: 0 }

const isSame = ({ summary }: Artifact, what: Pushing): boolean =>
  summary.payload === what.summary.payload

async function hasSignature(
  repository: Repository,
  { signature }: Artifact,
  what: Pushing,
): Promise<boolean> {
  const { fetchBlob } = await import('./blobs.ts')
  return what.isSigned(await fetchBlob(repository, signature, signature.size))
}

interface Earlier {
  readonly artifact: Artifact
  readonly isTag: boolean
}

/** Artifacts of the same layer that a repository has, the likeliest first. */
async function artifactsIn(
  repository: Repository,
  pick: Pick | null,
  { summary }: Pushing,
): Promise<Earlier[]> {
  const all = await repository.tags().catch((err: unknown) => {
    if (err instanceof Failure && err.code === 'SVS_REPOSITORY_NOT_FOUND') return []
    throw err
  })
  const tags = [...new Set(all)].sort()
  const own = tags.filter((tag) => tag === pick?.tag)
  const others = tags.filter((tag) => tag !== pick?.tag).slice(-MOST_LOOKED_AT)
  const found: Earlier[] = []
  await inParallel([...own, ...others], AT_ONCE, async (tag) => {
    const artifact = await artifactAt(repository, tag)
    if (artifact !== null) found.push({ artifact, isTag: tag === pick?.tag })
  })
  const likeness = ({ summary: one }: Artifact): number =>
    (one.layer === summary.layer ? 2 : 0) + (one.base.digest === summary.base.digest ? 1 : 0)
  const newest = ({ summary: one }: Artifact): number => one.states.at(-1)?.time ?? 0
  return found.sort(
    (a, b) =>
      Number(b.isTag) - Number(a.isTag) ||
      likeness(b.artifact) - likeness(a.artifact) ||
      newest(b.artifact) - newest(a.artifact),
  )
}

// What is broken, or of others, is no help; and no hindrance.
async function artifactAt(repository: Repository, tag: string): Promise<Artifact | null> {
  try {
    return await readArtifact(repository, await repository.manifest({ tag, digest: null }), tag)
  } catch (err) {
    if (err instanceof Failure && USELESS.has(err.code)) return null
    throw err
  }
}

const USELESS = new Set<string>([
  'SVS_REPOSITORY_INVALID',
  'SVS_REPOSITORY_NOT_FOUND',
  'SVS_REPOSITORY_OTHER',
])

class Sending {
  readonly #repository: Repository
  readonly #what: Pushing
  readonly #tell: (text: string) => void
  readonly #known = new Map<string, KnownPack>()
  /** Packs that another repository has, by the path of that. */
  readonly #elsewhere = new Map<string, string>()
  readonly #counts = { sent: 0, there: 0, mounted: 0 }
  readonly #total: number
  #done = 0

  constructor(repository: Repository, what: Pushing, tell: (text: string) => void) {
    this.#repository = repository
    this.#what = what
    this.#tell = tell
    this.#total = [...what.chunks.values()].reduce((sum, length) => sum + length, 0)
  }

  async know(artifacts: readonly Artifact[]): Promise<void> {
    for (const pack of await packsOf(this.#repository, artifacts))
      this.#known.set(pack.digest, pack)
  }

  async knowRelative({ repository, path }: Relative): Promise<void> {
    try {
      const found = await artifactsIn(repository, null, this.#what)
      const artifacts = found.map(({ artifact }) => artifact)
      for (const pack of await packsOf(repository, artifacts)) {
        if (this.#known.has(pack.digest)) continue
        this.#known.set(pack.digest, pack)
        this.#elsewhere.set(pack.digest, path)
      }
    } catch (err) {
      // One that is gone, or that we may not see any more.
      if (!(err instanceof Failure) || err.code === 'SVS_CANCELLED') throw err
    }
  }

  async send(tag: string): Promise<Pushed> {
    const { text, signed, summary } = this.#what
    const layers = [
      await this.#small(MEDIA.archive, text),
      await this.#small(MEDIA.signature, signed),
    ]
    const packs: Descriptor[] = []
    for (const use of ['base', 'state', 'list'] as const) {
      const some = await this.#packs(use)
      if (some.length === 0) continue
      layers.push(await this.#small(MEDIA.packs, indexOf(some)))
      packs.push(...some.map(({ digest, size }) => ({ mediaType: MEDIA.pack, digest, size })))
    }
    const config = await this.#small(MEDIA.config, jsonBytes(summary))
    const artifactType = summary.kind === 'layer' ? MEDIA.layer : MEDIA.state
    const bytes = jsonBytes({
      schemaVersion: 2,
      mediaType: MEDIA.manifest,
      artifactType,
      config,
      layers: [...layers, ...unique(packs)],
      annotations: annotationsOf(this.#what),
    })
    await this.#repository.putManifest({ bytes, mediaType: MEDIA.manifest, artifactType, tag })
    const all = [config, ...layers, ...unique(packs)]
    const size = all.reduce((sum, one) => sum + one.size, bytes.length)
    return { ...this.#counts, digest: digestOf(bytes), size, fresh: true }
  }

  /** Brings the chunks of one use there; answers the packs that have them. */
  async #packs(use: 'base' | 'state' | 'list'): Promise<KnownPack[]> {
    const { chunks, useOf } = this.#what
    const wanted = new Map([...chunks].filter(([id]) => useOf(id) === use))
    const chosen = await this.#choose(use, wanted)
    const there: KnownPack[] = chosen.filter((pack): pack is KnownPack => pack.digest !== null)
    for (const pack of there) this.#progress(pack.chunks.filter(({ id }) => wanted.has(id)))
    const fresh = chosen.filter(({ digest }) => digest === null)
    const made = new Map<Pack, KnownPack>()
    await inParallel(fresh, PACKS_AT_ONCE, async (pack) => {
      made.set(pack, await this.#make(pack))
      this.#progress(pack.chunks)
    })
    return [...there, ...fresh.map((pack) => made.get(pack)!)]
  }

  /** Packs for the chunks, where those that are known are there indeed. */
  async #choose(use: string, wanted: ReadonlyMap<string, number>): Promise<Pack[]> {
    // Lists are of this archive alone.
    if (use === 'list') return cutPacks([...wanted].map(([id, length]): Chunk => ({ id, length })))
    for (;;) {
      const chosen = choosePacks(wanted, [...this.#known.values()])
      const known = chosen.filter((pack): pack is KnownPack => pack.digest !== null)
      const gone: string[] = []
      const counts = { there: 0, mounted: 0 }
      await inParallel(known, AT_ONCE, async ({ digest, size }) => {
        const how = await this.#find(digest)
        if (how === null) gone.push(digest)
        else counts[how] += size
      })
      for (const digest of gone) this.#known.delete(digest)
      if (gone.length > 0) continue
      this.#counts.there += counts.there
      this.#counts.mounted += counts.mounted
      return chosen
    }
  }

  async #find(digest: string): Promise<'there' | 'mounted' | null> {
    if (await this.#repository.has(digest)) return 'there'
    const from = this.#elsewhere.get(digest)
    if (from === undefined || !(await this.#repository.mount(digest, from))) return null
    return 'mounted'
  }

  async #make({ size, chunks }: Pack): Promise<KnownPack> {
    const bytes = Buffer.allocUnsafe(size)
    let at = 0
    for (const { id } of chunks) at += (await this.#what.chunk(id)).copy(bytes, at)
    const { digest } = await this.#put(bytes)
    return { digest, size, chunks }
  }

  async #small(mediaType: string, bytes: Buffer): Promise<Descriptor> {
    const { digest } = await this.#put(bytes)
    return { mediaType, digest, size: bytes.length }
  }

  async #put(bytes: Buffer): Promise<{ digest: string }> {
    const blob = blobOf(bytes)
    this.#counts[await this.#repository.put(blob)] += blob.size
    return blob
  }

  #progress(chunks: readonly Chunk[]): void {
    this.#done += chunks.reduce((sum, { length }) => sum + length, 0)
    const percent = Math.floor((100 * this.#done) / Math.max(1, this.#total))
    this.#tell(`${percent} % is in ${this.#repository.name}`)
  }
}

async function packsOf(
  repository: Repository,
  artifacts: readonly Artifact[],
): Promise<KnownPack[]> {
  const packs: KnownPack[] = []
  const read = new Set<string>()
  for (const { indexes } of artifacts.slice(0, MOST_READ)) {
    const some = indexes.filter(({ digest }) => !read.has(digest))
    for (const { digest } of some) read.add(digest)
    try {
      packs.push(...(await readPacks(repository, some)))
    } catch (err) {
      if (!(err instanceof Failure) || !USELESS.has(err.code)) throw err
    }
  }
  return packs
}

function indexOf(packs: readonly KnownPack[]): Buffer {
  const lines = packs.map(({ digest, size, chunks }) => ({
    digest,
    size,
    chunks: chunks.flatMap(({ id, length }) => [id, length]),
  }))
  lines.sort((a, b) => (a.digest < b.digest ? -1 : 1))
  return jsonBytes({ version: 1, packs: lines })
}

const unique = (all: readonly Descriptor[]): Descriptor[] => [
  ...new Map(all.map((one) => [one.digest, one])).values(),
]

// For people and other tools: nobody vouches for it.
function annotationsOf({ summary, signers }: Pushing): Record<string, string> {
  const last = summary.states.at(-1)
  return {
    'org.opencontainers.image.title': summary.layer,
    ...(last === undefined
      ? {}
      : {
          'org.opencontainers.image.created': new Date(last.time).toISOString(),
          'svsfs.state': last.id,
        }),
    ...(signers.length === 0 ? {} : { 'svsfs.signed-by': signers.join(' ') }),
  }
}
