// The catalogue for a thread that only reads it: each question goes to the main thread, by a port.
//
// Rule: LevelDB belongs to the main thread; `answerAsk` there answers nothing but reading.

import type { MessagePort } from 'node:worker_threads'
import type { DepotReader } from './depot.ts'
import type { Content } from './records.ts'
import { receiveError, type SentError, sendError } from './thread.ts'

export interface DepotAsk {
  readonly kind: 'ask'
  readonly number: number
  /** Null for a chunk. */
  readonly scope: string | null
  readonly id: string
}

export interface ToAsker {
  readonly number: number
  readonly value: unknown
  readonly error: SentError | null
}

export class AskingDepot implements DepotReader {
  readonly #ask: (ask: DepotAsk) => void
  readonly #waiting = new Map<number, (answer: ToAsker) => void>()
  #number = 0

  constructor(ask: (ask: DepotAsk) => void) {
    this.#ask = ask
  }

  take(answer: ToAsker): void {
    this.#waiting.get(answer.number)?.(answer)
    this.#waiting.delete(answer.number)
  }

  async chunk(id: string): Promise<Buffer | null> {
    const bytes = (await this.#wait(null, id)) as Uint8Array | null
    if (bytes === null) return null
    return Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length)
  }

  content(scope: string, id: string): Promise<Content | null> {
    return this.#wait(scope, id) as Promise<Content | null>
  }

  #wait(scope: string | null, id: string): Promise<unknown> {
    const number = this.#number++
    return new Promise((resolve, reject) => {
      this.#waiting.set(number, ({ value, error }) =>
        error === null ? resolve(value) : reject(receiveError(error)),
      )
      this.#ask({ kind: 'ask', number, scope, id })
    })
  }
}

/** In the main thread: what a question is answered with. */
export async function answerAsk(
  depot: DepotReader,
  { number, scope, id }: DepotAsk,
  port: MessagePort,
): Promise<void> {
  let answer: ToAsker
  try {
    const value = await (scope === null ? depot.chunk(id) : depot.content(scope, id))
    answer = { number, value, error: null }
  } catch (err) {
    answer = { number, value: null, error: sendError(err) }
  }
  port.postMessage(answer)
}
