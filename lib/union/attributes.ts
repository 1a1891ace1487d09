// Attributes and extended attributes of a node, as programs see them and as they are set.
//
// Rule: what lies below a writable branch is read only; every setter copies up first.
// `locate` answers the descriptor and name by which a node's file is reached, for the
// length of one request.

import { ERRNO, Errno, fail } from '../base/errno.ts'
import { joinPath } from '../base/path.ts'
import { type Attr, type Caller, FATTR, type SetattrRequest } from '../fuse/filesystem.ts'
import { Stat } from '../host/stat.ts'
import { must, S, sys, UTIME_NOW, UTIME_OMIT } from '../host/sys.ts'
import { getXattr, listXattr, removeXattr, setXattr } from '../host/xattr.ts'
import { HAS } from '../layer/index-tables.ts'
import type { Override } from '../layer/layer.ts'
import { isMarkName } from '../layer/marks.ts'
import { beforeChange, preserveAhead } from './before-change.ts'
import { SMALLEST } from './blocks.ts'
import type { Branch } from './branch.ts'
import { copyUp, ensureDirectory } from './copy-up.ts'
import { followUp, openBacking } from './files.ts'
import { isLinkedBelow, linksShown } from './links.ts'
import { lies } from './lookup.ts'
import { type DataPlace, type Moment, type OpenFile, pathIn, type UnionNode } from './node.ts'
import { CAPABILITY, changeOwner, changesOwner, dropPrivileges } from './privileges.ts'
import type { View } from './view.ts'

/** Where a node's file is: `name` in directory `dir`, or `dir` itself where name is ''. */
export interface Location {
  dir: number
  name: string
}

const onDisk = new Stat()
const location: Location = { dir: -1, name: '' }

/** The topmost file behind a node. The answer is filled anew by the next call. Throws Errno. */
export function locate(node: UnionNode): Location {
  if (node.fd !== -1) return located(node.fd, '')
  if (node.isDirectory) {
    if (node.stale) fail('ESTALE')
    const place = node.places[0]!
    return located(place.branch.dirFd(pathIn(node, place)), '')
  }
  // Detached: its name means another file, but who has it open goes on with this one.
  if (node.parent === null) return node.open === null ? fail('ESTALE') : located(node.open.fd, '')
  if (node.inDir !== null) return located(node.branch!.dirFd(node.inDir), node.inName!)
  return located(node.branch!.dirFd(node.parent.path), node.name)
}

/** As `locate`, of a file that is open by its descriptor: there is no name to be looked up. */
function reach(node: UnionNode): Location {
  const { open } = node
  const isOpen =
    open?.writable === true && open.passed === null && node.takesBytes && !node.branch!.foreign
  return isOpen ? located(open.fd, '') : locate(node)
}

function located(dir: number, name: string): Location {
  location.dir = dir
  location.name = name
  return location
}

/**
 * The number of a node's topmost file in the index of a published tree; 0 where the disk is to be
 * asked. It is asked for the tree's root, which was renamed since its index was made.
 */
export function indexedAt(node: UnionNode): number {
  const { index, numberBase } = node.top
  if (index === null || node.fd !== -1 || node.stale) return 0
  if (!node.isDirectory) {
    const number = node.parent === null ? 0 : node.ino - numberBase
    return number > 0 && number <= index.entries ? number : 0
  }
  const number = index.directory(pathIn(node, node.places[0]!))
  return number === 1 ? 0 : number
}

/** Fills `view.stat` with the node's own attributes on disk. */
export function statNode(view: View, node: UnionNode): Stat {
  const number = indexedAt(node)
  if (number !== 0) {
    if (node.open !== null) learnAccess(node, node.open)
    node.top.index!.tablesOf(number).fill(number, view.stat)
    return view.stat
  }
  const { dir, name } = reach(node)
  must(sys.stat(dir, name, view.stat), 'stat')
  node.top.index?.showAccess(view.stat)
  return view.stat
}

/** Of an open file: what the kernel read by itself, the disk alone knows. */
export function learnAccess(node: UnionNode, open: OpenFile): void {
  const { index } = node.branch!
  if (open.passed === null || index === null) return
  if (sys.stat(open.fd, '', onDisk) >= 0) index.learnAccess(indexedAt(node), onDisk)
}

