// Images that are mounted inside of the store, each served by a thread of its own: what the mounts
// of frozen layers are stacked from.
//
//   ImageServer.start ─▶ run/views/image-<id>-<n>   the writable sublayer at the instant, with its marks
//
// Rule: belongs to the main thread. Whoever has it ends what looks at it first. A thread that ends too
// early takes its mount along: nobody may wait for an answer that does not come.

import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { MessageChannel, Worker } from 'node:worker_threads'
import { Failure } from '../base/failure.ts'
import { failureFrom } from '../base/failure-data.ts'
import type { Log } from '../base/log.ts'
import { bytesOf } from '../base/path.ts'
import { endThreads } from '../host/end-threads.ts'
import { mountFuse, unmountFuse } from '../host/mount.ts'
import { sys } from '../host/sys.ts'
import { ownPrefix } from '../layer/marks.ts'
import type { ImageDirs } from '../snapshot/image.ts'
import type { FromImageThread, ImageThreadData, ToImageThread } from './image-thread.ts'
import type { StorePlaces } from './store-path.ts'

export class ImageServer {
  /** Where it is mounted: host path. */
  readonly at: string
  readonly #worker: Worker
  #device = -1

  private constructor(at: string, worker: Worker) {
    this.at = at
    this.#worker = worker
  }

  /** Reads the image and mounts it. Throws SVS_FREEZE_FAILED where it could not be kept. */
  static async start(
    places: StorePlaces,
    id: string,
    dirs: ImageDirs,
    log: Log,
  ): Promise<ImageServer> {
    const at = mkdtempSync(join(places.views, `image-${id}-`))
    const { port1, port2 } = new MessageChannel()
    const workerData: ImageThreadData = { dirs, prefix: ownPrefix(), port: port2, logFd: 2 }
    const url = new URL('./image-thread.js', import.meta.url)
    const worker = new Worker(url, { workerData, transferList: [port2], name: 'image' })
    const server = new ImageServer(at, worker)
    worker.on('error', (err) => {
      log.error(`the image at ${at} ended`, err)
      server.#abort()
    })
    const next = () => nextOf(port1, worker)
    try {
      await next()
      server.#device = mountFuse({
        mountPoint: bytesOf(at),
        source: 'svsfs-image',
        readOnly: true,
        allowOther: false,
      })
      port1.postMessage({ device: server.#device } satisfies ToImageThread)
      await next()
      port1.unref()
      return server
    } catch (err) {
      await server.stop()
      throw err
    }
  }

  /** Takes it away; nothing looks at it any more. */
  async stop(): Promise<void> {
    if (this.#device !== -1) unmountFuse(bytesOf(this.at), true)
    await endThreads([this.#worker])
    this.#abort()
    rmSync(this.at, { recursive: true, force: true })
  }

  /** At once, for the end of the process. */
  detach(): void {
    if (this.#device !== -1) unmountFuse(bytesOf(this.at), true)
  }

  // Without its device the mount answers everybody ENOTCONN.
  #abort(): void {
    if (this.#device !== -1) sys.close(this.#device)
    this.#device = -1
  }
}

function nextOf(port: MessageChannel['port1'], worker: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (act: () => void) => {
      port.removeAllListeners('message')
      worker.off('exit', ended)
      act()
    }
    const ended = () => done(() => reject(new Failure('SVS_INTERNAL', 'the image thread ended')))
    worker.once('exit', ended)
    port.on('message', (message: FromImageThread) => {
      if (message.kind === 'failed') done(() => reject(failureFrom(message.failure)))
      else done(resolve)
    })
  })
}
