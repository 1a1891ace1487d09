// Open files: bytes in and out of a node's current backing file.
//
// All opens of a node share one descriptor: O_RDWR in a writable branch (pages are read and
// written back whatever the program asked for), O_RDONLY below. Copy-up, settling and restore
// change it under them (`rebind`).
//
// Rule: the caller's O_APPEND, O_DIRECT and O_TRUNC never reach the backing file.

import { ERRNO, Errno, fail } from '../base/errno.ts'
import type { Caller } from '../fuse/filesystem.ts'
import { Stat } from '../host/stat.ts'
import { must, O, sys, UTIME_OMIT } from '../host/sys.ts'
import { ctimeOf, indexedAt, learnAccess, locate, truncate } from './attributes.ts'
import { beforeChange } from './before-change.ts'
import type { Blocks } from './blocks.ts'
import type { Branch } from './branch.ts'
import { copyUp, openPlace } from './copy-up.ts'
import { type OpenFile, stampOf, type Times, type UnionNode } from './node.ts'
import { unpass } from './passing.ts'
import { dropPrivileges } from './privileges.ts'
import type { View } from './view.ts'

const stat = new Stat()

/** Opens a node for the kernel. Throws Errno, or Parked for a copy-up. */
export function openNode(
  view: View,
  node: UnionNode,
  flags: number,
  dropsFor: Caller | null,
): void {
  if (node.stale) fail('ESTALE')
  const writes = (flags & O.ACCMODE) !== O.RDONLY
  if (flags & O.TRUNC) truncate(view, node, 0, dropsFor)
  else if (writes) copyUp(view, node, 'open')
  hold(node, node.takesBytes, writes)
  view.opened.add(node)
  node.open!.count += 1
  const { blocks } = node
  // One that an earlier mount left, and its list does not name.
  const isNew = blocks !== null && !blocks.queued && !node.open!.passed?.behind
  if (isNew && !blocks.isBare(node.open!.fd)) followUp(view, blocks)
  if (writes) node.open!.cached = true
}

function hold(node: UnionNode, wanted: boolean, writes: boolean): void {
  const { open } = node
  if (open !== null && (open.writable || !wanted)) return
  const lower = openLower(node)
  try {
    const { fd, writable } = openAsFar(node, wanted, writes)
    if (open === null) node.open = opened(fd, writable, lower)
    else replace(open, fd, writable, lower)
  } catch (err) {
    if (lower !== -1) sys.close(lower)
    throw err
  }
}

/** The lower file of an unsettled one; -1 for all others. */
const openLower = ({ blocks }: UnionNode): number => blocks?.openLower(openPlace) ?? -1

// A disk that has turned read-only can still be read.
function openAsFar(node: UnionNode, wanted: boolean, writes: boolean) {
  try {
    return { fd: openFile(node, wanted), writable: wanted }
  } catch (err) {
    if (writes || !wanted || !(err instanceof Errno) || err.number !== ERRNO.EROFS) throw err
    return { fd: openFile(node, false), writable: false }
  }
}

/** Takes a freshly created file's descriptor as the node's open file; `view.stat` has its attributes. */
export function adoptOpen(view: View, node: UnionNode, fd: number): void {
  node.open = opened(fd, true, -1)
  justMade(node, timesOf(node.branch!, view.stat))
  node.open.count = 1
  node.open.cached = true
  view.opened.add(node)
}

const opened = (fd: number, writable: boolean, lower: number): OpenFile => ({
  fd,
  lower,
  writable,
  count: 0,
  listed: -1,
  cached: false,
  inMemory: null,
  backing: 0,
  changed: null,
  made: null,
  refused: null,
  through: false,
  passed: null,
  believed: 0,
})

/** The inode that an open file is on the disk. */
export function backingOf(open: OpenFile): number {
  if (open.backing === 0 && sys.stat(open.fd, '', stat) >= 0) open.backing = stat.ino
  return open.backing
}

/** Keeps the descriptor of a copy as the open file of a node that nobody has open yet. */
export function holdCopy(node: UnionNode, fd: number, times: Times): void {
  if (node.open !== null) return
  node.open = opened(fd, true, -1)
  if (node.branch!.ctimes !== null) justMade(node, times)
}