/** When a file of a branch changed, as programs see it. */
export const ctimeOf = (branch: Branch, stat: Stat): Moment =>
  branch.ctimes?.shown(stat) ?? { seconds: stat.ctime, nsec: stat.ctimeNsec }

/** The attributes programs see, from `stat` of the topmost file. Filled anew by the next call. */
export function attributesOf(view: View, node: UnionNode, stat: Stat): Attr {
  const { attr } = view
  const branch = node.top
  attr.ino = node.ino
  attr.size = stat.size
  attr.blocks = node.data === null ? stat.blocks : blocksOfData(view, node.data, stat.blocks)
  attr.atime = stat.atime
  attr.atimeNsec = stat.atimeNsec
  attr.mtime = stat.mtime
  attr.mtimeNsec = stat.mtimeNsec
  const { seconds, nsec } = ctimeOf(branch, stat)
  attr.ctime = seconds
  attr.ctimeNsec = nsec
  const piece = node.blocks?.piece ?? null
  if (piece !== null) showTimes(attr, piece.mtime, piece.ctime)
  attr.mode = stat.mode
  attr.uid = stat.uid
  attr.gid = stat.gid
  attr.rdev = stat.rdev
  attr.blksize = stat.blksize
  attr.nlink = linkCount(view, node, branch, stat)
  if (branch.index !== null) override(attr, branch.index.overrideOf(stat), view)
  return attr
}

// Of a file whose attributes alone were copied up, the one below has the bytes, and the holes. Where
// they are missing, the name is there all the same.
function blocksOfData(view: View, data: DataPlace, own: number): number {
  data.allocated ??= allocatedFor(view, data)
  return data.blocks?.shownBlocks(own, data.allocated) ?? data.allocated
}

const allocatedFor = (view: View, { branch, dir, name }: DataPlace): number =>
  lies(branch, joinPath(dir, name), view.below) ? view.below.blocks : 0

// An io thread fills a part of the file, which is no change of it.
function showTimes(attr: Attr, mtime: Moment, ctime: Moment): void {
  attr.mtime = mtime.seconds
  attr.mtimeNsec = mtime.nsec
  attr.ctime = ctime.seconds
  attr.ctimeNsec = ctime.nsec
}

// A merged directory's subdirectories would have to be counted: 1 says "unknown" (as the
// kernel's overlayfs does, and find(1) understands).
function linkCount(view: View, node: UnionNode, branch: Branch, stat: Stat): number {
  if (node.isDirectory) {
    if (node.fd !== -1) return 0
    return node.places.length === 1 ? stat.nlink : 1
  }
  // A name that was removed above is still there in a read-only branch.
  const hidden = !branch.writable && !isLinkedBelow(branch, stat)
  if (node.fd !== -1 && (hidden || node.hidden)) return stat.nlink - 1
  return linksShown(view, branch, stat)
}

function override(attr: Attr, recorded: Override | null, view: View): void {
  if (recorded === null) return
  if (recorded.mode !== undefined) {
    attr.mode = (recorded.mode & ~S.IFMT) | (attr.mode & S.IFMT)
  }
  // An ordinary user's mount shows everything as the user's own.
  if (!view.options.privileged) return
  if (recorded.uid !== undefined) attr.uid = recorded.uid
  if (recorded.gid !== undefined) attr.gid = recorded.gid
}

const TIMES = FATTR.ATIME | FATTR.MTIME

/** Applies what a SETATTR asks. Throws Errno, or Parked for a copy-up. */
export function setAttributes(
  view: View,
  caller: Caller,
  node: UnionNode,
  request: SetattrRequest,
): void {
  const { valid } = request
  if (valid & FATTR.SIZE) {
    truncate(view, node, request.size, valid & FATTR.KILL_SUIDGID ? caller : null)
  }
  const owner = changesOwner(view, caller, node, valid)
  if (!owner && (valid & (FATTR.MODE | TIMES)) === 0) return
  if (tellsNothing(view, node, request)) return
  copyUp(view, node, 'attributes')
  const at = locate(node)
  beforeChange(node.top, 'attributes', at.dir, at.name)
  const { dir, name } = reach(node)
  if (owner) changeOwner(caller, dir, name, request)
  // After the owner: changing that clears setuid and setgid.
  if (valid & FATTR.MODE) must(sys.chmodat(dir, name, request.mode & ~S.IFMT), 'chmod')
  if (valid & TIMES) must(setTimes(dir, name, request), 'utimens')
  if (valid & FATTR.MTIME && node.open !== null) node.open.changed = null
  view.changed(node)
}

