// One state shown at a mount point, by two threads of its own: one answers the kernel, one reads.
//
//   StateServer.start ─▶ reader thread: the state's root ─▶ mounted ─▶ state thread serves it
//   questions about the catalogue ─▶ answered here, because it belongs to the main thread
//
// Rule: belongs to the main thread, which therefore never looks into such a mount itself. A thread
// that ends too early takes the mount along: nobody may wait for an answer that does not come.

import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import { Failure } from '../base/failure.ts'
import { failureFrom } from '../base/failure-data.ts'
import { bytesOf, type RelPath } from '../base/path.ts'
import { makeWaker, type Waker, wake } from '../fuse/waker.ts'
import { endThreads } from '../host/end-threads.ts'
import { mountFuse, unmountFuse } from '../host/mount.ts'
import { sys } from '../host/sys.ts'
import { answerAsk, type DepotAsk } from '../snapshot/asking.ts'
import type { DepotReader } from '../snapshot/depot.ts'
import type { ReadState, ShownName } from '../snapshot/state-reader.ts'
import type { FromReaderThread, ReaderThreadData } from './state-reader-thread.ts'
import type { FromStateThread, StateThreadData, ToStateThread } from './state-thread.ts'

export interface StateServerOptions {
  readonly mountPoint: string
  /** First field of /proc/mounts. */
  readonly source: string
  readonly allowOther: boolean
  readonly state: ReadState
  readonly depot: DepotReader
  /** A file or a directory cannot be read. */
  readonly onDamage: (path: RelPath, why: string) => void
  /** The mount is gone, and nobody uses it any more: after `umount`, or by itself. */
  readonly onGone: (reason: string) => void
}

export class StateServer {
  readonly #options: StateServerOptions
  readonly #waker: Waker = makeWaker()
  readonly #workers: Worker[] = []
  /** Of the state thread; null before there is one. */
  #serving: MessagePort | null = null
  #device = -1
  #mounted = false
  #stopping: Promise<void> | null = null
  #fail: (err: Error) => void = () => {}
  #ended: () => void = () => {}

  private constructor(options: StateServerOptions) {
    this.#options = options
  }

  /** Mounts it; answers when the kernel was answered. Throws SVS_CHUNK_DAMAGED where its root cannot be read. */
  static async start(options: StateServerOptions): Promise<StateServer> {
    const server = new StateServer(options)
    try {
      await server.#start()
      return server
    } catch (err) {
      await server.stop()
      throw err
    }
  }

  async #start(): Promise<void> {
    const { state, mountPoint, source, allowOther } = this.#options
    const between = new MessageChannel()
    // What the thread that is to have it would close, where that one is never started.
    this.#ended = () => between.port2.close()
    const root = await new Promise<ShownName>((resolve, reject) => {
      this.#fail = reject
      this.#startReader(state, between.port1, resolve)
    })
    await new Promise<void>((resolve, reject) => {
      this.#fail = reject
      const port = this.#startServing(state.ro, between.port2, resolve)
      const wanted = { mountPoint: bytesOf(mountPoint), source, readOnly: true, allowOther }
      this.#device = mountFuse(wanted)
      this.#mounted = true
      port.postMessage({ device: this.#device, root } satisfies ToStateThread)
    })
    this.#fail = (err) => this.#gone(err.message)
  }

  #startReader(state: ReadState, asked: MessagePort, ready: (root: ShownName) => void): void {
    const { depot, onDamage } = this.#options
    const port = this.#thread('state-reader-thread.js', asked, (port) => {
      return { state, asked, port, waker: this.#waker } satisfies ReaderThreadData
    })
    port.on('message', (message: FromReaderThread | DepotAsk) => {
      if (message.kind === 'ask') void answerAsk(depot, message, port)
      else if (message.kind === 'read') ready(message.root)
      else if (message.kind === 'damaged') onDamage(message.path, message.why)
      else this.#fail(failureFrom(message.failure))
    })
  }

  #startServing(ro: string, reader: MessagePort, ready: () => void): MessagePort {
    const port = this.#thread('state-thread.js', reader, (port) => {
      return { reader, port, waker: this.#waker, ro, logFd: 2 } satisfies StateThreadData
    })
    port.on('message', (message: FromStateThread) => {
      if (message.kind === 'served') ready()
      else if (message.kind === 'damaged') this.#options.onDamage(message.path, message.why)
      else {
        if (message.reason === 'unmounted') this.#mounted = false
        this.#fail(new Failure('SVS_INTERNAL', message.reason))
      }
    })
    this.#serving = port
    return port
  }

  #thread(file: string, further: MessagePort, dataOf: (port: MessagePort) => unknown): MessagePort {
    const { port1, port2 } = new MessageChannel()
    const worker = new Worker(new URL(`./${file}`, import.meta.url), {
      workerData: dataOf(port2),
      transferList: [port2, further],
      name: file.replace('-thread.js', ''),
    })
    worker.on('error', (err) => this.#broken(err instanceof Error ? err : new Error(String(err))))
    worker.on('exit', () => this.#broken(new Failure('SVS_INTERNAL', `${file} ended`)))
    this.#workers.push(worker)
    return port1
  }

  // Without its device the mount answers everybody ENOTCONN at once; then it is taken away.
  #broken(err: Error): void {
    if (this.#stopping !== null) return
    this.#closeDevice()
    this.#fail(err)
  }

  #gone(reason: string): void {
    if (this.#stopping !== null) return
    this.#options.onGone(reason)
    void this.stop()
  }

  /**
   * Unmounts it. Throws SVS_MOUNT_BUSY, and nothing happened. `lazy`: who still uses it is served until
   * that ends.
   */
  umount(lazy: boolean): void {
    unmountFuse(bytesOf(this.#options.mountPoint), lazy)
    this.#mounted = false
  }

  /** Ends what serves it, whoever still uses it; detaches it where it is mounted. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    this.detach()
    if (this.#serving === null) this.#ended()
    else {
      this.#serving.postMessage({ device: null, root: null } satisfies ToStateThread)
      wake(this.#waker)
    }
    await endThreads(this.#workers)
    this.#closeDevice()
    for (const fd of [this.#waker.eventFd, this.#waker.bellFd]) sys.close(fd)
  }

  /** At once, for the end of the process. */
  detach(): void {
    if (this.#mounted) unmountFuse(bytesOf(this.#options.mountPoint), true)
    this.#mounted = false
  }

  #closeDevice(): void {
    if (this.#device !== -1) sys.close(this.#device)
    this.#device = -1
  }
}
