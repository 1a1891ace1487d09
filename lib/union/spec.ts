// What a mount is made of, as plain data: it crosses from the daemon's main thread, which
// knows the store, to the thread of the union, which opens the directories.
//
// Rule: every path here is absolute and internal (bytes as latin1 text).

/** One layer of a stack. In the drop-in mount: the caller's upper over its lower directories. */
export interface LayerSpec {
  /** Stable id; '' for the drop-in's one layer. */
  readonly id: string
  readonly name: string
  /** 1..8000: the upper part of the inode numbers of this layer's files. 0: the disk's own numbers. */
  readonly tag: number
  /** The current writable sublayer, null where there is none (everything in it is EROFS). */
  readonly rw: string | null
  /** Append-only log of the writable sublayer's inode numbers. */
  readonly numbers: string | null
  /** Temporary names, on the same disk as `rw`. */
  readonly work: string | null
  /** Read-only trees, top first; their indexes (or null) beside them; versions count from 1. */
  readonly ro: readonly {
    readonly path: string
    readonly index: string | null
    readonly version: number
    /** It is what a writable sublayer was once: with its marks. */
    readonly marks?: boolean
  }[]
  /** Where excluded files go, and the patterns (picomatch, relative to the layer's root). */
  readonly scratch: string | null
  readonly excludes: readonly string[]
}

export interface BaseSpec {
  readonly path: string
  readonly writable: boolean
  /** Seconds for which the kernel may trust what the base showed: it is not ours. */
  readonly timeout: number
}

/** The order of a mount's layers, top first. */
export interface StackSpec {
  readonly layers: readonly LayerSpec[]
  readonly base: BaseSpec | null
}

/**
 * Bytes above which a reader's file is passed through. Below, one request reads it, the cache
 * keeps it over many opens, and an open that passes it costs more than it saves.
 */
export const PASS_FROM = 128 * 1024

export interface ViewOptions {
  readonly readOnly: boolean
  /** Id of the layer that receives what no other rule places (`--write-to`). */
  readonly writeTo: string | null
  /** Id of the layer that receives every change: the private mount of `svsfs run`. */
  readonly privateTo: string | null
  /** Mount points served by this process, absolute: the view never walks into them. */
  readonly blocked: readonly string[]
  /** True where the union may take the caller's uid and gid for new files (root). */
  readonly privileged: boolean
  /** Seconds without invalidation; Infinity where the transport can announce changes. */
  readonly timeout: number
  /** Instead of PASS_FROM. */
  readonly passFrom?: number
  /** MiB a second by which unsettled files follow, in all views of the process; 0: not by themselves. */
  readonly settleRate?: number
  /** Large files are copied up whole, not by blocks. */
  readonly wholeCopies?: boolean
}
