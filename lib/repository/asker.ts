// Questions to one server, with who we are where it wants to know, and again where it was too busy.
//
// Rule: only the server itself is told who we are; a question that changes something is not asked twice
// but where the server has not looked at it (401).

import { setTimeout as sleep } from 'node:timers/promises'
import { Failure } from '../base/failure.ts'
import type { Authorization } from './authorization.ts'
import { type Answer, type Http, type Question, wordsOf } from './http.ts'

export type Asked = Omit<Question, 'authorization' | 'body'> & {
  /** Made anew for each time that it is sent. */
  readonly body?: () => NonNullable<Question['body']>
}

const BUSY = new Set([429, 502, 503, 504])
const BUSY_ATTEMPTS = 4
const LONGEST_PAUSE_MS = 10_000

export class Asker {
  readonly http: Http
  readonly #authorization: Authorization
  readonly #origin: string

  constructor(http: Http, authorization: Authorization, origin: string) {
    this.http = http
    this.#authorization = authorization
    this.#origin = origin
  }

  /** `scope`: what a token must allow. Throws SVS_REPOSITORY_DENIED, SVS_REPOSITORY_UNREACHABLE. */
  async ask(url: URL, asked: Asked, scope: string): Promise<Answer> {
    const isOwn = url.origin === this.#origin
    let authorization = isOwn ? this.#authorization.header(scope) : null
    let isDenied = false
    for (let busy = 1; ; ) {
      const { body, ...rest } = asked
      const sent = body === undefined ? rest : { ...rest, body: body() }
      const answer = await this.http.ask(url, { ...sent, authorization })
      if (answer.status === 401 && isOwn && answer.url.origin === this.#origin) {
        await answer.skip()
        // Nobody has said who we are yet, or a token has run out: said once, and no more.
        const challenge = answer.header('www-authenticate')
        authorization = await this.#authorization.answer(challenge, scope, url, isDenied)
        isDenied = true
        continue
      }
      const mayRepeat = asked.method === 'GET' || asked.method === 'HEAD'
      if (!BUSY.has(answer.status) || !mayRepeat || busy++ >= BUSY_ATTEMPTS) return answer
      const wished = Number(answer.header('retry-after') ?? Number.NaN) * 1000
      await answer.skip()
      await sleep(Math.min(wished >= 0 ? wished : 100 * 2 ** busy, LONGEST_PAUSE_MS))
    }
  }
}

/** What a server's refusal is to people. */
export async function refusal(answer: Answer, name: string): Promise<Failure> {
  const words = await wordsOf(answer)
  if (answer.status === 401 || answer.status === 403)
    return new Failure('SVS_REPOSITORY_DENIED', name, words)
  return new Failure('SVS_REPOSITORY_REFUSED', name, words)
}
