// The fuse thread: the engine in a thread of its own, in one synchronous loop.
//
//   main thread ── port + waker ──▶ loop ─▶ EngineCore
//
// Rule: this thread never yields to Node's own loop until it ends, so messages are taken with
// receiveMessageOnPort after a wake, and its log is written with write(2).

import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { type FailureData, failureData } from '../base/failure-data.ts'
import { logTo } from '../base/log.ts'
import { Jobs } from '../fuse/io.ts'
import { KernelCalls } from '../fuse/kernel-calls.ts'
import { Loop } from '../fuse/loop.ts'
import type { Waker } from '../fuse/waker.ts'
import { dropResourcePrivilege, ownUmask, raiseFileLimit } from '../host/thread.ts'
import type { EngineCalls, EngineEvent } from './engine-api.ts'
import { EngineCore } from './engine-core.ts'
import { directly } from './link-direct.ts'

/**
 * Microseconds for which the devices are asked before the thread sleeps: waking an idle core is
 * most of a request (measured by `npm run bench`: on idle cores half the time of a lookup).
 */
const SPIN = 100

export interface FuseThreadData {
  readonly port: MessagePort
  readonly kernelPort: MessagePort
  readonly ioPorts: readonly MessagePort[]
  readonly waker: Waker
  readonly logFd: number
}

export type ToFuseThread =
  | { readonly ticket: number; readonly name: keyof EngineCalls; readonly args: unknown[] }
  | { readonly stop: true }

export type FromFuseThread =
  | { readonly ticket: number; readonly value: unknown }
  | { readonly ticket: number; readonly failure: FailureData }
  | { readonly event: EngineEvent }
  | { readonly stopped: true }
  /** The io thread that is to be started. */
  | { readonly wanted: number }

function main({ port, kernelPort, ioPorts, waker, logFd }: FuseThreadData): void {
  raiseFileLimit()
  dropResourcePrivilege()
  ownUmask()
  const log = logTo(logFd, 'fuse')
  const post = (message: FromFuseThread) => port.postMessage(message)
  const jobs = new Jobs(ioPorts, (wanted) => post({ wanted }))
  const kernel = new KernelCalls(kernelPort)
  const loop = new Loop({ waker, spin: SPIN, onMessages: () => receive() })
  const core = new EngineCore({
    log,
    kernel,
    connect: directly({
      log,
      kernel,
      jobs,
      after: (milliseconds, act) => loop.after(milliseconds, act),
      serve: (session) => loop.add(session),
    }),
    emit: (event) => post({ event }),
    later: (act) => loop.soon(act),
    submit: jobs.submit,
  })

  function receive(): void {
    jobs.receive()
    kernel.receive()
    for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port)) {
      take(next.message as ToFuseThread)
    }
  }

  function take(message: ToFuseThread): void {
    if ('stop' in message) {
      core.stop(() => loop.stop())
      return
    }
    const { ticket, name, args } = message
    core.call(name, args, (outcome) => {
      post(
        'error' in outcome
          ? { ticket, failure: failureData(outcome.error) }
          : { ticket, value: outcome.value },
      )
    })
  }

  loop.run()
  jobs.close()
  kernel.close()
  post({ stopped: true })
  port.close()
}

if (parentPort !== null) main(workerData as FuseThreadData)
