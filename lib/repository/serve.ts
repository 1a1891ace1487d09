// A directory that is a repository, given to whoever asks over HTTP: files as any web server gives them,
// and the reading half of a registry's API, so that container tools can fetch from it too.
//
//   GET, HEAD  /index.json   /oci-layout   /blobs/sha256/<digest>            Range: one stretch
//   GET, HEAD  /v2/   /v2/<name>/manifests/<tag or digest>   /v2/<name>/blobs/<digest>   /v2/<name>/tags/list
//
// Rule: nothing but what a layout consists of is opened, whatever the path; nothing is ever changed.

import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { Failure } from '../base/failure.ts'
import { jsonBytes, LIMITS, MEDIA } from './format.ts'
import { blobPath, INDEX_NAME, LAYOUT_NAME, pickOf, readIndex, tagsOf } from './index-json.ts'
import { Layout } from './layout.ts'
import { isDigest, isTag } from './place.ts'

export interface Serving {
  /** As people ask for it. */
  readonly url: string
  close(): Promise<void>
}

const QUIET_MS = 60_000

/** `listen`: `127.0.0.1:8080`, `[::1]:0`; port 0 is any. Throws SVS_USAGE, SVS_REPOSITORY_REFUSED. */
export async function serveLayout(
  dir: string,
  listen: string,
  onRequest: (line: string) => void,
): Promise<Serving> {
  Layout.open(dir, false)
  const { host, port } = addressOf(listen)
  const server = createServer((request, response) => {
    void answer(dir, request, response).catch(() => response.destroy())
    response.once('close', () => onRequest(lineOf(request, response)))
  })
  server.requestTimeout = QUIET_MS
  server.timeout = QUIET_MS
  await listening(server, host, port)
  const bound = server.address() as { address: string; port: number; family: string }
  const shown = isIP(bound.address) === 6 ? `[${bound.address}]` : bound.address
  return {
    url: `http://${shown}:${bound.port}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function addressOf(listen: string): { host: string; port: number } {
  const found = /^(?:\[([0-9a-fA-F:]+)\]|([\w.-]+)):(\d{1,5})$/.exec(listen)
  const port = Number(found?.[3])
  if (found === null || port > 65_535)
    throw new Failure('SVS_USAGE', `--listen takes ADDRESS:PORT, not ${listen}`)
  return { host: found[1] ?? found[2]!, port }
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) =>
      reject(
        new Failure('SVS_REPOSITORY_REFUSED', `${host}:${port}`, String(cause.code), { cause }),
      ),
    )
    server.listen(port, host, resolve)
  })
}

const lineOf = ({ method, url, socket }: IncomingMessage, { statusCode }: ServerResponse): string =>
  `${socket.remoteAddress ?? 'somebody'} ${method} ${encodeURI(url ?? '').slice(0, 200)} ${statusCode}`

async function answer(
  dir: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  response.setHeader('docker-distribution-api-version', 'registry/2.0')
  if (request.method !== 'GET' && request.method !== 'HEAD') return end(response, 405)
  const asked = URL.canParse(request.url ?? '', 'http://x')
    ? new URL(request.url!, 'http://x')
    : null
  const wanted = asked === null ? null : await wantedBy(dir, asked.pathname)
  if (wanted === null) return end(response, 404)
  response.setHeader('content-type', wanted.type)
  if (wanted.digest !== null) {
    response.setHeader('docker-content-digest', wanted.digest)
    response.setHeader('etag', `"${wanted.digest}"`)
  }
  if (wanted.bytes !== undefined) {
    response.setHeader('content-length', wanted.bytes.length)
    response.end(request.method === 'HEAD' ? undefined : wanted.bytes)
    return
  }
  const file = await openFile(join(dir, wanted.file))
  if (file === null) return end(response, 404)
  try {
    await sendFile(file, request, response)
  } finally {
    await file.close()
  }
}

type Wanted = { readonly type: string; readonly digest: string | null } & (
  | { readonly file: string; readonly bytes?: undefined }
  | { readonly bytes: Buffer }
)

const JSON_TYPE = 'application/json'
const BYTES_TYPE = 'application/octet-stream'

async function wantedBy(dir: string, path: string): Promise<Wanted | null> {
  if (path === `/${INDEX_NAME}`) return { file: INDEX_NAME, type: MEDIA.index, digest: null }
  if (path === `/${LAYOUT_NAME}`) return { file: LAYOUT_NAME, type: JSON_TYPE, digest: null }
  if (path === '/v2/' || path === '/v2')
    return { bytes: Buffer.from('{}'), type: JSON_TYPE, digest: null }
  const blob = /^\/blobs\/sha256\/([0-9a-f]{64})$/.exec(path)
  if (blob !== null) return blobWanted(`sha256:${blob[1]}`)
  const asked = /^\/v2\/(.+)\/(?:(blobs|manifests)\/([^/]+)|(tags\/list))$/.exec(path)
  if (asked === null) return null
  const [, name, kind, reference = ''] = asked
  if (kind === 'blobs') return isDigest(reference) ? blobWanted(reference) : null
  return fromIndex(dir, kind === undefined ? { name: name! } : { reference })
}

const blobWanted = (digest: string): Wanted => ({
  file: blobPath(digest),
  type: BYTES_TYPE,
  digest,
})

async function fromIndex(
  dir: string,
  asked: { readonly name: string } | { readonly reference: string },
): Promise<Wanted | null> {
  const file = await openFile(join(dir, INDEX_NAME))
  if (file === null) return null
  const bytes = await file.readFile().finally(() => file.close())
  const index = readIndex(bytes, dir)
  if ('name' in asked) {
    const tags = [...new Set(tagsOf(index))].sort()
    return { bytes: jsonBytes({ name: asked.name, tags }), type: JSON_TYPE, digest: null }
  }
  const { reference } = asked
  if (isDigest(reference)) return byDigest(dir, reference)
  if (!isTag(reference)) return null
  try {
    const { mediaType, digest } = pickOf(index, { tag: reference, digest: null }, dir)
    return { file: blobPath(digest), type: mediaType, digest }
  } catch (err) {
    if (err instanceof Failure && err.code === 'SVS_REPOSITORY_NOT_FOUND') return null
    throw err
  }
}

// One that an index names need not stand in index.json: it says itself of which type it is.
async function byDigest(dir: string, digest: string): Promise<Wanted | null> {
  const file = await openFile(join(dir, blobPath(digest)))
  if (file === null) return null
  try {
    if ((await file.stat()).size > LIMITS.manifest) return null
    const bytes = await file.readFile()
    const { mediaType } = JSON.parse(bytes.toString()) as { mediaType?: unknown }
    const type = typeof mediaType === 'string' ? mediaType : MEDIA.manifest
    return /^[\w.+/-]{1,200}$/.test(type) ? { bytes, type, digest } : null
  } catch (err) {
    if (err instanceof SyntaxError) return null
    throw err
  } finally {
    await file.close()
  }
}

async function openFile(path: string): Promise<FileHandle | null> {
  const flags = constants.O_RDONLY | constants.O_NONBLOCK
  const file = await open(path, flags).catch(() => null)
  if (file === null || (await file.stat()).isFile()) return file
  await file.close()
  return null
}

async function sendFile(
  file: FileHandle,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { size } = await file.stat()
  const range = rangeOf(request.headers.range ?? '', size)
  response.setHeader('accept-ranges', 'bytes')
  if (range === 'beyond') {
    response.setHeader('content-range', `bytes */${size}`)
    return end(response, 416)
  }
  const [start, last] = range ?? [0, size - 1]
  if (range !== null) {
    response.statusCode = 206
    response.setHeader('content-range', `bytes ${start}-${last}/${size}`)
  }
  response.setHeader('content-length', last - start + 1)
  if (request.method === 'HEAD' || size === 0) {
    response.end()
    return
  }
  const stream = file.createReadStream({ start, end: last, autoClose: false })
  await pipeline(stream, response)
}

/** `bytes=5-9`, `bytes=5-`, `bytes=-5`; anything else is all of it. */
function rangeOf(header: string, size: number): [number, number] | 'beyond' | null {
  const found = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header)
  if (found === null) return null
  const [, first, last] = found
  if (first === '' && last === '') return null
  if (first === '') return [Math.max(0, size - Number(last)), size - 1]
  if (Number(first) >= size) return 'beyond'
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1)
  return end < Number(first) ? null : [Number(first), end]
}

function end(response: ServerResponse, status: number): void {
  response.statusCode = status
  response.end()
}