/**
 * The ctime that the kernel told is shown: the disk has a later one, of when it was told. `stat` has
 * the file's attributes of now.
 */
export function keepCtime(node: UnionNode, request: SetattrRequest, stat: Stat): void {
  if ((request.valid & FATTR.CTIME) === 0) return
  node.top.ctimes?.keep(stat, { seconds: request.ctime, nsec: request.ctimeNsec })
}

// The kernel tells the ctime of a file that lost one of its names with the mtime it had: no reason
// to copy it up.
function tellsNothing(view: View, node: UnionNode, request: SetattrRequest): boolean {
  const told = FATTR.MTIME | FATTR.CTIME
  const rest = request.valid & ~(FATTR.FH | FATTR.LOCKOWNER)
  if (rest !== told || !view.kernelHasTimes || node.top.writable) return false
  const { mtime, mtimeNsec } = statNode(view, node)
  return mtime === request.mtime && mtimeNsec === request.mtimeNsec
}

function setTimes(dir: number, name: string, request: SetattrRequest): number {
  const { valid } = request
  const nsec = (set: number, now: number, value: number) =>
    valid & set ? (valid & now ? UTIME_NOW : value) : UTIME_OMIT
  return sys.utimensat(
    dir,
    name,
    request.atime,
    nsec(FATTR.ATIME, FATTR.ATIME_NOW, request.atimeNsec),
    request.mtime,
    nsec(FATTR.MTIME, FATTR.MTIME_NOW, request.mtimeNsec),
  )
}

/**
 * Changes content of a file whose mtime the kernel has in hand: what it is now, it tells by
 * SETATTR, unless that is what it was, to the tick of its clock.
 */
export function keepMtime<T>(view: View, branch: Branch, fd: number, change: () => T): T {
  if (!view.kernelHasTimes) return change()
  const { below } = view
  must(sys.stat(fd, '', below), 'stat')
  const { mtime, mtimeNsec } = below
  const shown = ctimeOf(branch, below)
  const answer = change()
  must(sys.utimensat(fd, '', 0, UTIME_OMIT, mtime, mtimeNsec), 'utimens')
  if (branch.ctimes !== null && sys.stat(fd, '', below) >= 0) branch.ctimes.keep(below, shown)
  return answer
}

/**
 * After a name in a directory changed: the times that programs see are its topmost place's,
 * and a change in a lower layer's writable sublayer has not moved them.
 */
export function stampDirectory(view: View, dir: UnionNode): void {
  if (dir.fd !== -1 || dir.places.length < 2 || view.options.readOnly) return
  const { layer } = dir.places[0]!.branch
  const others = dir.places.some((place) => place.branch.layer !== layer)
  if (layer.rw === null || !others) return
  try {
    ensureDirectory(view, dir, layer)
    const fd = layer.rw.dirFd(dir.path)
    beforeChange(layer.rw, 'attributes', fd, '')
    must(sys.utimensat(fd, '', 0, UTIME_OMIT, 0, UTIME_NOW), 'utimens')
  } catch (err) {
    // The name has changed already: a full disk costs the time, not the request.
    if (!(err instanceof Errno)) throw err
  }
}

/**
 * Cuts or grows a file; to 0 without copying what is thrown away. `dropsFor`: it loses its
 * privileges, as this caller's change makes it.
 */
export function truncate(view: View, node: UnionNode, size: number, dropsFor: Caller | null): void {
  if (node.type !== S.IFREG) fail(node.isDirectory ? 'EISDIR' : 'EINVAL')
  const { branch, data } = node
  const cuts = size === 0 || (size <= SMALLEST && statNode(view, node).size > SMALLEST)
  copyUp(view, node, cuts ? 'nothing' : 'content', size)
  const isNew = cuts && (node.branch !== branch || node.data !== data)
  const open = openBacking(node, true)
  const { blocks } = node
  try {
    preserveAhead(node.branch!, open.fd, size, Number.POSITIVE_INFINITY)
    beforeChange(node.branch!, 'content', open.fd, '', node, size)
    blocks?.keepMark(open.fd)
    keepMtime(view, node.branch!, open.fd, () => {
      const done = sys.ftruncate(open.fd, size)
      const isDone = isNew && sys.stat(open.fd, '', view.below) >= 0 && view.below.size === size
      if (!isDone) must(done, 'truncate')
    })
    if (blocks !== null) {
      blocks.resized(open.fd, size)
      followUp(view, blocks)
    }
    if (dropsFor !== null) dropPrivileges(dropsFor, open.fd)
  } finally {
    open.close()
  }
  view.resized(node, size)
}

