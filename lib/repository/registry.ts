// A repository of an OCI registry: the distribution specification, version 1.1, over HTTP.
//
//   GET, HEAD /v2/NAME/manifests/…   GET, HEAD /v2/NAME/blobs/…   GET /v2/NAME/tags/list
//   POST /v2/NAME/blobs/uploads/ ─▶ PUT, or PATCH and PUT (upload.ts)      PUT /v2/NAME/manifests/…
//
// Rule: an answer is foreign: its size is bounded, its redirects are looked at, its words are shown as
// plain text.

import { Failure } from '../base/failure.ts'
import { type Asked, Asker, refusal } from './asker.ts'
import { Authorization } from './authorization.ts'
import type { Credentials } from './credentials.ts'
import { LIMITS, MEDIA } from './format.ts'
import { type Answer, certificatesFor, elsewhere, Http, invalid } from './http.ts'
import { isTag, type Pick } from './place.ts'
import {
  type Blob,
  type FoundManifest,
  manifestOf,
  type NewManifest,
  type Put,
  type Repository,
} from './repository.ts'
import { mount, type Uploading, upload } from './upload.ts'

export interface RegistryOptions {
  readonly host: string
  readonly repository: string
  readonly credentials: Credentials | null
  /** Ask without TLS; hosts of this machine are always asked so. */
  readonly plainHttp: boolean
  readonly signal: AbortSignal | null
  /** Blobs above it are sent so that they can be gone on with (tests make it small). */
  readonly resumable?: number
}

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/
const MANIFESTS = [MEDIA.manifest, MEDIA.index, MEDIA.dockerManifest, MEDIA.dockerList].join(', ')
const MOST_PAGES = 100
const RESUMABLE = 32 * 1024 * 1024

export class Registry implements Repository {
  readonly name: string
  readonly #asker: Asker
  readonly #base: URL
  readonly #repository: string
  readonly #resumable: number

  constructor(options: RegistryOptions) {
    const { host, repository, credentials, plainHttp, signal } = options
    const asked = host === 'docker.io' ? 'registry-1.docker.io' : host
    const scheme = plainHttp || LOOPBACK.test(host) ? 'http' : 'https'
    this.name = `${host}/${repository}`
    this.#repository = repository
    this.#base = new URL(`${scheme}://${asked}/v2/${repository}/`)
    this.#resumable = options.resumable ?? RESUMABLE
    const http = new Http(signal, certificatesFor(host))
    this.#asker = new Asker(http, new Authorization(http, host, credentials), this.#base.origin)
  }

