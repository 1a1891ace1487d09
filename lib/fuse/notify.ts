// What the kernel is told without having asked: bytes of the notifications.
//
//   INVAL_INODE  node u64, offset s64, length s64        offset < 0: attributes alone; length <= 0: to the end
//   INVAL_ENTRY  parent u64, length u32, flags u32, name, NUL
//   PRUNE        count u32, padding u32, u64, then nodes u64
//   STORE        node u64, offset u64, size u32, padding u32, bytes     the file is at least that long
//
// Rule: encoded here, written by the kernel-call thread alone: the kernel may hold a lock
// that a request of ours must first release.

import { Writer } from '../base/cursor.ts'
import { NAME_MAX } from '../base/path.ts'
import type { Notification } from './filesystem.ts'
import { EXPIRE_ONLY, NOTIFY, REPLY_HEADER } from './protocol.ts'

/** Nodes that one notification names at most. */
export const MOST_PRUNED = 1024

/** Longest message: an INVAL_ENTRY has 16 bytes and a name, a PRUNE 16 bytes and its nodes. */
export const NOTIFY_BUFFER = REPLY_HEADER + 16 + Math.max(NAME_MAX + 1, MOST_PRUNED * 8)

const CODES = {
  inode: NOTIFY.INVAL_INODE,
  entry: NOTIFY.INVAL_ENTRY,
  grow: NOTIFY.STORE,
  prune: NOTIFY.PRUNE,
} as const

export type Told = Exclude<Notification, { kind: 'touch' | 'change' | 'gone' }>

/**
 * Encodes into `bytes` (at least NOTIFY_BUFFER long). Answers the length. A name that cannot be
 * expired, because the kernel is older, is dropped instead.
 */
export function encodeNotification(bytes: Buffer, told: Told, expireOnly: boolean): number {
  const out = new Writer(bytes)
  out.at = REPLY_HEADER
  if (told.kind === 'inode') {
    out.u64(told.node)
    out.u64(told.offset)
    out.u64(told.length)
  } else if (told.kind === 'prune') {
    out.u32(told.nodes.length)
    out.u32(0)
    out.u64(0)
    for (const node of told.nodes) out.u64(node)
  } else if (told.kind === 'grow') {
    out.u64(told.node)
    out.u64(told.size - 1)
    out.u32(1)
    out.u32(0)
    out.put(Buffer.of(told.last))
  } else {
    out.u64(told.parent)
    out.u32(told.name.length)
    out.u32(told.expire && expireOnly ? EXPIRE_ONLY : 0)
    out.name(told.name)
    out.zeros(1)
  }
  const length = out.at
  out.at = 0
  out.u32(length)
  out.u32(CODES[told.kind])
  out.u64(0)
  return length
}
