// The kernel-call thread as the thread of the union sees it.
//
//   const { worker, port } = startKernelThread(waker)      in the main thread; the port moves
//   const kernel = new KernelCalls(port)                   in the union's thread
//   kernel.call({ kind: 'sync', mountPoint }, (outcome) => ...)
//   onMessages: () => { kernel.receive(); ... }            or kernel.listen(), as Jobs
//
// Rule: calls are done one after the other, in the order they were made; so what is said
// after a call's answer was done after the call. Nobody waits: the answer is a callback.

import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { Errno } from '../base/errno.ts'
import { Failure } from '../base/failure.ts'
import type { KernelAnswer, KernelCall, KernelRequest, KernelThreadData } from './kernel-thread.ts'
import type { Waker } from './waker.ts'

/** What a call came to: its value, or what it threw (a Failure or an Errno). */
export type Outcome = { readonly value: number } | { readonly error: Error }

export class KernelCalls {
  /** The thread's number, for Session.kernelTid; 0 until it is announced. */
  tid = 0
  /** Called once the thread's number is known. */
  onTid: ((tid: number) => void) | null = null
  readonly #port: MessagePort
  readonly #waiting = new Map<number, (outcome: Outcome) => void>()
  #ticket = 0

  constructor(port: MessagePort) {
    this.#port = port
  }

  /** Calls without an answer yet. */
  get pending(): number {
    return this.#waiting.size
  }

  call(call: KernelCall, done: (outcome: Outcome) => void): void {
    const ticket = ++this.#ticket
    this.#waiting.set(ticket, done)
    this.#port.postMessage({ ticket, call } satisfies KernelRequest)
  }

  /** Takes in what the thread answered. Never waits. */
  receive(): void {
    const port = this.#port
    for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port)) {
      this.#take(next.message as KernelAnswer)
    }
  }

  /** Takes answers in as Node's own loop delivers them. */
  listen(): void {
    this.#port.on('message', (answer: KernelAnswer) => this.#take(answer))
  }

  /** No more calls: the thread ends by itself. */
  close(): void {
    this.#port.close()
  }

  #take(answer: KernelAnswer): void {
    if ('tid' in answer) {
      this.tid = answer.tid
      this.onTid?.(answer.tid)
      return
    }
    const done = this.#waiting.get(answer.ticket)
    this.#waiting.delete(answer.ticket)
    done?.('value' in answer ? { value: answer.value } : { error: errorOf(answer) })
  }
}

function errorOf(answer: Extract<KernelAnswer, { errno: number }>): Error {
  const error = answer.code === null ? new Errno(answer.errno) : (new Failure(answer.code) as Error)
  error.message = answer.message
  return error
}

/** Starts the thread, and makes the port by which one other thread calls it. */
export function startKernelThread(waker: Waker | null): { worker: Worker; port: MessagePort } {
  const { port1, port2 } = new MessageChannel()
  const workerData: KernelThreadData = { port: port2, waker }
  const worker = new Worker(new URL('./kernel-thread.js', import.meta.url), {
    workerData,
    transferList: [port2],
  })
  return { worker, port: port1 }
}
