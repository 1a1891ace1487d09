// The kernel-call thread: whatever may block on the kernel of our own mounts.
//
//   fuse thread ── {ticket, call} ─▶ this thread ── {ticket, answer} ─▶ and wakes the fuse thread
//
//   bell     opens the bell of a session, and rings it (bell.ts)
//   notify   writes notifications to a device, touches directories for inotify watchers, sets
//            times and sizes that the kernel keeps by itself, and asks for names that are gone
//   sync     syncfs(2) of a mount: all pages that were dirty have been written to us
//   mount    and umount, readahead: paths that may lead through a mount of ours
//   close    of a device, after everything that was sent before
//
// Rule: it alone in the process goes through a mount of ours, so it alone waits while the fuse
// thread answers; nobody waits for it without a timeout. Its number is announced first: a SETATTR from
// it is the touch. It keeps no descriptor of a mount open between two calls, or umount(2)
// would find the mount busy; what asks for a name that is gone
// takes as long as the kernel needs, in a thread of its own, and umount(2) waits for it.

import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { ERRNO, Errno, errnoOf } from '../base/errno.ts'
import { Failure, type FailureCode } from '../base/failure.ts'
import { type Ask, changeFile, openInside, prepareAsk, touchDirectory } from '../host/inside.ts'
import { type MountRequest, mountFuse, unmountFuse } from '../host/mount.ts'
import { readAhead } from '../host/readahead.ts'
import { AT_FDCWD, must, O, sys } from '../host/sys.ts'
import { threadId } from '../host/thread.ts'
import { RING } from './bell.ts'
import type { Notification } from './filesystem.ts'
import { encodeNotification, NOTIFY_BUFFER } from './notify.ts'
import { type Waker, wake } from './waker.ts'

export type KernelCall =
  | {
      readonly kind: 'notify'
      readonly device: number
      readonly mountPoint: string
      readonly expireOnly: boolean
      readonly batch: readonly Notification[]
    }
  | {
      readonly kind: 'bell'
      readonly device: number
      readonly mountPoint: string
      readonly name: string
    }
  | { readonly kind: 'sync'; readonly mountPoint: string }
  /** Answers the descriptor of the device. */
  | { readonly kind: 'mount'; readonly request: MountRequest }
  /** Of a mount that answers. */
  | { readonly kind: 'readahead'; readonly mountPoint: string }
  | { readonly kind: 'umount'; readonly mountPoint: string; readonly lazy: boolean }
  /** A device that no call of before needs any more. */
  | { readonly kind: 'close'; readonly fd: number }

export interface KernelThreadData {
  readonly port: MessagePort
  /** Of the loop that asks; null where its port is enough to wake it. */
  readonly waker: Waker | null
}

export interface KernelRequest {
  readonly ticket: number
  readonly call: KernelCall
}

export type KernelAnswer =
  /** The first message: this thread's number. */
  | { readonly tid: number }
  | { readonly ticket: number; readonly value: number }
  | {
      readonly ticket: number
      readonly errno: number
      readonly message: string
      /** Of a Failure; null for anything else. */
      readonly code: FailureCode | null
    }

if (parentPort !== null) {
  const { port, waker } = workerData as KernelThreadData
  const post = (answer: KernelAnswer) => {
    port.postMessage(answer)
    if (waker !== null) wake(waker)
  }
  post({ tid: threadId() })
  port.on('message', (request: KernelRequest) => {
    const { call } = request
    if (call.kind !== 'umount' || call.lazy || asking === null) post(answerTo(request))
    else void asking.then(() => post(answerTo(request)))
  })
}

function answerTo({ ticket, call }: KernelRequest): KernelAnswer {
  try {
    return { ticket, value: perform(call) }
  } catch (err) {
    const message = err instanceof Error ? err.message : String(err)
    const code = err instanceof Failure ? err.code : null
    return { ticket, errno: errnoOf(err) ?? ERRNO.EIO, message, code }
  }
}

