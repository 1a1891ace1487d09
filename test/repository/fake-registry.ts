// A registry that does what a test wants of it: it has blobs and manifests in memory, and every answer
// may be spoilt.

import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

type Spoil = (request: IncomingMessage, response: ServerResponse) => boolean

export const sha = (bytes: Buffer | string): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`

export class FakeRegistry {
  readonly blobs = new Map<string, Buffer>()
  readonly manifests = new Map<string, Buffer>()
  /** What was asked, with who it said it was. */
  readonly asked: { method: string; url: string; authorization: string | null }[] = []
  /** Answers in place of the registry where it says true. */
  spoil: Spoil = () => false
  readonly #server: Server

  private constructor() {
    this.#server = createServer((request, response) => {
      const { method = '', url = '', headers } = request
      this.asked.push({ method, url, authorization: headers.authorization ?? null })
      if (!this.spoil(request, response)) this.#answer(method, url, response)
    })
  }

  static async start(t: Test): Promise<FakeRegistry> {
    const made = new FakeRegistry()
    await new Promise<void>((resolve) => made.#server.listen(0, '127.0.0.1', resolve))
    t.teardown(async () => {
      made.#server.closeAllConnections()
      await new Promise((resolve) => made.#server.close(resolve))
    })
    return made
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  add(bytes: Buffer | string): { digest: string; size: number } {
    const all = Buffer.from(bytes)
    this.blobs.set(sha(all), all)
    return { digest: sha(all), size: all.length }
  }

  /** Takes all that a layout directory has. */
  tag(name: string, manifest: unknown): void {
    this.manifests.set(name, Buffer.from(JSON.stringify(manifest)))
  }

  #answer(method: string, url: string, response: ServerResponse): void {
    const found = /^\/v2\/.+\/(manifests|blobs|tags)\/([^/?]+)$/.exec(url.split('?')[0]!)
    const [, kind, name = ''] = found ?? []
    if (kind === 'tags') {
      response.end(JSON.stringify({ name: 'x', tags: [...this.manifests.keys()] }))
      return
    }
    const bytes = (kind === 'manifests' ? this.manifests : this.blobs).get(name)
    if (bytes === undefined) {
      response.statusCode = 404
      response.end('{"errors":[{"code":"UNKNOWN","message":"no such thing"}]}')
      return
    }
    response.setHeader('content-length', bytes.length)
    response.end(method === 'HEAD' ? undefined : bytes)
  }
}
