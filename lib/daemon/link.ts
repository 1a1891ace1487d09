// A mount's connection to the kernel: what the engine needs of a transport.

import type { Notification } from '../fuse/filesystem.ts'
import type { Tally } from '../fuse/tally.ts'
import type { View } from '../union/view.ts'
import type { DataPath, MountSpec } from './engine-api.ts'

export interface MountLink {
  /** Requests answered so far. */
  readonly requests: number
  /** Counts who asks; null where nobody looks. Absent in a transport that does not know. */
  tally?: Tally | null
  /** True where the kernel has requests that nobody has read yet. */
  readonly hasRequests: boolean
  /**
   * Takes the mount away. `done` gets null when its place shows it no more, or why not; it has ended when
   * nobody uses it any more, be it a program or another mount namespace.
   */
  umount(lazy: boolean, done: (error: Error | null) => void): void
  /** Tells the kernel, in order. `done` when it knows. */
  tell(batch: readonly Notification[], done: (error: Error | null) => void): void
}

export interface LinkEvents {
  /** The mount answers. */
  ready(dataPath: DataPath): void
  /** It could not be mounted; the view is destroyed. */
  failed(error: Error): void
  /** It is gone, for whatever reason; the view is destroyed. */
  ended(reason: string): void
  trace(line: string): void
}

export type Connect = (spec: MountSpec, view: View, events: LinkEvents) => MountLink