// Who makes a file is about to write it, and who had its times told may write on.
function justMade(node: UnionNode, { mtime, ctime }: Times): void {
  const { foreign, changes } = node.branch!
  if (!foreign) node.open!.made = { mtime, ctime, changes }
}

/** After the kernel told the times of what it wrote: `stat` has what they are now. */
export function timesTold(node: UnionNode, stat: Stat): void {
  const { open, branch } = node
  if (open !== null && node.blocks === null && branch!.writable)
    justMade(node, timesOf(branch!, stat))
}

/** Points what is open at the node's file of now: after a copy-up, with the copy's descriptor or -1. */
export function rebind(node: UnionNode, copy = -1): void {
  if (node.open === null) return
  // The kernel goes on with the file it was given; the descriptor of that is the one that tells of it.
  if (node.open.passed !== null) {
    node.open.passed.behind = true
    return
  }
  if (copy !== -1) {
    replace(node.open, copy, true, -1)
    return
  }
  const lower = openLower(node)
  try {
    replace(node.open, openFile(node, true), true, lower)
  } catch (err) {
    if (lower !== -1) sys.close(lower)
    throw err
  }
}

/** Closes the descriptors of an open file. */
export function closeOpen({ fd, lower }: OpenFile): void {
  sys.close(fd)
  if (lower !== -1) sys.close(lower)
}

function replace(open: OpenFile, fd: number, writable: boolean, lower: number): void {
  closeOpen(open)
  open.fd = fd
  open.lower = lower
  open.writable = writable
  open.inMemory = null
  open.backing = 0
}

function openFile(node: UnionNode, writable: boolean): number {
  if (node.data !== null && node.blocks === null) return openPlace(node.data)
  const { dir, name } = locate(node)
  const mode = writable ? O.RDWR : O.RDONLY
  const done =
    name === '' ? sys.reopen(dir, mode) : sys.openat(dir, name, mode | O.NOFOLLOW | O.NONBLOCK)
  if (done >= 0) return done
  if (done !== -ERRNO.EACCES || !node.branch!.writable)
    throw new Errno(-node.branch!.asDamage(done), 'open')
  const { ctimes } = node.branch!
  const force = () => openForced(dir, name, mode)
  return ctimes === null ? force() : ctimes.keeping(dir, name, force)
}

// The kernel let the caller open it (an owner's new 0444 file, say); for an ordinary user's
// daemon the disk does not, unless the mode is widened for that moment.
function openForced(dir: number, name: string, flags: number): number {
  must(sys.stat(dir, name, stat), 'stat')
  const { mode } = stat
  must(sys.chmodat(dir, name, (mode & 0o7777) | 0o600), 'open')
  const fd = name === '' ? sys.reopen(dir, flags) : sys.openat(dir, name, flags | O.NOFOLLOW)
  must(sys.chmodat(dir, name, mode & 0o7777), 'open')
  return must(fd, 'open')
}

/** The node's backing file for one action; `close` leaves alone what the kernel holds open. */
export function openBacking(node: UnionNode, writable: boolean): Backing {
  const { open } = node
  if (open !== null && !open.passed?.behind && (open.writable || !writable)) {
    return { fd: open.fd, lower: open.lower, close() {} }
  }
  const lower = openLower(node)
  let fd = -1
  const close = () => {
    if (fd !== -1) sys.close(fd)
    if (lower !== -1) sys.close(lower)
  }
  try {
    fd = openFile(node, writable)
    return { fd, lower, close }
  } catch (err) {
    close()
    throw err
  }
}

/** As OpenFile has them, for one action. */
interface Backing {
  readonly fd: number
  readonly lower: number
  close(): void
}

/** The kernel closed one open of the node. True where it has cached what the disk does not hold. */
export function releaseNode(view: View, node: UnionNode): boolean {
  if (node.open === null) return false
  const { open } = node
  try {
    keepChanged(view, node, open)
  } finally {
    open.count -= 1
    if (open.count <= 0) {
      learnAccess(node, open)
      if (open.passed !== null) unpass(view, open.passed)
      closeOpen(open)
      view.opened.delete(node)
      node.open = null
    }
  }
  return node.open === null && (open.refused !== null || open.through)
}

