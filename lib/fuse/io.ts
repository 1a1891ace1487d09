// Io threads as the thread of the union sees them.
//
//   const io = new IoThreads(3, waker)                 in the main thread; io.ports move to the union's
//   const jobs = new Jobs(ports, wanted)               there; `wanted` has io.start called
//   new Session({ submit: jobs.submit, ... })
//   onMessages: () => { jobs.receive(); ... }          the loop was woken
//   jobs.listen()                                      instead, where Node's own loop runs
//
// Rule: `done` is called in the thread that submitted, after the job says so itself.

import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import type { Job, JobWork } from './filesystem.ts'
import type { IoAnswer, IoRequest, IoThreadData } from './io-thread.ts'
import type { Waker } from './waker.ts'

interface Given {
  readonly job: Job
  readonly done: ((job: Job) => void)[]
  /** Which thread has it. */
  readonly thread: number
}

export class Jobs {
  readonly #ports: readonly MessagePort[]
  readonly #load: number[]
  readonly #given = new Map<number, Given>()
  readonly #byJob = new Map<Job, Given>()
  readonly #wanted: (thread: number) => void
  readonly #used = new Set<number>()
  #ticket = 0

  /** `wanted` is told of a thread's first job: it may not run yet, its port keeps what it is sent. */
  constructor(ports: readonly MessagePort[], wanted: (thread: number) => void = () => {}) {
    this.#ports = ports
    this.#load = ports.map(() => 0)
    this.#wanted = wanted
  }

  /** Jobs that are not done. */
  get pending(): number {
    return this.#given.size
  }

  /** Gives the job to a thread, the one that has least to do; one that is under way gets one more to tell. */
  readonly submit = (job: Job, done: (job: Job) => void): void => {
    const known = this.#byJob.get(job)
    if (known !== undefined) {
      known.done.push(done)
      return
    }
    const thread = this.#threadFor(job)
    const ticket = ++this.#ticket
    const given: Given = { job, done: [done], thread }
    this.#given.set(ticket, given)
    this.#byJob.set(job, given)
    this.#load[thread]!++
    this.#ports[thread]!.postMessage({ ticket, work: workOf(job) } satisfies IoRequest)
    if (this.#used.has(thread)) return
    this.#used.add(thread)
    this.#wanted(thread)
  }

  // A flush ends when the kernel's writes are answered, and those may wait for any other job: it
  // gets a thread, the last, that has nothing else to do.
  #threadFor(job: Job): number {
    const last = this.#ports.length - 1
    if (last === 0 || job.kind === 'flush') return last
    const others = this.#load.slice(0, last)
    return others.indexOf(Math.min(...others))
  }

  /** Nobody waits for the job any more: it ends soon, with ECANCELED where it was not done before. */
  readonly cancel = (job: Job): void => {
    for (const [ticket, given] of this.#given) {
      if (given.job !== job) continue
      this.#ports[given.thread]!.postMessage({ ticket, work: null } satisfies IoRequest)
    }
  }

  /** Takes in what the threads answered. Never waits. */
  receive(): void {
    for (const port of this.#ports) {
      for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port)) {
        this.#take(next.message as IoAnswer)
      }
    }
  }

  /** Takes answers in as Node's own loop delivers them. */
  listen(): void {
    for (const port of this.#ports) port.on('message', (answer: IoAnswer) => this.#take(answer))
  }

  /** No more jobs: the threads end by themselves when their ports are closed. */
  close(): void {
    for (const port of this.#ports) port.close()
  }

  #take({ ticket, error }: IoAnswer): void {
    const given = this.#given.get(ticket)
    if (given === undefined) return
    this.#given.delete(ticket)
    this.#byJob.delete(given.job)
    this.#load[given.thread]!--
    given.job.error = error
    given.job.done = true
    for (const done of given.done) done(given.job)
  }
}

function workOf(job: Job): JobWork {
  const { id: _id, error: _error, done: _done, ...work } = job
  return work
}

/** Io threads, each started when it is wanted: one that has no work takes 8 MiB all the same. */
export class IoThreads {
  /** By which one other thread gives them work. */
  readonly ports: readonly MessagePort[]
  /** Those that were started. */
  readonly workers: Worker[] = []
  readonly #waker: Waker | null
  readonly #own: (MessagePort | null)[]

  /** `waker` of the loop that gives the work; null where the ports are enough to wake it. */
  constructor(count: number, waker: Waker | null) {
    const channels = Array.from({ length: count }, () => new MessageChannel())
    this.ports = channels.map(({ port1 }) => port1)
    this.#own = channels.map(({ port2 }) => port2)
    this.#waker = waker
  }

  /** Starts one of them. Answers it, or null where it runs already. */
  start(thread: number): Worker | null {
    const port = this.#own[thread] ?? null
    if (port === null) return null
    this.#own[thread] = null
    const workerData: IoThreadData = { port, waker: this.#waker }
    const url = new URL('./io-thread.js', import.meta.url)
    const worker = new Worker(url, { workerData, transferList: [port] })
    this.workers.push(worker)
    return worker
  }
}
