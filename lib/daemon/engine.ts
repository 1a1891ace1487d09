// The engine as the daemon's main thread has it: calls in, answers and events out.
//
//   direct        a fuse thread with its loop; a kernel-call thread; three io threads, each once there is work for it
//   fuse-native   the same core in this thread, because that library needs the process's own loop
//
// Rule: an answer is a promise; nothing here waits for the union.

import { EventEmitter } from 'node:events'
import { setFlagsFromString } from 'node:v8'
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import { failureFrom } from '../base/failure-data.ts'
import type { Log } from '../base/log.ts'
import { IoThreads } from '../fuse/io.ts'
import { startKernelThread } from '../fuse/kernel-calls.ts'
import { makeWaker, wake } from '../fuse/waker.ts'
import { endThreads } from '../host/end-threads.ts'
import type { Engine, EngineCalls, EngineEvent, MountSpec } from './engine-api.ts'
import type { FromFuseThread, FuseThreadData, ToFuseThread } from './fuse-thread.ts'

/** The last one is for what waits for requests (Jobs). */
const IO_THREADS = 3

/**
 * MiB that the fuse thread may fill with new objects before V8 looks which of them live (48 by
 * default), and percent by which what lived may grow before it looks again (up to 300). Measured:
 * a walk costs no more time, and much less memory, most of all where the kernel forgets.
 */
const YOUNG = 12
const GROWTH = 50

/**
 * Each function is compiled at its first call, without optimizing, where V8 would interpret it first.
 * Measured: unpacking 5,000 files through a new mount (`npm run bench -- mount --rows work`) takes an
 * eighth less time.
 */
const COMPILER = '--always-sparkplug'

/** Starts an engine for mounts of one transport. `logFd` is where its threads write their log. */
export async function createEngine(options: {
  log: Log
  logFd?: number
  transport: MountSpec['transport']
}): Promise<Engine> {
  const { log, logFd = 2, transport } = options
  if (transport === 'direct') return new ThreadedEngine(log, logFd).engine
  const { createNativeEngine } = await import('./engine-native.ts')
  return createNativeEngine(log)
}

const CALLS: readonly (keyof EngineCalls)[] = [
  'mount',
  'umount',
  'restack',
  'freeze',
  'recall',
  'freezes',
  'thaw',
  'settle',
  'openFiles',
  'applyRedo',
  'which',
  'uses',
  'stats',
]

/** An Engine whose calls all go through one function. */
export function engineOf(
  call: (name: keyof EngineCalls, args: unknown[]) => Promise<unknown>,
  events: EventEmitter,
  stop: () => Promise<void>,
): Engine {
  const calls = CALLS.map((name) => [name, (...args: unknown[]) => call(name, args)])
  return {
    ...(Object.fromEntries(calls) as Pick<Engine, keyof EngineCalls>),
    onEvent: (listener: (event: EngineEvent) => void) => void events.on('event', listener),
    stop,
  }
}

class ThreadedEngine {
  readonly engine: Engine
  readonly #log: Log
  readonly #events = new EventEmitter()
  readonly #waker = makeWaker()
  readonly #port: MessagePort
  readonly #workers: Worker[]
  readonly #io: IoThreads
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  readonly #stopped = withResolvers<void>()
  #ticket = 0
  #stopping = false
  /** Why it serves nobody any more: also who calls later is told. */
  #failed: Error | null = null

  constructor(log: Log, logFd: number) {
    this.#log = log
    for (const flag of [COMPILER, `--heap-growing-percent=${GROWTH}`]) setFlagsFromString(flag)
    const kernel = startKernelThread(this.#waker)
    this.#io = new IoThreads(IO_THREADS, this.#waker)
    const ioPorts = this.#io.ports
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    const workerData: FuseThreadData = {
      port: port2,
      kernelPort: kernel.port,
      ioPorts,
      waker: this.#waker,
      logFd,
    }
    const fuse = new Worker(new URL('./fuse-thread.js', import.meta.url), {
      workerData,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG },
      transferList: [port2, kernel.port, ...ioPorts],
    })
    this.#workers = [fuse, kernel.worker]
    this.#port.on('message', (message: FromFuseThread) => this.#take(message))
    for (const worker of this.#workers) worker.on('error', (err) => this.#died(err))
    this.engine = engineOf(
      (name, args) => this.#call(name, args),
      this.#events,
      () => this.#stop(),
    )
  }

  #call(name: keyof EngineCalls, args: unknown[]): Promise<unknown> {
    if (this.#failed !== null) return Promise.reject(this.#failed)
    const ticket = ++this.#ticket
    const answer = withResolvers<unknown>()
    this.#waiting.set(ticket, answer)
    this.#send({ ticket, name, args })
    return answer.promise
  }

  #send(message: ToFuseThread): void {
    this.#port.postMessage(message)
    wake(this.#waker)
  }

  #take(message: FromFuseThread): void {
    if ('event' in message) this.#events.emit('event', message.event)
    else if ('stopped' in message) this.#stopped.resolve()
    else if ('wanted' in message)
      this.#io.start(message.wanted)?.on('error', (err) => this.#died(err))
    else {
      const answer = this.#waiting.get(message.ticket)
      this.#waiting.delete(message.ticket)
      if ('failure' in message) answer?.reject(failureFrom(message.failure))
      else answer?.resolve(message.value)
    }
  }

  // Without its threads every user of a mount would hang: the daemon detaches what it serves
  // and ends, on this event.
  #died(err: Error): void {
    if (this.#stopping) return
    this.#failed = err
    this.#log.error('a thread of the engine ended', err)
    for (const answer of this.#waiting.values()) answer.reject(err)
    this.#waiting.clear()
    this.#events.emit('event', { kind: 'failed', id: 0, reason: err.message } satisfies EngineEvent)
    this.#stopped.resolve()
  }

  async #stop(): Promise<void> {
    this.#stopping = true
    this.#send({ stop: true })
    await this.#stopped.promise
    this.#port.close()
    await endThreads([...this.#workers, ...this.#io.workers])
  }
}

interface PromiseWithResolvers<T> {
  promise: Promise<T>
  resolve: (value: T) => void
  reject: (error: Error) => void
}

function withResolvers<T>(): PromiseWithResolvers<T> {
  let resolve: (value: T) => void = () => {}
  let reject: (error: Error) => void = () => {}
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
