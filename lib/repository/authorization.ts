// Getting past a registry's "who are you": Basic, or a token of the server that it names.
//
//   401, WWW-Authenticate ─▶ Basic: name and password
//                         └▶ Bearer: GET realm?service=…&scope=… (or POST, with a token that stands for
//                            the user) ─▶ a token for this scope, kept until the registry refuses it
//
// Rule: a password goes over https alone, but where the registry itself was asked without it.

import { Failure } from '../base/failure.ts'
import type { Credentials } from './credentials.ts'
import { type Http, invalid, wordsOf } from './http.ts'

const MOST_TOKEN = 256 * 1024

export class Authorization {
  readonly #http: Http
  readonly #host: string
  readonly #credentials: Credentials | null
  readonly #tokens = new Map<string, string>()
  #basic = false

  constructor(http: Http, host: string, credentials: Credentials | null) {
    this.#http = http
    this.#host = host
    this.#credentials = credentials
  }

  /** What to send without having been asked again; null for nothing yet. */
  header(scope: string): string | null {
    if (this.#basic) return this.#password()
    const token = this.#tokens.get(scope)
    return token === undefined ? null : `Bearer ${token}`
  }

  /** What to send after a refusal. Throws SVS_REPOSITORY_DENIED where there is nothing more to say. */
  async answer(
    challenge: string | null,
    scope: string,
    from: URL,
    again: boolean,
  ): Promise<string> {
    const challenges = challengesOf(challenge ?? '')
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer')
    if (bearer !== undefined && !again) {
      const token = await this.#token(bearer.fields, scope, from)
      this.#tokens.set(scope, token)
      return `Bearer ${token}`
    }
    const password = this.#password()
    if (again || password === null || !challenges.some(({ scheme }) => scheme === 'basic'))
      throw this.#denied('401')
    this.#basic = true
    return password
  }

  #password(): string | null {
    const known = this.#credentials
    if (known === null || 'token' in known) return null
    return `Basic ${Buffer.from(`${known.username}:${known.secret}`).toString('base64')}`
  }

  #denied(why: string): Failure {
    const who =
      this.#credentials === null ? 'without credentials' : 'with the credentials that it has'
    return new Failure('SVS_REPOSITORY_DENIED', this.#host, `${why}, ${who}`)
  }

  async #token(fields: ReadonlyMap<string, string>, scope: string, from: URL): Promise<string> {
    const realm = fields.get('realm') ?? ''
    if (!URL.canParse(realm)) throw invalid(from, 'it names no server for tokens')
    const url = new URL(realm)
    const isSafe =
      url.protocol === 'https:' || (url.protocol === 'http:' && from.protocol === 'http:')
    if (!isSafe) throw invalid(from, 'its server for tokens is not asked over https')
    const service = fields.get('service') ?? null
    const known = this.#credentials
    const answer =
      known !== null && 'token' in known
        ? await this.#http.ask(url, refreshing(known.token, service, scope))
        : await this.#http.ask(withQuery(url, service, scope), {
            method: 'GET',
            authorization: this.#password(),
          })
    if (answer.status !== 200) throw this.#denied(await wordsOf(answer))
    return tokenIn(await answer.bytes(MOST_TOKEN), url)
  }
}

function withQuery(url: URL, service: string | null, scope: string): URL {
  const asked = new URL(url)
  if (service !== null) asked.searchParams.set('service', service)
  for (const one of scope.split(' ')) asked.searchParams.append('scope', one)
  return asked
}

function refreshing(token: string, service: string | null, scope: string) {
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    refresh_token: token,
    client_id: 'svsfs',
    scope,
    ...(service === null ? {} : { service }),
  })
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  return { method: 'POST', headers, body: Buffer.from(form.toString()) } as const
}

function tokenIn(bytes: Buffer, url: URL): string {
  try {
    const { token, access_token } = JSON.parse(bytes.toString()) as Record<string, unknown>
    const found = token ?? access_token
    // What is no header would end up as one.
    if (typeof found === 'string' && /^[\x21-\x7e]+$/.test(found)) return found
  } catch {
    // Said below.
  }
  throw invalid(url, 'its token is none')
}

interface Challenge {
  readonly scheme: string
  readonly fields: ReadonlyMap<string, string>
}

/** `Bearer realm="…",service="…"`, several of them perhaps. */
export function challengesOf(text: string): Challenge[] {
  const found: { scheme: string; fields: Map<string, string> }[] = []
  const field = /([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))|([\w-]+)/g
  for (const [, name, quoted, bare, scheme] of text.slice(0, 8192).matchAll(field)) {
    if (scheme !== undefined) found.push({ scheme: scheme.toLowerCase(), fields: new Map() })
    else
      found.at(-1)?.fields.set(name!.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? bare ?? '')
  }
  return found
}
