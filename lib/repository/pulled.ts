// An archive that lies in a repository, read as one that lies in a file (lib/archive: ArchiveSource).
//
//   open ─▶ manifest, config, manifest.json, signature, indexes      small, held against their digests
//   bring(ids) ─▶ chunks that are not here ─▶ a nameless file        whole packs, or parts of them
//   read(name) ─▶ from that file, from the store, or fetched after all
//
// Rule: a chunk counts when it has its digest; nothing of this store changes here.

import { hash, randomBytes } from 'node:crypto'
import { closeSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from '../base/failure.ts'
import { type Artifact, readArtifact, readPacks } from './artifact.ts'
import { fetchBlob, fetchStretch } from './blobs.ts'
import { LIMITS } from './format.ts'
import { type KnownPack, type Lying, placesIn, type Stretch, stretchesOf } from './packs.ts'
import { inParallel } from './parallel.ts'
import type { Pick } from './place.ts'
import type { Repository } from './repository.ts'

/** A pack of which so much is wanted is fetched whole: one question, and nothing to find out. */
const WHOLE = 0.7
const AT_ONCE = 4

export interface PulledOptions {
  readonly repository: Repository
  readonly pick: Pick | null
  /** What failures call it. */
  readonly place: string
  /** A directory on a disk with room, as Node takes it. */
  readonly temporary: string
  /** A chunk that the store has; null where it has it not. */
  readonly local: (id: string) => Promise<Buffer | null>
  readonly onProgress: (text: string) => void
}

export class Pulled {
  readonly path: string
  readonly size: number
  readonly names = ['manifest.json', 'signature']
  readonly artifact: Artifact
  /** Chunks that nobody needs here. */
  without: ReadonlySet<string> = new Set()
  /** Bytes of packs that came. */
  fetched = 0
  readonly #options: PulledOptions
  readonly #text: Buffer
  readonly #signed: Buffer
  readonly #packs: readonly KnownPack[]
  readonly #lengths = new Map<string, number>()
  readonly #spool: Spool

  private constructor(
    options: PulledOptions,
    artifact: Artifact,
    text: Buffer,
    signed: Buffer,
    packs: readonly KnownPack[],
  ) {
    this.path = options.place
    this.size = artifact.size
    this.artifact = artifact
    this.#options = options
    this.#text = text
    this.#signed = signed
    this.#packs = packs
    for (const { chunks } of packs)
      for (const { id, length } of chunks) if (!this.#lengths.has(id)) this.#lengths.set(id, length)
    this.#spool = new Spool(options.temporary)
  }

  /** Reads what is small. `artifact`: where that was read already. */
  static async open(options: PulledOptions, artifact: Artifact): Promise<Pulled> {
    const { repository } = options
    const text = await fetchBlob(repository, artifact.archive, LIMITS.archive)
    const signed = await fetchBlob(repository, artifact.signature, LIMITS.signature)
    const packs = await readPacks(repository, artifact.indexes)
    return new Pulled(options, artifact, text, signed, packs)
  }

  /** What lies there under a tag. */
  static async look(options: Omit<PulledOptions, 'temporary' | 'local'>): Promise<Artifact> {
    const { repository, pick, place } = options
    return readArtifact(repository, await repository.manifest(pick), place)
  }

  lengthOf(name: string): number {
    return this.#lengths.get(idIn(name)) ?? 0
  }

  async read(name: string): Promise<Buffer | null> {
    if (name === 'manifest.json') return this.#text
    if (name === 'signature') return this.#signed
    const id = idIn(name)
    const known = this.#spool.read(id) ?? (await this.#sound(id))
    if (known !== null || !this.#lengths.has(id)) return known
    await this.#fetch(placesIn(this.#packs, new Set([id])), () => {})
    return this.#spool.read(id)
  }

  /** Fetches those of the chunks that are not here. Throws SVS_REPOSITORY_INVALID. */
  async bring(ids: Iterable<string>): Promise<void> {
    const missing = new Set<string>()
    for (const id of ids)
      if (!this.#spool.has(id) && (await this.#options.local(id)) === null) missing.add(id)
    const places = placesIn(this.#packs, missing)
    const total = [...places.values()].reduce((sum, { length }) => sum + length, 0)
    let done = 0
    await this.#fetch(places, (length) => {
      done += length
      this.#options.onProgress(
        `fetched ${Math.floor((100 * done) / total)} % of ${megabytes(total)}`,
      )
    })
  }

  async close(): Promise<void> {
    this.#spool.close()
    await this.#options.repository.close()
  }

  // What the store has, unless it is damaged there.
  async #sound(id: string): Promise<Buffer | null> {
    const bytes = await this.#options.local(id)
    return bytes !== null && hash('sha256', bytes) === id ? bytes : null
  }

  async #fetch(
    places: ReadonlyMap<string, Lying>,
    onBytes: (length: number) => void,
  ): Promise<void> {
    await inParallel(wholes(stretchesOf(places)), AT_ONCE, async (stretch) => {
      const { pack, start, end, chunks } = stretch
      const { repository } = this.#options
      const isWhole = start === 0 && end === pack.size
      const bytes = isWhole
        ? await fetchBlob(repository, pack, LIMITS.pack)
        : await fetchStretch(repository, pack.digest, start, end, pack.size)
      this.fetched += bytes.length
      for (const { id, at, length } of chunks)
        this.#keep(id, bytes.subarray(at - start, at - start + length))
      onBytes(chunks.reduce((sum, { length }) => sum + length, 0))
    })
  }

  #keep(id: string, bytes: Buffer): void {
    if (hash('sha256', bytes) !== id) {
      const why = `chunk ${id.slice(0, 16)} is not in the pack that has it`
      throw new Failure('SVS_REPOSITORY_INVALID', this.#options.repository.name, why)
    }
    this.#spool.write(id, bytes)
  }
}

