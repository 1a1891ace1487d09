// Readers of the operations' own fields, which follow the request's header.
//
// Rule: every byte passes the cursor, every name passes `name` or `lookupName`. A reader
// throws ShortMessage for what no kernel sends, an Errno for what the caller did wrong.
// Layouts are the `fuse_*_in` structures of linux/fuse.h, in their order.

import type { Cursor } from '../base/cursor.ts'
import { fail } from '../base/errno.ts'
import { NAME_MAX } from '../base/path.ts'
import {
  type CopyRangeRequest,
  type CreateRequest,
  FATTR,
  type HandleId,
  type NodeId,
  type ReadRequest,
  type RenameRequest,
  type SetattrRequest,
  type WriteRequest,
} from './filesystem.ts'
import {
  FSYNC_FDATASYNC,
  GETATTR_FH,
  OPEN_KILL_SUIDGID,
  SETXATTR_ACL_KILL_SGID,
  WRITE_CACHE,
  WRITE_KILL_SUIDGID,
} from './protocol.ts'

export const nothing = (): null => null

const node = (from: Cursor): NodeId => from.u64() as NodeId
const handle = (from: Cursor): HandleId => from.u64() as HandleId

/** A single component that is made, changed or removed. */
export function name(from: Cursor): string {
  const text = lookupName(from)
  if (text === '.' || text === '..') fail('EINVAL', 'name')
  return text
}

/** As `name`, and `.` or `..`, by which NFS asks for a node itself and for its parent. */
export function lookupName(from: Cursor): string {
  const text = from.name()
  if (text.length > NAME_MAX) fail('ENAMETOOLONG', 'name')
  if (text === '' || text.includes('/')) fail('EINVAL', 'name')
  return text
}

/** Name of an attribute, or target of a link: no component, so only the protocol's bounds hold. */
export const text = (from: Cursor): string => from.name()

export function forget(from: Cursor): number {
  return from.u64()
}

/** Pairs of node and count, flat. The count field decides nothing: the bytes do. */
export function batchForget(from: Cursor): number[] {
  const count = from.u32()
  from.skip(4)
  const pairs: number[] = []
  for (let i = 0; i < count; i++) pairs.push(from.u64(), from.u64())
  return pairs
}

export function getattr(from: Cursor): HandleId | null {
  const flags = from.u32()
  from.skip(4)
  const fh = handle(from)
  return (flags & GETATTR_FH) !== 0 ? fh : null
}

export function setattr(from: Cursor): SetattrRequest {
  const valid = from.u32()
  from.skip(4)
  const fh = handle(from)
  const size = from.u64()
  from.skip(8) // lock owner
  const atime = from.i64()
  const mtime = from.i64()
  const ctime = from.i64()
  const atimeNsec = from.u32()
  const mtimeNsec = from.u32()
  const ctimeNsec = from.u32()
  const mode = from.u32()
  from.skip(4)
  const uid = from.u32()
  const gid = from.u32()
  return {
    valid,
    handle: (valid & FATTR.FH) !== 0 ? fh : null,
    size,
    atime,
    atimeNsec,
    mtime,
    mtimeNsec,
    ctime,
    ctimeNsec,
    mode,
    uid,
    gid,
  }
}

export function symlink(from: Cursor): { name: string; target: string } {
  return { name: name(from), target: text(from) }
}

export function mknod(from: Cursor): { name: string; mode: number; umask: number; rdev: number } {
  const mode = from.u32()
  const rdev = from.u32()
  const umask = from.u32()
  from.skip(4)
  return { name: name(from), mode, umask, rdev }
}

export function mkdir(from: Cursor): { name: string; mode: number; umask: number } {
  const mode = from.u32()
  const umask = from.u32()
  return { name: name(from), mode, umask }
}

export function rename(from: Cursor): RenameRequest {
  const newParent = node(from)
  return { name: name(from), newParent, newName: name(from), flags: 0 }
}

export function rename2(from: Cursor): RenameRequest {
  const newParent = node(from)
  const flags = from.u32()
  from.skip(4)
  return { name: name(from), newParent, newName: name(from), flags }
}

export function link(from: Cursor): { node: NodeId; name: string } {
  return { node: node(from), name: name(from) }
}

export function open(from: Cursor): { flags: number; killPriv: boolean } {
  const flags = from.u32()
  return { flags, killPriv: (from.u32() & OPEN_KILL_SUIDGID) !== 0 }
}

export function create(from: Cursor): CreateRequest {
  const { flags, mode, umask } = creation(from)
  return { flags, mode, umask, name: name(from) }
}

/** The kernel names an unnamed file `/`; nobody looks at it. */
export function tmpfile(from: Cursor): CreateRequest {
  const { flags, mode, umask } = creation(from)
  return { flags, mode, umask, name: '' }
}

function creation(from: Cursor): { flags: number; mode: number; umask: number } {
  const flags = from.u32()
  const mode = from.u32()
  const umask = from.u32()
  from.skip(4)
  return { flags, mode, umask }
}

export function read(from: Cursor): ReadRequest & { size: number } {
  const fh = handle(from)
  const offset = from.u64()
  const size = from.u32()
  from.skip(12) // lock owner, and what it is for
  return { handle: fh, offset, size, flags: from.u32() }
}

export function write(from: Cursor): WriteRequest {
  const fh = handle(from)
  const offset = from.u64()
  const size = from.u32()
  const flags = from.u32()
  from.skip(16) // lock owner, flags of the file, padding
  return {
    handle: fh,
    offset,
    data: from.take(size),
    killPriv: (flags & WRITE_KILL_SUIDGID) !== 0,
    fromCache: (flags & WRITE_CACHE) !== 0,
  }
}

/** RELEASE and RELEASEDIR: the handle is all that matters to us. */
export const release = (from: Cursor): HandleId => handle(from)

export function fsync(from: Cursor): { handle: HandleId; dataOnly: boolean } {
  return { handle: handle(from), dataOnly: (from.u32() & FSYNC_FDATASYNC) !== 0 }
}

export function setxattr(
  from: Cursor,
  extended: boolean,
): { name: string; value: Buffer; flags: number; killSgid: boolean } {
  const size = from.u32()
  const flags = from.u32()
  const more = extended ? from.u32() : 0
  if (extended) from.skip(4)
  const attribute = text(from)
  return {
    name: attribute,
    value: from.take(size),
    flags,
    killSgid: (more & SETXATTR_ACL_KILL_SGID) !== 0,
  }
}

/** `size` 0 asks how long the value is. */
export function getxattr(from: Cursor): { name: string; size: number } {
  const size = from.u32()
  from.skip(4)
  return { name: text(from), size }
}

export const listxattr = (from: Cursor): number => from.u32()
export const access = (from: Cursor): number => from.u32()

export function fallocate(from: Cursor): {
  handle: HandleId
  offset: number
  length: number
  mode: number
} {
  return { handle: handle(from), offset: from.u64(), length: from.u64(), mode: from.u32() }
}

export function lseek(from: Cursor): { handle: HandleId; offset: number; whence: number } {
  return { handle: handle(from), offset: from.i64(), whence: from.u32() }
}

export function copyFileRange(from: Cursor): CopyRangeRequest {
  return {
    handle: handle(from),
    offset: from.u64(),
    toNode: node(from),
    toHandle: handle(from),
    toOffset: from.u64(),
    length: from.u64(),
  }
}

export const interrupt = (from: Cursor): number => from.u64()
