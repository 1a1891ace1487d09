// Runs jobs in a snapshot thread, and answers what they ask of the catalogue.
//
//   main:   runJob ── job ─▶ snapshot-thread.ts ── result ─▶
//             depot ◀─ ask ──┘     └─ progress ─▶ onProgress
//
// One idle thread is kept for a while, since starting one costs more than a small snapshot.
//
// Rule: LevelDB belongs to the main thread; a thread that ends early fails its job.

import { Worker } from 'node:worker_threads'
import { ERRNO, errnoOf } from '../base/errno.ts'
import { Failure, type FailureCode } from '../base/failure.ts'
import type { Depot, DepotReader } from './depot.ts'
import type { JobName, JobOf, ResultOf } from './jobs.ts'
import type { Content } from './records.ts'
import type { Progress } from './scan.ts'

/** What a thread asks; each is answered by an Answer of its number. */
export type Ask =
  | { op: 'chunk'; id: string }
  | { op: 'content'; scope: string; id: string }
  | { op: 'putChunk'; id: string; bytes: Uint8Array }
  | { op: 'putContent'; scope: string; id: string; content: Content }

export type FromThread =
  /** Several at a time: a message costs more than what most of them ask for. */
  | { kind: 'asks'; first: number; asks: readonly Ask[] }
  | { kind: 'progress'; progress: Progress }
  | { kind: 'done'; result: unknown }
  | { kind: 'failed'; error: SentError }

export type ToThread =
  | { kind: 'job'; name: JobName; job: unknown }
  | { kind: 'answers'; answers: readonly Answer[] }

export type Answer =
  | { readonly number: number; readonly value: unknown }
  | { readonly number: number; readonly error: SentError }

/** An error as it crosses between threads. */
export interface SentError {
  readonly code: FailureCode | null
  readonly message: string
  readonly stack: string
}

export function sendError(err: unknown): SentError {
  const error = err instanceof Error ? err : new Error(String(err))
  const known = isDiskFull(err) ? new Failure('SVS_DISK_FULL', error.message) : error
  const code = known instanceof Failure ? known.code : null
  return { code, message: known.message, stack: error.stack ?? '' }
}

function isDiskFull(err: unknown): boolean {
  const errno = errnoOf(err)
  return errno === ERRNO.ENOSPC || errno === ERRNO.EDQUOT
}

export function receiveError({ code, message, stack }: SentError): Error {
  const error = code === null ? new Error(message) : new Failure(code)
  error.message = message
  error.stack = stack
  return error
}

/** How long an idle thread is kept. */
const IDLE_MS = 20_000

let idle: { worker: Worker; timer: NodeJS.Timeout } | null = null

function takeWorker(): Worker {
  if (idle === null) return startWorker()
  const { worker, timer } = idle
  idle = null
  clearTimeout(timer)
  forget(worker)
  worker.ref()
  return worker
}

// Found beside this file, with the extension that this file runs by.
function startWorker(): Worker {
  const extension = import.meta.url.slice(import.meta.url.lastIndexOf('.'))
  return new Worker(new URL(`./snapshot-thread${extension}`, import.meta.url), {
    name: 'snapshot',
  })
}

// By name: a Worker has listeners of its own, which make its port run.
function forget(worker: Worker): void {
  for (const event of ['message', 'error', 'exit']) worker.removeAllListeners(event)
}

function keepWorker(worker: Worker): void {
  forget(worker)
  if (idle !== null) {
    void worker.terminate()
    return
  }
  worker.unref()
  const drop = () => {
    if (idle?.worker === worker) idle = null
    void worker.terminate()
  }
  worker.on('error', drop)
  idle = { worker, timer: setTimeout(drop, IDLE_MS).unref() }
}

/** Starts a thread for the job that is about to come. */
export function warmThread(): void {
  if (idle === null) keepWorker(startWorker())
}

/** Runs one job to its end. Throws what it threw; Failures stay Failures. */
export function runJob<Name extends JobName>(
  name: Name,
  job: JobOf<Name>,
  depot: DepotReader | Depot,
  onProgress: (progress: Progress) => void = () => {},
): Promise<ResultOf<Name>> {
  const worker = takeWorker()
  const answers = new Answers(worker, depot)
  return new Promise((resolve, reject) => {
    const fail = (err: unknown) => {
      void worker.terminate()
      reject(
        err instanceof Failure ? err : new Failure('SVS_INTERNAL', messageOf(err), { cause: err }),
      )
    }
    worker.on('error', fail)
    worker.on('exit', (status) => fail(new Error(`snapshot thread ended with ${status}`)))
    worker.on('message', (message: FromThread) => {
      switch (message.kind) {
        case 'asks':
          return answers.begin(message.first, message.asks)
        case 'progress':
          return onProgress(message.progress)
        case 'done':
          keepWorker(worker)
          return resolve(message.result as ResultOf<Name>)
        case 'failed':
          keepWorker(worker)
          return reject(receiveError(message.error))
      }
    })
    worker.postMessage({ kind: 'job', name, job } satisfies ToThread)
  })
}

const messageOf = (err: unknown): string => (err instanceof Error ? err.message : String(err))

/** Answers in the order in which they are had, those of one turn together. */
class Answers {
  readonly #worker: Worker
  readonly #depot: DepotReader
  #ready: Answer[] = []

  constructor(worker: Worker, depot: DepotReader) {
    this.#worker = worker
    this.#depot = depot
  }

  begin(first: number, asks: readonly Ask[]): void {
    for (const [at, ask] of asks.entries()) void this.#answer(first + at, ask)
  }

  async #answer(number: number, ask: Ask): Promise<void> {
    let answer: Answer
    try {
      answer = { number, value: await obey(this.#depot, ask) }
    } catch (err) {
      answer = { number, error: sendError(err) }
    }
    if (this.#ready.push(answer) === 1) setImmediate(() => this.#send())
  }

  #send(): void {
    const answers = this.#ready
    this.#ready = []
    this.#worker.postMessage({ kind: 'answers', answers } satisfies ToThread)
  }
}

function obey(depot: DepotReader, ask: Ask): Promise<unknown> {
  switch (ask.op) {
    case 'chunk':
      return depot.chunk(ask.id)
    case 'content':
      return depot.content(ask.scope, ask.id)
    case 'putChunk': {
      const { buffer, byteOffset, length } = ask.bytes
      const bytes = Buffer.from(buffer as ArrayBuffer, byteOffset, length)
      return writable(depot).putChunk(ask.id, bytes)
    }
    case 'putContent':
      return writable(depot).putContent(ask.scope, ask.id, ask.content)
  }
}

function writable(depot: DepotReader): Depot {
  if (!('putChunk' in depot)) throw new TypeError('this job may only read')
  return depot as Depot
}