function perform(call: KernelCall): number {
  switch (call.kind) {
    case 'notify':
      return announce(call)
    case 'bell':
      return hangBell(call)
    case 'sync':
      return sync(call.mountPoint)
    case 'mount':
      return mountFuse(call.request)
    case 'readahead':
      readAhead(call.mountPoint)
      return 0
    case 'umount':
      unmountFuse(call.mountPoint, call.lazy)
      return 0
    case 'close':
      return sys.close(call.fd)
  }
}

// The kernel knows it as long as it remembers the name: nothing is kept open.
function hangBell({ device, mountPoint, name }: Extract<KernelCall, { kind: 'bell' }>): number {
  const flags = O.PATH | O.NOFOLLOW
  sys.close(must(sys.openat(AT_FDCWD, `${mountPoint}/${name}`, flags), 'bell'))
  return must(sys.write(device, RING, RING.length), 'bell')
}

const message = Buffer.alloc(NOTIFY_BUFFER)

type Told<Kind extends Notification['kind']> = Extract<Notification, { kind: Kind }>

// Names and attributes first, in the caller's order; watchers look when all of it is true.
function announce(call: Extract<KernelCall, { kind: 'notify' }>): number {
  const { mountPoint, batch } = call
  // Found before anything is told, so that nobody asks for them earlier than we do.
  const asks = new Map<Notification, Ask>()
  for (const told of batch) {
    if (told.kind === 'gone') asks.set(told, prepareAsk(mountPoint, told.path))
  }
  try {
    for (const told of batch) tell(call, told, asks)
  } finally {
    for (const ask of asks.values()) askForGone(ask)
  }
  const touches = batch.filter((told) => told.kind === 'touch' || told.kind === 'change')
  if (touches.length > 0) touchAll(mountPoint, touches)
  return batch.length
}

function tell(
  { device, expireOnly }: Extract<KernelCall, { kind: 'notify' }>,
  told: Notification,
  asks: Map<Notification, Ask>,
): void {
  if (told.kind === 'touch' || told.kind === 'change') return
  const ask = asks.get(told)
  if (ask !== undefined) {
    asks.delete(told)
    askForGone(ask)
  }
  if (told.kind === 'gone') return
  const length = encodeNotification(message, told, expireOnly)
  const done = sys.write(device, message, length)
  // ENOENT: the kernel does not know the name or node any more, as it should be.
  if (done < 0 && !isHarmless(-done)) throw new Errno(-done, `notification ${told.kind}`)
}

// ENOTDIR and ENOTEMPTY: the kernel keeps a name that is in use; ENODEV, ENOTCONN: unmounted.
const isHarmless = (number: number): boolean =>
  number === ERRNO.ENOENT ||
  number === ERRNO.ENOTDIR ||
  number === ERRNO.ENOTEMPTY ||
  number === ERRNO.EBUSY ||
  number === ERRNO.ENODEV ||
  number === ERRNO.ENOTCONN

/** While the kernel takes down what lay below names that are gone; else null. */
let asking: Promise<void> | null = null

// One after the other: they block a thread that all of the process shares.
function askForGone(ask: Ask): void {
  const last: Promise<void> = (asking === null ? ask() : asking.then(ask)).then(() => {
    if (asking === last) asking = null
  })
  asking = last
}

function touchAll(mountPoint: string, all: readonly Told<'touch' | 'change'>[]): void {
  const root = openInside(mountPoint, O.PATH)
  if (root < 0) return
  try {
    // A directory that is gone, or that may not be touched, has watchers that know, or none.
    for (const told of all) {
      if (told.kind === 'touch') touchDirectory(root, told.path)
      else changeFile(root, told)
    }
  } finally {
    sys.close(root)
  }
}

function sync(mountPoint: string): number {
  const root = must(openInside(mountPoint, O.RDONLY), `open ${mountPoint}`)
  try {
    return must(sys.syncfs(root), 'syncfs')
  } finally {
    sys.close(root)
  }
}
