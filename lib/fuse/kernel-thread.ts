// The kernel-call thread: whatever may block on the kernel of our own mounts.
//
//   fuse thread ── {ticket, call} ─▶ this thread ── {ticket, answer} ─▶ and wakes the fuse thread
//
//   notify   writes notifications to a device, and touches directories for inotify watchers
//   sync     syncfs(2) of a mount: all pages that were dirty have been written to us
//   mount, umount, close, run: see the calls
//
// Rule: it alone in the process goes through a mount of ours, so it alone waits while the fuse
// thread answers; nobody waits for it without a timeout. Its number is announced first: a SETATTR from
// it is the touch. It keeps no descriptor of a mount open between two calls, or umount(2)
// would find the mount busy.

import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { ERRNO, errnoName, errnoOf } from '../base/errno.ts'
import { Failure } from '../base/failure.ts'
import { mountDirect, type MountRequest, unmount } from '../host/mount.ts'
import { isFuse, openInside, touchDirectory } from '../host/inside.ts'
import { must, O, sys } from '../host/sys.ts'
import { threadId, wake } from '../host/thread.ts'
import type { Notification } from './filesystem.ts'
import { encodeNotification, NOTIFY_BUFFER } from './notify.ts'

export type KernelCall =
  | {
      readonly kind: 'notify'
      readonly device: number
      readonly mountPoint: string
      readonly expireOnly: boolean
      readonly batch: readonly Notification[]
    }
  | { readonly kind: 'sync'; readonly mountPoint: string }
  /** Answers the descriptor of the device. */
  | { readonly kind: 'mount'; readonly request: MountRequest }
  | { readonly kind: 'umount'; readonly mountPoint: string; readonly lazy: boolean }
  /** A device that no call of before needs any more. */
  | { readonly kind: 'close'; readonly fd: number }

export interface KernelThreadData {
  readonly port: MessagePort
  /** Eventfd of the loop that asks; -1 where its port is enough to wake it. */
  readonly wakeFd: number
}

export interface KernelRequest {
  readonly ticket: number
  readonly call: KernelCall
}

export type KernelAnswer =
  /** The first message: this thread's number. */
  | { readonly tid: number }
  | { readonly ticket: number; readonly value: number }
  | { readonly ticket: number; readonly failure: { code: string; message: string; errno: number } }
