// A directory that is a repository (layout.ts), behind any web server: for reading alone.
//
//   GET URL/index.json   GET URL/blobs/sha256/<digest>     with Range where the server knows it
//
// Rule: as with a registry: what comes is bounded, and held against its digest by whoever asked.

import { Failure } from '../base/failure.ts'
import { Asker, refusal } from './asker.ts'
import { Authorization } from './authorization.ts'
import type { Credentials } from './credentials.ts'
import { type ImageIndex, LIMITS } from './format.ts'
import { type Answer, certificatesFor, Http } from './http.ts'
import { blobPath, INDEX_NAME, LARGEST_INDEX, pickOf, readIndex, tagsOf } from './index-json.ts'
import type { Pick } from './place.ts'
import { stretchOf } from './registry.ts'
import { type FoundManifest, manifestOf, type Put, type Repository } from './repository.ts'

export class FileServer implements Repository {
  readonly name: string
  readonly #base: URL
  readonly #asker: Asker

  constructor(url: string, credentials: Credentials | null, signal: AbortSignal | null) {
    this.#base = new URL(url)
    this.name = url
    const { host, hostname, origin } = this.#base
    const http = new Http(signal, certificatesFor(host))
    this.#asker = new Asker(http, new Authorization(http, hostname, credentials), origin)
  }

  async tags(): Promise<string[]> {
    return tagsOf(await this.#index())
  }

  async manifest(pick: Pick | null): Promise<FoundManifest> {
    // One that an index names need not stand in index.json.
    const digest = pick?.digest ?? pickOf(await this.#index(), pick, this.name).digest
    const answer = await this.#get(blobPath(digest))
    return manifestOf(this.name, await answer.bytes(LIMITS.manifest), { tag: null, digest })
  }

  async has(digest: string): Promise<boolean> {
    const url = new URL(blobPath(digest), this.#base)
    const answer = await this.#asker.ask(url, { method: 'HEAD' }, '')
    await answer.skip()
    return answer.status === 200
  }

  async *read(digest: string, start: number, end: number, size: number): AsyncGenerator<Buffer> {
    const isWhole = start === 0 && end === size
    const answer = await this.#get(blobPath(digest), isWhole ? null : `bytes=${start}-${end - 1}`)
    yield* stretchOf(answer, [start, end, size], this.name)
  }

  async put(): Promise<Put> {
    throw this.#readOnly()
  }

  async mount(): Promise<boolean> {
    return false
  }

  async putManifest(): Promise<void> {
    throw this.#readOnly()
  }

  async close(): Promise<void> {
    this.#asker.http.close()
  }

  async #index(): Promise<ImageIndex> {
    const answer = await this.#get(INDEX_NAME)
    return readIndex(await answer.bytes(LARGEST_INDEX), this.name)
  }

  async #get(path: string, range: string | null = null): Promise<Answer> {
    const headers = range === null ? {} : { range }
    const url = new URL(path, this.#base)
    const answer = await this.#asker.ask(url, { method: 'GET', headers }, '')
    if (answer.status === 200 || (range !== null && answer.status === 206)) return answer
    if (answer.status !== 404) throw await refusal(answer, this.name)
    await answer.skip()
    throw new Failure('SVS_REPOSITORY_NOT_FOUND', path, this.name)
  }

  #readOnly(): Failure {
    return new Failure('SVS_REPOSITORY_REFUSED', this.name, 'a file server gives and does not take')
  }
}