/** Stretches of packs of which most is wanted anyway become the whole pack. */
function wholes(stretches: readonly Stretch[]): Stretch[] {
  const byPack = new Map<KnownPack, Stretch[]>()
  for (const one of stretches) byPack.set(one.pack, [...(byPack.get(one.pack) ?? []), one])
  return [...byPack].flatMap(([pack, some]) => {
    const wanted = some.reduce((sum, { start, end }) => sum + end - start, 0)
    if (wanted < pack.size * WHOLE) return some
    return [{ pack, start: 0, end: pack.size, chunks: some.flatMap(({ chunks }) => chunks) }]
  })
}

/** Chunks in a file without a name. */
class Spool {
  readonly #fd: number
  readonly #places = new Map<string, { at: number; length: number }>()
  #end = 0

  constructor(dir: string) {
    const path = join(dir, `pull-${randomBytes(6).toString('hex')}`)
    this.#fd = openSync(path, 'wx+', 0o600)
    unlinkSync(path)
  }

  has(id: string): boolean {
    return this.#places.has(id)
  }

  write(id: string, bytes: Buffer): void {
    if (this.#places.has(id)) return
    const at = this.#end
    this.#end += bytes.length
    for (let done = 0; done < bytes.length; )
      done += writeSync(this.#fd, bytes, done, bytes.length - done, at + done)
    this.#places.set(id, { at, length: bytes.length })
  }

  read(id: string): Buffer | null {
    const place = this.#places.get(id)
    if (place === undefined) return null
    // Its own memory: chunks travel to threads by giving it away.
    const bytes = Buffer.allocUnsafeSlow(place.length)
    for (let done = 0; done < bytes.length; ) {
      const read = readSync(this.#fd, bytes, done, bytes.length - done, place.at + done)
      if (read === 0) throw new TypeError('what was fetched is gone')
      done += read
    }
    return bytes
  }

  close(): void {
    closeSync(this.#fd)
  }
}

const idIn = (name: string): string => name.slice(name.lastIndexOf('/') + 1)

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`
