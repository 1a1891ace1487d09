// A snapshot thread: does one job after the other (jobs.ts), asking the main thread for what
// the catalogue holds and giving it what is to be stored.
//
// Rule: only so many bytes are on their way at once; then the job waits for the catalogue. What is
// asked while the job does not wait goes out together. Programs, and the thread that serves them,
// come first.

import { getPriority, setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import type { Depot } from './depot.ts'
import { JOBS, type JobName, type Report } from './jobs.ts'
import type { Content } from './records.ts'
import { type Ask, type FromThread, receiveError, sendError, type ToThread } from './thread.ts'

/** Bytes of chunks that may wait for the main thread. */
const ON_THE_WAY = 8 * 1024 * 1024
/** What a content counts as. */
const CONTENT_BYTES = 1024
/** So many questions go out without waiting for more. */
const MOST_ASKS = 32
const REPORT_MS = 100

/** As nice(1) has it: on Linux, of this thread alone. */
const NICE = 5

// Who is nicer already stays so: only root may become less nice.
if (getPriority() < NICE) setPriority(NICE)
const port = parentPort!
const post = (message: FromThread, transfer: ArrayBuffer[] = []) =>
  port.postMessage(message, transfer)

interface Waiting {
  readonly resolve: (value: unknown) => void
  readonly reject: (err: Error) => void
}

const waiting = new Map<number, Waiting>()
let asked = 0
let asks: Ask[] = []
let giving: ArrayBuffer[] = []

function ask<T>(question: Ask, transfer: ArrayBuffer[] = []): Promise<T> {
  const number = asked++
  return new Promise<T>((resolve, reject) => {
    waiting.set(number, { resolve: resolve as (value: unknown) => void, reject })
    giving.push(...transfer)
    const count = asks.push(question)
    if (count >= MOST_ASKS) send()
    else if (count === 1) setImmediate(send)
  })
}

function send(): void {
  if (asks.length === 0) return
  const [together, given] = [asks, giving]
  asks = []
  giving = []
  post({ kind: 'asks', first: asked - together.length, asks: together }, given)
}

/** The catalogue, as this thread reaches it. */
class RemoteDepot implements Depot {
  /** How much is on its way, and who waits until that is less. */
  #puts = 0
  #bytes = 0
  #waiting: (() => void)[] = []
  /** Chunks that may not have been taken yet. */
  readonly #chunks = new Map<string, Promise<void>>()
  #failed: unknown = null

  async chunk(id: string): Promise<Buffer | null> {
    // What this thread stored a moment ago must be there.
    await this.#chunks.get(id)
    if (this.#failed !== null) throw this.#failed
    const bytes = await ask<Uint8Array | null>({ op: 'chunk', id })
    if (bytes === null) return null
    return Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length)
  }

  content(scope: string, id: string): Promise<Content | null> {
    return ask({ op: 'content', scope, id })
  }

  async putChunk(id: string, bytes: Buffer): Promise<void> {
    const size = bytes.length
    const own = bytes.byteLength === bytes.buffer.byteLength
    const transfer = own ? [bytes.buffer as ArrayBuffer] : []
    const put = this.#track(ask({ op: 'putChunk', id, bytes }, transfer), size)
    this.#chunks.set(id, put)
    void put.then(() => this.#chunks.delete(id))
    await this.#room()
  }

  async putContent(scope: string, id: string, content: Content): Promise<void> {
    void this.#track(ask({ op: 'putContent', scope, id, content }), CONTENT_BYTES)
    await this.#room()
  }

  /** Waits until everything put has been taken. Throws where something was not. */
  async settle(): Promise<void> {
    while (this.#puts > 0) await this.#less()
    if (this.#failed !== null) throw this.#failed
  }

  // The rest goes on its way while this thread works.
  async #room(): Promise<void> {
    while (this.#bytes > ON_THE_WAY) await this.#less()
    if (this.#failed !== null) throw this.#failed
  }

  #less(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  async #track(put: Promise<void>, size: number): Promise<void> {
    this.#puts += 1
    this.#bytes += size
    try {
      await put
    } catch (err) {
      this.#failed ??= err
    }
    this.#puts -= 1
    this.#bytes -= size
    if (this.#puts > 0 && this.#bytes > ON_THE_WAY) return
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

function reporter(): Report {
  let last = Date.now()
  return (progress) => {
    const now = Date.now()
    if (now - last < REPORT_MS) return
    last = now
    post({ kind: 'progress', progress })
  }
}

async function run(name: JobName, job: unknown): Promise<void> {
  const depot = new RemoteDepot()
  try {
    const work = JOBS[name] as (job: unknown, depot: Depot, report: Report) => Promise<unknown>
    const result = await work(job, depot, reporter())
    await depot.settle()
    post({ kind: 'done', result })
  } catch (err) {
    // Nothing of a failed job may still be asking when the next one begins.
    await depot.settle().catch(() => {})
    post({ kind: 'failed', error: sendError(err) })
  }
}

port.on('message', (message: ToThread) => {
  if (message.kind === 'job') return void run(message.name, message.job)
  for (const answer of message.answers) {
    const who = waiting.get(answer.number)
    waiting.delete(answer.number)
    if ('error' in answer) who?.reject(receiveError(answer.error))
    else who?.resolve(answer.value)
  }
})
