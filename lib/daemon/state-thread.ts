// The thread that serves one mounted state to the kernel.
//
//   main ── device ─▶ this thread ── question ─▶ reader thread (state-reader-thread.ts)
//                          ▲ wake ◀── answer ────┘
//
// Rule: it never waits for anybody but the kernel, so that names that are known are answered while bytes
// are being made. While it serves it never yields to Node's own loop; it ends when the mount is gone.

import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { logTo } from '../base/log.ts'
import type { RelPath } from '../base/path.ts'
import { Loop } from '../fuse/loop.ts'
import { Session } from '../fuse/session.ts'
import { StillFiles } from '../fuse/still-files.ts'
import type { Waker } from '../fuse/waker.ts'
import { Below } from '../snapshot/below.ts'
import { type Answered, LateTree } from '../snapshot/late-tree.ts'
import type { ShownName } from '../snapshot/state-reader.ts'

export interface StateThreadData {
  /** Of the reader thread. */
  readonly reader: MessagePort
  readonly port: MessagePort
  readonly waker: Waker
  /** The read-only tree that the state was made on: internal path. */
  readonly ro: string
  readonly logFd: number
}

export type FromStateThread =
  /** The kernel's first request was answered. */
  | { readonly kind: 'served' }
  /** A file cannot be read. */
  | { readonly kind: 'damaged'; readonly path: RelPath; readonly why: string }
  | { readonly kind: 'ended'; readonly reason: string }

/** `device`: an open /dev/fuse that is mounted. Without one: it is to end. */
export type ToStateThread =
  | { readonly device: number; readonly root: ShownName }
  | { readonly device: null; readonly root: null }

function serve(device: number, root: ShownName, data: StateThreadData): void {
  const { reader, port, waker, ro, logFd } = data
  const post = (message: FromStateThread) => port.postMessage(message)
  const tree = new LateTree(
    root,
    new Below(ro, null),
    (asked) => reader.postMessage(asked),
    (path, why) => post({ kind: 'damaged', path, why }),
  )
  const loop = new Loop({
    waker,
    onMessages: () => {
      for (let next = receiveMessageOnPort(reader); next; next = receiveMessageOnPort(reader))
        tree.take(next.message as Answered)
      // Only one thing can be said by now.
      if (receiveMessageOnPort(port) !== undefined) session.end('the daemon ends')
    },
  })
  let reason = ''
  const session = new Session({
    fs: new StillFiles(tree),
    device,
    log: logTo(logFd, 'state'),
    submit: tree.submit,
    onReady: () => post({ kind: 'served' }),
    onEnded: (why) => {
      reason = why
      loop.stop()
    },
    writeback: false,
  })
  loop.add(session)
  loop.run()
  post({ kind: 'ended', reason })
}

function main(data: StateThreadData): void {
  data.port.once('message', ({ device, root }: ToStateThread) => {
    try {
      if (device !== null) serve(device, root, data)
    } finally {
      data.reader.close()
      data.port.close()
    }
  })
}

if (parentPort !== null) main(workerData as StateThreadData)
