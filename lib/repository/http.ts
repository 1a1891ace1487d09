// Asking servers: one request at a time, what comes back bounded by whoever reads it.
//
//   ask ─▶ (redirect: GET and HEAD alone) ─▶ Answer ─▶ bytes(most) | body, a stretch at a time
//
// Rule: what identifies us goes to the server that it is for and to no other: a redirect elsewhere goes
// without it, and none leads from https to http.

import { existsSync, readFileSync } from 'node:fs'
import * as http from 'node:http'
import * as https from 'node:https'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { Failure } from '../base/failure.ts'

/** A server that says nothing for so long is given up. */
const SILENCE_MS = 60_000
const MOST_REDIRECTS = 5
/** Of the words of a refusal. */
const MOST_WORDS = 64 * 1024

/** Certificates that the system trusts, which Node does not read by itself. */
const SYSTEM_CERTIFICATES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
]

export interface Question {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly headers?: Readonly<Record<string, string>>
  /** Goes to `url`'s own server alone. */
  readonly authorization?: string | null
  readonly body?: Buffer | AsyncIterable<Buffer>
}

export interface Answer {
  readonly url: URL
  readonly status: number
  header(name: string): string | null
  /** The bytes as they come; ending early gives the connection up. */
  body(): AsyncGenerator<Buffer>
  /** All of them. Throws SVS_REPOSITORY_INVALID where they are more. */
  bytes(most: number): Promise<Buffer>
  /** Reads what is left, so that the connection can be used again. */
  skip(): Promise<void>
}

export class Http {
  readonly #agents: { readonly http: http.Agent; readonly https: https.Agent }
  readonly #signal: AbortSignal | null

  /** `signal` breaks everything off. */
  constructor(signal: AbortSignal | null, certificates: readonly string[] = []) {
    const options = { keepAlive: true, maxSockets: 8 }
    const ca = () => [...rootCertificates, ...systemCertificates(), ...certificates]
    this.#signal = signal
    this.#agents = {
      http: new http.Agent(options),
      get https() {
        const made = new https.Agent({ ...options, ca: ca() })
        Object.defineProperty(this, 'https', { value: made })
        return made
      },
    }
  }

  /** Throws SVS_REPOSITORY_UNREACHABLE, SVS_CANCELLED. */
  async ask(url: URL, question: Question): Promise<Answer> {
    let { authorization = null } = question
    let at = url
    for (let redirects = 0; ; redirects++) {
      const answer = await this.#once(at, { ...question, authorization })
      const { method } = question
      const location = answer.header('location')
      const moved = [301, 302, 303, 307, 308].includes(answer.status)
      if (!moved || location === null || (method !== 'GET' && method !== 'HEAD')) return answer
      await answer.skip()
      const next = elsewhere(at, location)
      if (redirects === MOST_REDIRECTS) throw invalid(at, 'it sends from one place to the next')
      if (next.origin !== at.origin) authorization = null
      at = next
    }
  }

  close(): void {
    this.#agents.http.destroy()
    this.#agents.https.destroy()
  }

  async #once(url: URL, question: Question): Promise<Answer> {
    if (this.#signal?.aborted === true) throw new Failure('SVS_CANCELLED')
    try {
      return answerOf(url, await this.#send(url, question), this.#signal)
    } catch (err) {
      throw unreachable(url, err, this.#signal)
    }
  }

  async #send(
    url: URL,
    { method, headers = {}, authorization = null, body }: Question,
  ): Promise<http.IncomingMessage> {
    const isSecure = url.protocol === 'https:'
    const request = (isSecure ? https : http).request(url, {
      method,
      agent: isSecure ? this.#agents.https : this.#agents.http,
      ...(this.#signal === null ? {} : { signal: this.#signal }),
      headers: {
        'user-agent': 'svsfs',
        ...headers,
        ...(authorization === null ? {} : { authorization }),
        ...(Buffer.isBuffer(body) ? { 'content-length': String(body.length) } : {}),
      },
    })
    request.setTimeout(SILENCE_MS, () => {
      request.destroy(new Error(`no word for ${SILENCE_MS / 1000} seconds`))
    })
    const answered = new Promise<http.IncomingMessage>((resolve, reject) => {
      request.once('response', resolve)
      request.on('error', reject)
      request.once('close', () => reject(new Error('the connection ended')))
    })
    // Sending may fail first: the answer, if there is one, says more.
    answered.catch(() => {})
    try {
      await sendBody(request, body)
    } catch (err) {
      if (!request.destroyed) request.destroy()
      throw await answered.then(
        (answer) => {
          answer.destroy()
          return err
        },
        (cause: unknown) => cause,
      )
    }
    return answered
  }
}

async function sendBody(request: http.ClientRequest, body: Question['body']): Promise<void> {
  if (body === undefined || Buffer.isBuffer(body)) {
    request.end(body)
    return
  }
  for await (const piece of body) {
    if (request.destroyed) break
    if (!request.write(piece) && !request.destroyed) await drained(request)
  }
  request.end()
}

function drained(request: http.ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      request.off('drain', done)
      request.off('close', done)
      resolve()
    }
    request.on('drain', done)
    request.on('close', done)
  })
}