  async tags(): Promise<string[]> {
    const tags: string[] = []
    let url: URL | null = new URL(`tags/list?n=1000`, this.#base)
    for (let page = 0; url !== null && page < MOST_PAGES; page++) {
      const answer = await this.#ask(url, { method: 'GET' })
      if (answer.status === 404) throw await this.#missing(answer, 'such repository')
      await this.#must(answer, 200)
      tags.push(...tagsIn(await answer.bytes(LIMITS.manifest), url))
      if (tags.length > LIMITS.tags) throw invalid(url, `more than ${LIMITS.tags} tags`)
      url = nextPage(answer.header('link'), url)
    }
    return tags
  }

  async manifest(pick: Pick | null): Promise<FoundManifest> {
    const wanted = pick?.digest ?? pick?.tag ?? 'latest'
    const url = new URL(`manifests/${wanted}`, this.#base)
    const answer = await this.#ask(url, { method: 'GET', headers: { accept: MANIFESTS } })
    if (answer.status === 404) throw await this.#missing(answer, wanted)
    await this.#must(answer, 200)
    return manifestOf(this.name, await answer.bytes(LIMITS.manifest), pick)
  }

  async has(digest: string): Promise<boolean> {
    const answer = await this.#ask(this.#blob(digest), { method: 'HEAD' })
    await answer.skip()
    if (answer.status === 404) return false
    await this.#must(answer, 200)
    return true
  }

  async *read(digest: string, start: number, end: number, size: number): AsyncGenerator<Buffer> {
    const isWhole = start === 0 && end === size
    const headers = isWhole ? {} : { range: `bytes=${start}-${end - 1}` }
    const answer = await this.#ask(this.#blob(digest), { method: 'GET', headers })
    if (answer.status === 404) throw await this.#missing(answer, digest)
    if (isWhole || answer.status !== 206) await this.#must(answer, 200)
    yield* stretchOf(answer, [start, end, size], this.name)
  }

  async put(blob: Blob): Promise<Put> {
    if (await this.has(blob.digest)) return 'there'
    await upload(this.#uploading(), blob)
    return 'sent'
  }

  mount(digest: string, from: string): Promise<boolean> {
    return mount(this.#uploading(), digest, from)
  }

  #uploading(): Uploading {
    return {
      uploads: new URL('blobs/uploads/', this.#base),
      ask: (url, asked, from) => this.#ask(url, asked, 'pull,push', from),
      refused: (answer) => refusal(answer, this.name),
      resumable: this.#resumable,
    }
  }

  async putManifest({ bytes, mediaType, tag }: NewManifest): Promise<void> {
    const url = new URL(`manifests/${tag}`, this.#base)
    const headers = { 'content-type': mediaType }
    const answer = await this.#ask(url, { method: 'PUT', headers, body: () => bytes }, 'pull,push')
    await this.#must(answer, 201)
    await answer.skip()
  }

  async close(): Promise<void> {
    this.#asker.http.close()
  }

  #blob(digest: string): URL {
    return new URL(`blobs/${digest}`, this.#base)
  }

  #ask(url: URL, asked: Asked, actions = 'pull', mount: string | null = null): Promise<Answer> {
    const own = `repository:${this.#repository}:${actions}`
    const scope = mount === null ? own : `${own} repository:${mount}:pull`
    return this.#asker.ask(url, asked, scope)
  }

  async #must(answer: Answer, status: number): Promise<void> {
    if (answer.status !== status) throw await refusal(answer, this.name)
  }

  async #missing(answer: Answer, what: string): Promise<Failure> {
    await answer.skip()
    return new Failure('SVS_REPOSITORY_NOT_FOUND', what, this.name)
  }
}

/** The bytes that were asked for, of an answer that has them alone or all. */
export async function* stretchOf(
  answer: Answer,
  [start, end, size]: readonly [number, number, number],
  name: string,
): AsyncGenerator<Buffer> {
  const isPart = answer.status === 206
  if (isPart && !(answer.header('content-range') ?? '').startsWith(`bytes ${start}-`))
    throw new Failure('SVS_REPOSITORY_INVALID', name, 'another part of a blob than was asked for')
  if (isPart) return yield* answer.body()
  // All of the blob, though a part was asked for perhaps: what lies after that is not waited for.
  const isWhole = start === 0 && end === size
  let at = 0
  for await (const piece of answer.body()) {
    yield isWhole ? piece : piece.subarray(Math.max(0, start - at), Math.max(0, end - at))
    at += piece.length
    if (!isWhole && at >= end) return
  }
}

function tagsIn(bytes: Buffer, url: URL): string[] {
  try {
    const { tags } = JSON.parse(bytes.toString()) as { tags?: unknown }
    if (tags === null || tags === undefined) return []
    if (Array.isArray(tags) && tags.every((tag) => typeof tag === 'string' && isTag(tag)))
      return tags as string[]
  } catch (cause) {
    throw invalid(url, 'a list of tags that is no JSON', cause)
  }
  throw invalid(url, 'a list of tags that is none')
}

function nextPage(link: string | null, url: URL): URL | null {
  const found = /<([^>]*)>\s*;\s*rel="?next"?/.exec(link ?? '')
  if (found === null) return null
  const next = elsewhere(url, found[1]!)
  if (next.origin !== url.origin) throw invalid(url, 'its list of tags goes on elsewhere')
  return next
}