const ACL = 'system.posix_acl_'

/** What a link points to. Throws Errno. */
export function readTarget(node: UnionNode, buffer: Buffer): string {
  const number = indexedAt(node)
  if (number !== 0) {
    node.top.accessed(number)
    return node.top.index!.tables.target(number)
  }
  const { dir, name } = locate(node)
  return buffer.latin1Slice(0, must(sys.readlinkat(dir, name, buffer), 'readlink'))
}

/** The value, or null where the attribute is not set. Throws Errno. */
export function readXattr(node: UnionNode, name: string): Buffer | null {
  if (name === CAPABILITY && node.noCapability) return null
  if (isMarkName(name)) return null
  if (isKnownAbsent(node, name)) return null
  const { dir, name: at } = locate(node)
  const value = getXattr(dir, at, name)
  if (typeof value !== 'number') return value
  // A disk without ACLs has none: said so, the kernel checks the mode instead of refusing.
  if (value === -ERRNO.EOPNOTSUPP && name.startsWith(ACL)) return null
  if (value === -ERRNO.ENODATA) {
    if (name === CAPABILITY) node.noCapability = node.top.writable && !node.top.foreign
    return null
  }
  throw new Errno(-value, 'getxattr')
}

// By the index, of a name that the disk would take: others are its to refuse.
function isKnownAbsent(node: UnionNode, name: string): boolean {
  const number = indexedAt(node)
  if (number === 0) return false
  const branch = node.top
  const flags = branch.index!.tablesOf(number).flags(number)
  if (name === `${ACL}access`) return (flags & HAS.accessList) === 0
  if (name === `${ACL}default`) return (flags & HAS.defaultList) === 0
  const has = name === CAPABILITY ? flags & HAS.capability : flags
  return has === 0 && branch.takesAttribute(name)
}

// A file that its owner may write but not read lists its attributes all the same.
function hasXattr(node: UnionNode, name: string): boolean {
  try {
    return readXattr(node, name) !== null
  } catch (err) {
    if (err instanceof Errno && err.code === 'EACCES') return listXattrs(node).includes(name)
    throw err
  }
}

export function listXattrs(node: UnionNode): string[] {
  const number = indexedAt(node)
  if (number !== 0 && node.top.index!.tablesOf(number).flags(number) === 0) return []
  const { dir, name } = locate(node)
  return listXattr(dir, name).filter((attribute) => !isMarkName(attribute))
}

export function writeXattr(
  view: View,
  node: UnionNode,
  name: string,
  value: Buffer,
  flags: number,
  killSgid: boolean,
): void {
  if (isMarkName(name)) fail('EPERM')
  // The value lies in the session's buffer, which a copy-up does not touch.
  copyUp(view, node, 'attributes')
  const { dir, name: at } = locate(node)
  beforeChange(node.top, 'attributes', dir, at)
  node.noCapability = false
  must(setXattr(dir, at, name, value, flags), 'setxattr')
  // The kernel says so of both ACLs; the one that new files inherit says nothing of the mode.
  if (killSgid && name === `${ACL}access`) {
    const { mode } = statNode(view, node)
    if (mode & S.ISGID) must(sys.chmodat(dir, at, mode & ~(S.IFMT | S.ISGID)), 'chmod')
  }
  view.changed(node)
}

export function deleteXattr(view: View, node: UnionNode, name: string): void {
  if (isMarkName(name)) fail('ENODATA')
  if (!hasXattr(node, name)) {
    // An access list that says no more than the mode does is not kept, and can still be removed.
    if (name.startsWith(ACL)) return
    fail('ENODATA')
  }
  copyUp(view, node, 'attributes')
  const { dir, name: at } = locate(node)
  beforeChange(node.top, 'attributes', dir, at)
  must(removeXattr(dir, at, name), 'removexattr')
  view.changed(node)
}