function answerOf(url: URL, message: http.IncomingMessage, signal: AbortSignal | null): Answer {
  async function* body(): AsyncGenerator<Buffer> {
    try {
      for await (const piece of message.iterator({ destroyOnReturn: false })) yield piece as Buffer
    } catch (err) {
      throw unreachable(url, err, signal)
    } finally {
      // What came whole leaves the connection for the next question.
      if (message.complete) message.resume()
      else message.destroy()
    }
  }
  return {
    url,
    status: message.statusCode ?? 0,
    header: (name) => {
      const value = message.headers[name]
      return Array.isArray(value) ? value.join(', ') : (value ?? null)
    },
    body,
    bytes: (most) => bounded(url, body(), most),
    skip: async () => {
      let left = MOST_WORDS
      for await (const piece of body()) if ((left -= piece.length) < 0) return
    },
  }
}

async function bounded(url: URL, body: AsyncIterable<Buffer>, most: number): Promise<Buffer> {
  const pieces: Buffer[] = []
  let length = 0
  for await (const piece of body) {
    length += piece.length
    if (length > most) throw invalid(url, `an answer of more than ${most} bytes`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

/** Where an answer sends us to. Throws SVS_REPOSITORY_INVALID. */
export function elsewhere(from: URL, location: string): URL {
  if (!URL.canParse(location, from.href)) throw invalid(from, 'it sends to no address')
  const to = new URL(location, from.href)
  if (to.protocol !== 'https:' && to.protocol !== 'http:')
    throw invalid(from, 'it sends to something that is no web server')
  if (from.protocol === 'https:' && to.protocol === 'http:')
    throw invalid(from, 'it sends from https to http')
  to.username = ''
  to.password = ''
  return to
}

/** What a server answered that it must not. */
export const invalid = (url: URL | string, why: string, cause?: unknown): Failure =>
  new Failure('SVS_REPOSITORY_INVALID', typeof url === 'string' ? url : url.host, why, { cause })

function unreachable(url: URL, err: unknown, signal: AbortSignal | null): unknown {
  if (err instanceof Failure) return err
  if (signal?.aborted === true) return new Failure('SVS_CANCELLED')
  const { code, message } = err as NodeJS.ErrnoException
  const first = err instanceof AggregateError ? (err.errors[0] as NodeJS.ErrnoException) : null
  const why = first?.message ?? (message === '' ? String(code) : message)
  return new Failure('SVS_REPOSITORY_UNREACHABLE', url.host, plain(why), { cause: err })
}

/** Words of a stranger, as a terminal may show them. */
export const plain = (text: string, most = 300): string =>
  text
    .slice(0, most)
    .replace(/[\p{C}\s]+/gu, ' ')
    .trim()

/** What a server says of a refusal: `errors` of the distribution specification, or its text. */
export async function wordsOf(answer: Answer): Promise<string> {
  const text = await answer.bytes(MOST_WORDS).then(
    (bytes) => bytes.toString(),
    () => '',
  )
  return plain(`${answer.status}${sentence(text)}`)
}

function sentence(text: string): string {
  try {
    const { errors } = JSON.parse(text) as { errors?: { code?: unknown; message?: unknown }[] }
    const [first] = errors ?? []
    if (first !== undefined) return `: ${String(first.message ?? first.code)}`
  } catch {
    // A page for people.
  }
  return text.startsWith('<') || text === '' ? '' : `: ${text}`
}

function systemCertificates(): string[] {
  const path = SYSTEM_CERTIFICATES.find((each) => existsSync(each))
  return path === undefined ? [] : [readFileSync(path, 'utf8')]
}

/** What an administrator has put down for one registry, where Docker and others look for it. */
export function certificatesFor(host: string): string[] {
  return ['/etc/docker/certs.d', '/etc/containers/certs.d']
    .map((dir) => join(dir, host, 'ca.crt'))
    .filter((path) => existsSync(path))
    .map((path) => readFileSync(path, 'utf8'))
}
