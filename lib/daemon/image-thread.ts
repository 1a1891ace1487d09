// The thread of one image: reads its names, then serves it as a mounted filesystem.
//
//   main ── dirs ─▶ this thread ── names are read ─▶ main mounts ── device ─▶ served until unmounted
//
// It has a thread of its own because the thread of the union walks through this mount, and would
// wait for itself. This one looks at the disk alone, never through a mount of this process.
//
// Rule: while it serves it never yields to Node's own loop; it ends when the mount is gone.

import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { type FailureData, failureData } from '../base/failure-data.ts'
import { logTo } from '../base/log.ts'
import { Loop } from '../fuse/loop.ts'
import { Session } from '../fuse/session.ts'
import { StillFiles, type StillTree } from '../fuse/still-files.ts'
import type { MarkPrefix } from '../layer/marks.ts'
import type { ImageDirs } from '../snapshot/image.ts'
import { imageTree } from '../snapshot/image-tree.ts'

export interface ImageThreadData {
  readonly dirs: ImageDirs
  readonly prefix: MarkPrefix
  readonly port: MessagePort
  readonly logFd: number
}

export type FromImageThread =
  | { readonly kind: 'read' }
  | { readonly kind: 'served' }
  | { readonly kind: 'failed'; readonly failure: FailureData }

/** `device`: an open /dev/fuse that is mounted; null: it is not wanted any more. */
export interface ToImageThread {
  readonly device: number | null
}

function serve(tree: StillTree, device: number, { port, logFd }: ImageThreadData): void {
  const loop = new Loop({ onMessages: () => {} })
  const session = new Session({
    fs: new StillFiles(tree),
    device,
    log: logTo(logFd, 'image'),
    submit: () => {
      throw new TypeError('nothing is put aside here')
    },
    onReady: () => port.postMessage({ kind: 'served' } satisfies FromImageThread),
    onEnded: () => loop.stop(),
    writeback: false,
  })
  loop.add(session)
  loop.run()
}

function main(data: ImageThreadData): void {
  const { port } = data
  const post = (message: FromImageThread) => port.postMessage(message)
  try {
    const tree = imageTree(data.dirs, data.prefix)
    port.once('message', ({ device }: ToImageThread) => {
      if (device === null) tree.close()
      else serve(tree, device, data)
      port.close()
    })
    post({ kind: 'read' })
  } catch (err) {
    post({ kind: 'failed', failure: failureData(err instanceof Error ? err : new Error(`${err}`)) })
    port.close()
  }
}

if (parentPort !== null) main(workerData as ImageThreadData)
