// What the thread of the union does for the main thread: plain data both ways.
//
//   main thread ── call ─▶ engine (fuse thread, or the main thread with fuse-native)
//               ◀─ event ─
//
// Rule: everything here survives structuredClone; the engine answers each call once, in order.

import type { RelPath } from '../base/path.ts'
import type { Asked } from '../fuse/tally.ts'
import type { Changed } from '../layer/changed.ts'
import type { RedoPlan } from '../snapshot/redo.ts'
import type { StackSpec, ViewOptions } from '../union/spec.ts'

/**
 * How programs' reads and writes reach the files: through the kernel's cache and the daemon, or past
 * it, where root and the kernel allow that.
 */
export type DataPath = 'cached' | 'passthrough'

/** Where nothing is written, nothing is lost by it. */
export const usualDataPath = (readOnly: boolean): DataPath => (readOnly ? 'passthrough' : 'cached')

export interface MountSpec {
  readonly id: number
  /** Absolute, internal bytes as latin1. */
  readonly mountPoint: string
  readonly stack: StackSpec
  readonly view: ViewOptions
  /** First field of /proc/mounts; the type there is `fuse.svsfs`. */
  readonly source: string
  readonly allowOther: boolean
  readonly transport: 'direct' | 'fuse-native'
  /** The one that is wished for. */
  readonly dataPath: DataPath
  /** Prints a line per request and reply to the daemon's log (stderr in the foreground). */
  readonly trace: boolean
  /** Behave as an older kernel's FUSE: '6.1' caps protocol and flags. */
  readonly kernelCap: '6.1' | null
}

/** A freeze that has begun. */
export interface Frozen {
  readonly freeze: number
  /** The instant, in milliseconds since 1970. */
  readonly at: number
  /** Where the journal stands, and all that it named since `since`; null where it does not know. */
  readonly journal: { readonly position: number; readonly changed: Changed | null }
}

/** A freeze that goes on until it is thawed, also over restarts. Absolute internal paths. */
export interface FreezeSpec {
  /** The writable sublayer. */
  readonly rw: string
  readonly area: string
  /** On the disk of the sublayer: for hard links. */
  readonly links: string
  /** Granularity of large files, in bytes. */
  readonly block: number
  /** The room that all freezes of this name share; `limit` in bytes. */
  readonly room: { readonly name: string; readonly limit: number | null }
}

/** How much a freeze has preserved. */
export interface FreezeSize {
  readonly freeze: number
  readonly blocks: number
  readonly bytes: number
}

/**
 * What the layer is after a redo plan: the state that the journal gave `position` (null: which it was before), but
 * for what it names from `since` on.
 */
export interface Resume {
  readonly position: number | null
  readonly since: number
  /** What is as in the state, and yet another file. */
  readonly names: readonly RelPath[]
}

export interface EngineCalls {
  /** Mounts, and answers when the kernel's INIT was answered: with the data path that it came to. */
  mount(spec: MountSpec): DataPath
  /** `lazy` detaches a busy mount; without it a busy one fails with SVS_MOUNT_BUSY. */
  umount(id: number, lazy: boolean): void
  /**
   * New stacks for mounts (activation, priority, replace, reset). Views swap between two requests,
   * the kernel is told, watchers too; answers when the kernel was told.
   */
  restack(changes: { id: number; stack: StackSpec }[]): void
  /**
   * Syncs the mounts that show the layer, then starts a preservation area in one step, and an epoch of
   * the layer's journal. `since`: where the journal stood at the state that the layer came from. With `spec` it goes on
   * until it is thawed, and begins no epoch.
   */
  freeze(layer: string, area: string, since: number | null, spec?: FreezeSpec): Frozen
  /** Takes over freezes that an earlier process left. Answers a number for each; null: it is not whole. */
  recall(specs: readonly FreezeSpec[]): (number | null)[]
  freezes(): FreezeSize[]
  thaw(freeze: number): void
  /** Settles files of a layer's writable sublayer (paths as latin1) at once; answers those that it could not. */
  settle(layer: string, paths: readonly string[]): { path: string; errno: number }[]
  /** Inodes of the files of a layer's writable sublayer that programs have open. */
  openFiles(layer: string): number[]
  /**
   * Applies a redo plan in one step, then tells the kernel. `area`: of the freeze that it was made by. False
   * where a file that it writes in place was opened or changed meanwhile: then nothing was done. Without `resume`
   * the journal does not know what changed.
   */
  applyRedo(layer: string, plan: RedoPlan, area: string | null, resume: Resume | null): boolean
  /** Which sublayer provides a path of a mount (relative, latin1), top first, with what it hides. */
  which(
    id: number,
    path: string,
  ): { layer: string; part: 'rw' | 'ro' | 'scratch' | 'base'; path: string; kind: string }[]
  /** Who has asked the mounts for what. Counting begins with it, and ends `keep` milliseconds after the last. */
  uses(keep: number): { id: number; since: number | null; processes: Asked[] }[]
  stats(id: number): { nodes: number; handles: number; requests: number; memory: number }
}

export type EngineEvent =
  /** The kernel side is gone: nobody uses any more what we took away, or it was unmounted by somebody else, or aborted. */
  | { kind: 'unmounted'; id: number; reason: string }
  | { kind: 'failed'; id: number; reason: string }
  | { kind: 'trace'; id: number; line: string }
  /** A freeze could not be kept: `id` is its number. */
  | { kind: 'freeze-failed'; id: number; reason: string }

/** The engine as the main thread sees it, whichever thread it runs in. */
export type Engine = {
  [Name in keyof EngineCalls]: (
    ...args: Parameters<EngineCalls[Name]>
  ) => Promise<ReturnType<EngineCalls[Name]>>
} & {
  onEvent(listener: (event: EngineEvent) => void): void
  /** Unmounts everything and ends the engine's threads. */
  stop(): Promise<void>
}