/** Up to this size a file's cached pages are dropped, so that the disk learns of a first read. */
const SMALL = 1024 * 1024
const DAY = 24 * 60 * 60

/**
 * True where the disk is to set the access time at the next read (relatime: once after a change,
 * or in a day). What the kernel has in its cache it would answer alone.
 */
export function mustReachDisk(node: UnionNode, flags: number): boolean {
  const { branch, open } = node
  if ((flags & O.ACCMODE) === O.WRONLY || flags & O.NOATIME) return false
  if (open === null || !branch!.writable || !branch!.keepsAtime) return false
  if (sys.stat(open.fd, '', stat) < 0 || stat.size === 0 || stat.size > SMALL) return false
  const { atime, atimeNsec, mtime, mtimeNsec, ctime, ctimeNsec } = stat
  const before = (seconds: number, nsec: number) =>
    atime < seconds || (atime === seconds && atimeNsec <= nsec)
  if (before(mtime, mtimeNsec) || before(ctime, ctimeNsec)) return true
  return Date.now() / 1000 - atime > DAY
}

// What a write leaves of a page is read for it, and O_NOATIME was the program's wish: neither is
// an access.
const isAccess = (flags: number): boolean =>
  (flags & O.ACCMODE) !== O.WRONLY && (flags & O.NOATIME) === 0

export function readNode(
  view: View,
  node: UnionNode,
  flags: number,
  offset: number,
  into: Buffer,
): number {
  const open = node.open ?? fail('EBADF')
  if (node.branch!.index !== null && isAccess(flags)) node.branch!.accessed(indexedAt(node))
  const done = readBytes(node, open, flags, offset, into)
  if (node.stamp !== null && node.branch!.foreign) noticeOverwritten(view, node, open)
  // The kernel would take zeros for what a file that got shorter behind the mount has no more.
  if (done < into.length && offset + done < open.believed) fail('ESTALE')
  return done
}

function readBytes(
  node: UnionNode,
  open: OpenFile,
  flags: number,
  offset: number,
  into: Buffer,
): number {
  const { blocks } = node
  const from = (fd: number) =>
    blocks === null ? readFrom(fd, offset, into) : blocks.read(fd, open.lower, offset, into)
  const quiet = isAccess(flags) ? -1 : sys.reopen(open.fd, O.RDONLY | O.NOATIME)
  if (quiet < 0) return from(open.fd)
  try {
    return from(quiet)
  } finally {
    sys.close(quiet)
  }
}

function readFrom(fd: number, offset: number, into: Buffer): number {
  let done = 0
  while (done < into.length) {
    const rest = done === 0 ? into : into.subarray(done)
    const count = must(sys.pread(fd, rest, rest.length, offset + done), 'read')
    if (count === 0) break
    done += count
  }
  return done
}

// Who has a file of the base open goes on with what is there; its name is looked up anew. By size
// and mtime: ctime also tells that it was renamed or removed, which changes no byte.
function noticeOverwritten(view: View, node: UnionNode, open: OpenFile): void {
  must(sys.stat(open.fd, '', stat), 'stat')
  const { size, mtime, mtimeNsec } = node.stamp!
  if (size === stat.size && mtime === stat.mtime && mtimeNsec === stat.mtimeNsec) return
  open.believed = Math.max(open.believed, size)
  node.stamp = stampOf(stat)
  view.announce({ kind: 'inode', node: node.id, offset: 0, length: 0 })
  view.detach(node, true)
}

// The page cache's owner is the kernel, and so are the times of what it writes back: it tells a
// new one by SETATTR, unless that is the one it knows, to the tick of its clock. Then the time
// from before the pages came is the right one.
function rememberChanged(open: OpenFile, branch: Branch): void {
  if (open.changed !== null) return
  const { made } = open
  open.made = null
  if (made?.changes === branch.changes) open.changed = made
  else {
    must(sys.stat(open.fd, '', stat), 'stat')
    open.changed = timesOf(branch, stat)
  }
}

