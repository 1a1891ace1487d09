// The bell: a file that only the session and the kernel know, by which a read(2) of the device that
// waits is ended.
//
//   kernel-call thread    opens the bell by its name in the root ─▶ LOOKUP, answered here; rings it once
//   any thread            RING, written to the device ─▶ the kernel sends NOTIFY_REPLY: the read ends
//   kernel                forgets it, where it needs memory ─▶ FORGET: the read ends; it is opened again
//
// Asking for bytes takes no lock of the mount and asks nobody for anything. The kernel gives none but of
// regular files (of a directory it did until 2026), hence a file; no bytes are asked for.
//
// Rule: its name cannot be guessed, no listing has it, and only the kernel-call thread is answered. It
// rings once the kernel has rung it, and until the kernel forgets it.

import { randomUUID } from 'node:crypto'
import { S } from '../host/sys.ts'
import { type Attr, blankAttr, type Entry, type NodeId } from './filesystem.ts'
import { FOREVER, NOTIFY, REPLY_HEADER } from './protocol.ts'

/** No filesystem has so many nodes. */
export const BELL_NODE = Number.MAX_SAFE_INTEGER as NodeId

/** struct fuse_notify_retrieve_out: unique u64, node u64, offset u64, size u32, padding u32. */
export const RING = Buffer.alloc(REPLY_HEADER + 32)
RING.writeUInt32LE(RING.length, 0)
RING.writeUInt32LE(NOTIFY.RETRIEVE, 4)
RING.writeBigUInt64LE(BigInt(BELL_NODE), REPLY_HEADER + 8)

const attr: Attr = { ...blankAttr(), ino: BELL_NODE, mode: S.IFREG, nlink: 1 }
const ENTRY: Entry = { node: BELL_NODE, attr, entryValid: FOREVER, attrValid: FOREVER }

export class Bell {
  readonly name = `.svsfs-bell-${randomUUID()}`
  /** The kernel's lookups that it has not forgotten. */
  #known = 0
  #rung = false

  /** A read of the device that waits can be ended. */
  get rings(): boolean {
    return this.#rung
  }

  /** The answer to a lookup of its name. */
  found(): Entry {
    this.#known += 1
    return ENTRY
  }

  /** The kernel answered a ring. */
  answered(): void {
    this.#rung = this.#known > 0
  }

  /** True where the kernel knows it no more. */
  forget(count: number): boolean {
    const before = this.#known
    this.#known = Math.max(0, before - count)
    if (this.#known === 0) this.#rung = false
    return before > 0 && this.#known === 0
  }
}
