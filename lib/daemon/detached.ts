// What a daemon that was started in the background (detach.ts) hears from the command that started
// it, and tells it.
//
// Rule: imports little. A drop-in mount's process lives as long as the mount, and carries all that
// it ever loaded.

import { Failure } from '../base/failure.ts'
import { errorWords } from './errors.ts'
import type { OverlayOrder } from './overlay.ts'
import type { ErrorWords } from './protocol.ts'

/** What the new process is to be. */
export type Order =
  | {
      readonly kind: 'store'
      readonly root: string
      readonly transport: 'direct' | 'fuse-native'
    }
  | { readonly kind: 'overlay'; readonly overlay: OverlayOrder }

/** How it went. */
export type Started = { readonly ready: true } | { readonly error: ErrorWords }

/** In the new process: the order it was started with. */
export function receiveOrder(): Promise<Order> {
  return new Promise((resolve, reject) => {
    if (process.send === undefined)
      return reject(new Failure('SVS_BAD_REQUEST', 'svsfs daemon', 'svsfs mount starts it'))
    // The parent is this same program, over a channel that nobody else has.
    process.once('message', (order) => resolve(order as Order))
    process.once('disconnect', () => process.exit(1))
  })
}

/** Tells the command that started this process how it went, and lets it go. */
export async function reportStart(failure: unknown): Promise<void> {
  const message: Started = failure === null ? { ready: true } : { error: errorWords(failure) }
  process.removeAllListeners('disconnect')
  await new Promise<void>((resolve) => process.send?.(message, undefined, {}, () => resolve()))
  process.disconnect()
}