const timesOf = (branch: Branch, found: Stat): Times => ({
  mtime: { seconds: found.mtime, nsec: found.mtimeNsec },
  ctime: ctimeOf(branch, found),
})

function keepChanged(view: View, node: UnionNode, open: OpenFile): void {
  const { changed } = open
  if (changed === null) return
  open.changed = null
  node.stamp = null
  beforeChange(node.branch!, 'attributes', open.fd, '', node)
  const { mtime, ctime } = changed
  // The piece that is being filled ends with the times that it keeps.
  node.blocks?.keepTimes(mtime, ctime)
  // A disk that takes no more has refused the pages, too, and said so: the time is the least of it.
  const done = sys.utimensat(open.fd, '', 0, UTIME_OMIT, mtime.seconds, mtime.nsec)
  if (done >= 0 && sys.stat(open.fd, '', stat) >= 0) node.branch!.ctimes?.keep(stat, ctime)
  view.changed(node)
}

/**
 * Writes all bytes. `dropsFor`: the file loses setuid, setgid and capabilities; `fromCache`: the
 * pages are the kernel's, which also knows when they were changed.
 */
export function writeNode(
  view: View,
  node: UnionNode,
  offset: number,
  data: Buffer,
  dropsFor: Caller | null,
  fromCache: boolean,
): number {
  const open = writableOpen(view, node)
  if (fromCache && view.kernelHasTimes) rememberChanged(open, node.branch!)
  const branch = node.branch!
  beforeChange(branch, 'content', open.fd, '', node, offset, offset + data.length)
  const { blocks } = node
  try {
    branch.written?.takeRange(open.fd, offset, offset + data.length, view.opened)
  } catch (err) {
    if (fromCache && err instanceof Errno) refusePages(view, node, open, err.number)
    throw err
  }
  blocks?.beforeWrite(open.fd, open.lower, offset, data.length)
  let done = 0
  while (done < data.length) {
    const rest = done === 0 ? data : data.subarray(done)
    const count = sys.pwrite(open.fd, rest, rest.length, offset + done) || -ERRNO.EIO
    if (count < 0) {
      blocks?.wrote(open.fd, open.lower, offset, done)
      if (done > 0 && !fromCache) break
      if (fromCache) refusePages(view, node, open, -count)
      throw new Errno(-count, 'write')
    }
    done += count
  }
  if (blocks !== null) {
    blocks.wrote(open.fd, open.lower, offset, done)
    followUp(view, blocks)
  }
  if (dropsFor !== null) dropPrivileges(dropsFor, open.fd)
  node.stamp = null
  if (view.sharesBranches) view.changedBytes(node, offset, done, fromCache)
  return done
}

/** The rest of an unsettled file of which something was changed comes in the background. */
export function followUp(view: View, blocks: Blocks): void {
  // All of it would take more room than what was written.
  if (blocks.branch.written !== null) return
  if (blocks.queued || view.pool.settler === null || view.options.readOnly) return
  blocks.branch.unsettled!.list(blocks)
  view.pool.settler.add(blocks)
}

// Of pages the kernel believes that all were written or none: a part of them is none.
function refusePages(view: View, node: UnionNode, open: OpenFile, error: number): void {
  open.refused = node.branch!.room.refuse(error)
  view.announce({ kind: 'inode', node: node.id, offset: -1, length: 0 })
}

/** Throws where a program is about to write more pages to a file whose disk takes none. */
export function checkRoom(node: UnionNode): void {
  const refused = node.open?.refused ?? null
  if (refused === null || node.branch!.foreign || !node.branch!.room.stillRefuses(refused)) return
  throw new Errno(refused.error, 'write')
}

/** The open file of a node that is being changed, copied up where it is not yet. */
export function writableOpen(view: View, node: UnionNode): OpenFile {
  if (node.open === null) fail('EBADF')
  node.blocks?.waitForPiece()
  if (!node.open!.writable || !node.branch!.writable) {
    copyUp(view, node, 'content')
    hold(node, true, true)
  }
  return node.open!
}
