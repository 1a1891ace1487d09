// Copy-up: bringing a file or directory from below into a writable sublayer, at the first
// change, without anybody seeing it half done.
//
//   work/tN  ◀─ bytes, owner, mode, xattrs, times     then rename to rw/…   then the node
//
// A change of attributes alone copies no bytes where the file lies in the layer's own
// read-only part: the copy is a metacopy, which says where the bytes are. Nor does the first write to
// a large file there, on a disk that cannot share bytes: the metacopy gets the changed blocks alone,
// and the rest in the background (blocks.ts).
//
// Rule: the node is pointed at the copy last. Large files are copied by an io thread: the
// request is parked, and runs again from its start; until then it has changed nothing.

import { ERRNO, Errno, fail } from '../base/errno.ts'
import { joinPath, type RelPath } from '../base/path.ts'
import { type Job, type JobWork, Parked } from '../fuse/filesystem.ts'
import { copyData } from '../host/copy.ts'
import { moveAsOwner } from '../host/own-rights.ts'
import { libcDevice, Stat } from '../host/stat.ts'
import { AT_REMOVEDIR, must, O, S, sys } from '../host/sys.ts'
import { clearMark, isWhiteout, setMark } from '../layer/marks.ts'
import { ctimeOf, locate } from './attributes.ts'
import { beforeChange, born } from './before-change.ts'
import { canClone, isFitForBlocks } from './block-choice.ts'
import { beginBlocks, copyStart, settleFirst } from './block-copy.ts'
import { SMALLEST } from './blocks.ts'
import { carryOver, firstMode } from './carry-over.ts'
import { holdCopy, rebind } from './files.ts'
import { carryOut, inRw, inWork } from './intent.ts'
import { keepCtime, keepTimes } from './keep-times.ts'
import type { UnionLayer } from './layer.ts'
import type { Copy } from './link-index.ts'
import { deletedNames, isLinkedBelow, learnNames, originOf, otherNames } from './links.ts'
import { naturalPath } from './lookup.ts'
import {
  type DataPlace,
  type FilePlace,
  type Moment,
  type PendingCopy,
  pathIn,
  placeIn,
  placeOf,
  sameStamp,
  stampOf,
  type UnionNode,
} from './node.ts'
import { noticeLinkedCopy } from './notice.ts'
import { part } from './passing.ts'
import { CAPABILITY } from './privileges.ts'
import { layerOf } from './route.ts'
import type { View } from './view.ts'

/** How much of a file must be in the writable sublayer. */
export type Need =
  | 'attributes'
  | 'content'
  /** As 'content', by who opens it: a copy that is made is held open (`node.open`). */
  | 'open'
  /** All bytes are to be in the sublayer. */
  | 'whole'
  /** It is about to be cut. */
  | 'nothing'

/** Up to this size bytes are copied inside the request; above it by an io thread. */
const COPY_INLINE = 1024 * 1024
/** A file that changes while it is copied is copied again so often: it may change for ever. */
const MOST_TRIES = 3

const source = new Stat()
const made = new Stat()

/**
 * Makes a node changeable. `keep`: of one that is about to be cut, how many bytes stay. Throws Errno,
 * or Parked while bytes are copied.
 */
export function copyUp(view: View, node: UnionNode, need: Need, keep = 0): void {
  if (view.options.readOnly) fail('EROFS')
  if (node.isDirectory) {
    if (node.fd !== -1) orphanDirectory(view, node)
    else ensureDirectory(view, node, layerOf(view, node))
    return
  }
  const passed = need === 'attributes' ? null : (node.open?.passed ?? null)
  if (passed?.behind) part(view, node)
  node.blocks?.waitForPiece()
  const has = isContent(need) ? node.takesBytes : node.data === null || need === 'attributes'
  if (node.branch!.writable && has) {
    // Copied up through another mount meanwhile.
    const { pending } = node
    const late = pending?.job.done === true && pending.layer.rw === node.branch
    if (node.data === null && late) discardCopy(view, node)
    const given = view.privateLayer
    if (given === null || view.stack.rank(node.branch!) === undefined) return
    const layer = node.branch!.layer
    if (layer === given || layer.owner === given) return
  }
  if (passed !== null) part(view, node)
  bring(view, node, node.fd === -1 ? layerOf(view, node) : orphanLayer(view, node), need, keep)
}

// A file that lost its name goes on in the layer it would have gone to.
function orphanLayer(view: View, node: UnionNode): UnionLayer {
  const own = node.top.layer
  const shown = own.rw !== null && view.stack.rank(own.rw) !== undefined
  return shown ? own : (view.privateLayer ?? view.writeTo ?? fail('EROFS'))
}

// A directory that was removed while somebody has it open keeps attributes that can be changed.
function orphanDirectory(view: View, node: UnionNode): void {
  if (node.top.writable) return
  const { work, rw } = orphanLayer(view, node)
  node.top.statSource(node.fd, '', source)
  const temp = view.tempName()
  must(sys.mkdirat(work, temp, 0o700), 'copy up')
  try {
    const mode = node.top.index?.override(source.ino)?.mode
    carryOver(view, node.fd, '', source, mode, work, temp, made)
    const fd = must(sys.openat(work, temp, O.PATH | O.DIRECTORY | O.NOFOLLOW), 'copy up')
    sys.close(node.fd)
    node.fd = fd
    node.places = [{ branch: rw!, path: null }]
  } finally {
    sys.unlinkat(work, temp, AT_REMOVEDIR)
  }
}

/** Puts a file that is no directory into a layer's writable sublayer, at its own path. */
export function bring(view: View, node: UnionNode, layer: UnionLayer, need: Need, keep = 0): void {
  if (layer.rw === null) fail('EROFS')
  if (node.fd === -1) ensureDirectory(view, node.parent ?? fail('ESTALE'), layer)
  sourceOf(node)
  if (node.blocks !== null) {
    const replaces = need === 'nothing' && node.branch === layer.rw && source.nlink === 1
    if (!replaces) settleFirst(node)
    if (node.data === null && node.branch === layer.rw) return
  }
  // A copy that was begun goes on.
  if (isContent(need) && node.pending === null && canHaveBlocks(view, node, layer)) {
    if (node.branch !== layer.rw) bring(view, node, layer, 'attributes')
    beginBlocks(view, node, layer.rw)
    return
  }
  if (node.fd === -1 && node.data !== null && node.branch === layer.rw && source.nlink > 1) {
    fillMetacopy(view, node, layer, keep === 0 ? need : 'whole')
    return
  }
  // Where marks are held, the copy would delete its own name.
  if (isWhiteout(source) && layer.rw.prefix !== null) fail('EPERM')
  if (source.nlink > 1) {
    learnNames(view, node, source)
    sourceOf(node)
  }
  const meta = need === 'attributes' && canMetacopy(node, layer)
  const copy =
    node.type === S.IFREG && !meta && need !== 'nothing' && source.size > 0
      ? withBytes(view, node, layer)
      : makeTemp(view, node, layer, meta ? source.size : 0)
  const { temp, fd } = copy
  const rebinds = copy.hasBytes ? fd : -1
  try {
    if (need === 'nothing' && keep > 0) copyStart(view, node, layer, temp, source.size, keep)
    if (meta) markMetacopy(node, layer, temp)
    if (isLinkedBelow(node.branch!, source)) markOrigin(node, layer, temp)
    const names = copyAttributes(view, node, layer.work, copy)
    const mtime = { seconds: source.mtime, nsec: source.mtimeNsec }
    const ctime = publish(view, node, layer, copy, meta)
    node.noCapability = !layer.rw.foreign && !names.includes(CAPABILITY)
    if (need === 'open' && rebinds !== -1) holdCopy(node, rebinds, { mtime, ctime })
  } catch (err) {
    sys.unlinkat(layer.work, temp)
    throw err
  } finally {
    if (copy.from !== -1) sys.close(copy.from)
    if (fd !== -1 && node.open?.fd !== fd) sys.close(fd)
  }
}

const isContent = (need: Need): boolean => need === 'content' || need === 'open'

function sourceOf(node: UnionNode): void {
  const { dir, name } = locate(node)
  node.top.statSource(dir, name, source)
}

function canMetacopy(node: UnionNode, layer: UnionLayer): boolean {
  return (
    node.type === S.IFREG &&
    node.fd === -1 &&
    source.size > 0 &&
    source.nlink === 1 &&
    node.branch!.layer === layer &&
    !node.branch!.writable &&
    layer.rw!.prefix !== null
  )
}

/** True where the changed blocks alone need to be in the sublayer, and the bytes cannot be shared. */
function canHaveBlocks(view: View, node: UnionNode, layer: UnionLayer): boolean {
  const { rw } = layer
  if (view.options.wholeCopies === true) return false
  if (node.fd !== -1 || rw?.unsettled == null || source.size <= SMALLEST) return false
  const isOwn = node.branch === rw && node.data !== null
  if (!isOwn && !canMetacopy(node, layer)) return false
  const from = node.data?.branch ?? node.branch!
  const temp = view.tempName()
  return (
    isFitForBlocks(rw, layer.work, temp) &&
    !canClone(rw, layer.work, temp, from, () => openSource(node))
  )
}

/** A file in `work/`, by its name. */
interface Temp {
  readonly temp: string
  /** It, open; -1 for what is no regular file. */
  readonly fd: number
  /** True where it is open for reading and writing, and has the source's bytes. */
  readonly hasBytes: boolean
  /** The source, open; -1 where it is not. */
  readonly from: number
}

function makeTemp(view: View, node: UnionNode, layer: UnionLayer, size: number): Temp {
  const temp = view.tempName()
  layer.rw!.written?.take(1, view.opened)
  let fd = -1
  if (node.type === S.IFREG) {
    fd = must(
      sys.openat(layer.work, temp, O.WRONLY | O.CREAT | O.EXCL, firstMode(source)),
      'copy up',
    )
    const done = size === 0 ? 0 : sys.ftruncate(fd, size)
    if (done < 0) {
      sys.close(fd)
      sys.unlinkat(layer.work, temp)
    }
    must(done, 'copy up')
  } else if (node.type === S.IFLNK) {
    must(sys.symlinkat(view.readLink(node), layer.work, temp), 'copy up')
  } else {
    must(sys.mknodat(layer.work, temp, node.type | 0o600, libcDevice(source.rdev)), 'copy up')
  }
  return { temp, fd, hasBytes: false, from: -1 }
}

/** A temporary file with the node's bytes. Parks the request while they are copied or flushed. */
function withBytes(view: View, node: UnionNode, layer: UnionLayer): Temp {
  if (node.pending === null && source.size <= COPY_INLINE && layer.id === '') {
    return copyAtOnce(view, node, layer)
  }
  const { temp, fd } = copied(view, node, layer)
  takeCopy(view, node)
  return { temp: temp!, fd, hasBytes: true, from: -1 }
}

// What a drop-in mount copies inside the request, nobody waits for.
function copyAtOnce(view: View, node: UnionNode, layer: UnionLayer): Temp {
  const temp = view.tempName()
  const flags = O.RDWR | O.CREAT | O.EXCL
  const fd = must(sys.openat(layer.work, temp, flags, firstMode(source)), 'copy up')
  let from = -1
  try {
    from = openSource(node)
    copyData(from, fd, source.size)
    return { temp, fd, hasBytes: true, from }
  } catch (err) {
    if (from !== -1) sys.close(from)
    sys.close(fd)
    sys.unlinkat(layer.work, temp)
    throw err
  }
}

/** The node's copy, when it is done. Parks the request until then. */
function copied(view: View, node: UnionNode, layer: UnionLayer): PendingCopy {
  const pending = node.pending ?? startCopy(view, node, layer)
  const { job } = pending
  if (!job.done) throw new Parked(job)
  if (job.error !== 0 || pending.layer !== layer) {
    discardCopy(view, node)
    // Given up for who waited before.
    if (job.error !== 0 && job.error !== ERRNO.ECANCELED) throw new Errno(job.error, 'copy up')
    return copied(view, node, layer)
  }
  const { branch, stamp } = pending
  // What a file is filled with in place lies in a read-only part: that never changes.
  const same = pending.temp === null || sameStamp(stamp, source)
  if (!same && pending.tries < MOST_TRIES) {
    discardCopy(view, node)
    // Another file has the name now: whoever asks for it again finds that one.
    if (node.branch === branch && stamp.ino !== source.ino) fail('ESTALE')
    throw new Parked(startCopy(view, node, layer, pending.tries + 1).job)
  }
  return pending
}

/** A copy that nobody waits for any more, or that failed: as if it had not begun. */
export function discardCopy(view: View, node: UnionNode): void {
  const { pending } = node
  if (pending === null) return
  closeCopy(view, node)
  if (pending.temp !== null) sys.unlinkat(pending.layer.work, pending.temp)
  view.forgetIfUnused(node)
}

function closeCopy(view: View, node: UnionNode): void {
  sys.close(node.pending!.fd)
  takeCopy(view, node)
}

/** The copy is done; its descriptor is whose it is now. */
function takeCopy(view: View, node: UnionNode): void {
  const { job } = node.pending!
  if (job.kind === 'copy') sys.close(job.from)
  node.pending = null
  view.copying.delete(node)
}

function startCopy(view: View, node: UnionNode, layer: UnionLayer, tries = 0): PendingCopy {
  const { size, atime, atimeNsec, mtime, mtimeNsec } = source
  const stamp = stampOf(source)
  layer.rw!.written?.take(size, view.opened)
  const temp = node.branch === layer.rw && source.nlink > 1 ? null : view.tempName()
  const to =
    temp === null
      ? openToFill(node, layer)
      : must(sys.openat(layer.work, temp, O.RDWR | O.CREAT | O.EXCL, 0o600), 'copy up')
  const inline = size <= COPY_INLINE
  let from = -1
  try {
    from = openSource(node)
    if (inline) copyData(from, to, size)
  } catch (err) {
    sys.close(to)
    if (temp !== null) sys.unlinkat(layer.work, temp)
    throw err
  } finally {
    if (inline && from !== -1) sys.close(from)
  }
  const work: JobWork = inline
    ? { kind: 'fsync', fd: to, dataOnly: true }
    : { kind: 'copy', from, to, size, flush: layer.id !== '' }
  const job: Job = view.newJob(work)
  // A layer's bytes reach the disk before the name that shows them; a drop-in mount is as
  // volatile as its peers.
  if (inline && (layer.id === '' || layer.rw!.needsNoFlush(to))) job.done = true
  const times = [atime, atimeNsec, mtime, mtimeNsec] as const
  const changed = ctimeOf(node.branch!, source)
  node.pending = { temp, fd: to, layer, branch: node.branch!, stamp, tries, job, times, changed }
  view.copying.add(node)
  return node.pending
}

function openToFill(node: UnionNode, layer: UnionLayer): number {
  const { dir, name } = locate(node)
  const fd = must(sys.openat(dir, name, O.RDWR | O.NOFOLLOW), 'copy up')
  beforeChange(layer.rw!, 'content', fd, '')
  return fd
}

function openSource(node: UnionNode): number {
  if (node.open !== null) return must(sys.reopen(node.open.fd, O.RDONLY), 'copy up')
  if (node.data !== null) return openPlace(node.data)
  const { dir, name } = locate(node)
  if (name === '') return must(sys.reopen(dir, O.RDONLY), 'copy up')
  return must(sys.openat(dir, name, O.RDONLY | O.NOFOLLOW), 'copy up')
}

/** Opens the bytes of a metacopy. EIO where no file is: its name is there all the same. */
export function openPlace({ branch, dir, name }: FilePlace): number {
  try {
    const at = branch.dirFd(dir)
    must(sys.stat(at, name, made), 'open')
    // Others may have made the mark: neither a pipe nor a device is opened for it.
    if ((made.mode & S.IFMT) !== S.IFREG) fail('EIO', 'metacopy')
    return must(sys.openat(at, name, O.RDONLY | O.NOFOLLOW), 'open')
  } catch (err) {
    const missing = err instanceof Errno && (err.code === 'ENOENT' || err.code === 'ENOTDIR')
    throw missing ? new Errno(ERRNO.EIO, 'metacopy') : err
  }
}

/** What makes a file that lies in the layer's read-only part findable from its metacopy. */
function markMetacopy(node: UnionNode, layer: UnionLayer, temp: string): void {
  const { prefix } = layer.rw!
  setMark(layer.work, temp, 'metacopy', prefix!)
  const at = joinPath(node.inDir!, node.inName!)
  if (naturalPath(node.parent!, node.branch!, node.name) !== at) {
    setMark(layer.work, temp, 'redirect', prefix!, at)
  }
}

// Only there for the index to be made again; where the disk cannot hold it, that much is lost.
function markOrigin(node: UnionNode, layer: UnionLayer, temp: string): void {
  const { prefix } = layer.rw!
  if (prefix === null || (prefix === 'user' && node.type !== S.IFREG)) return
  const key = originOf(node.branch!, source)
  setMark(layer.work, temp, 'origin', prefix, `${key}/${source.nlink}` as RelPath)
}

/** A copy, about to get its name, that other names of the base lead to. */
function indexCopy(view: View, node: UnionNode, layer: UnionLayer, temp: string): Copy | null {
  const { links } = layer
  const from = node.branch!
  if (links === null || source.nlink < 2) return null
  if (isLinkedBelow(from, source)) {
    const key = originOf(from, source)
    const unseen = source.nlink - deletedNames(view, key)
    // Unnamed, and the base's other names are deleted too: nobody will look for it.
    if (node.fd !== -1 && unseen <= 0) return null
    return links.add(key, made.ino, unseen, layer.work, temp)
  }
  const known = from.writable ? from.layer.links?.byInode(source.ino) : undefined
  return known === undefined ? null : links.add(known.key, made.ino, known.unseen, layer.work, temp)
}

/**
 * Owner, mode, extended attributes and times of a node's file, put on its copy, which is in `made` then.
 * Answers the attributes' names.
 */
function copyAttributes(view: View, node: UnionNode, work: number, copy: Temp): string[] {
  const { dir, name } = locate(node)
  const mode = node.top.index?.override(source.ino)?.mode
  // What is open may be what has the bytes alone, or what the kernel was given.
  const from = node.data === null && node.open === null ? copy.from : -1
  return carryOver(view, dir, name, source, mode, work, copy.temp, made, { from, fd: copy.fd })
}

/** Puts the copy in its place; answers the ctime that it shows. */
function publish(
  view: View,
  node: UnionNode,
  layer: UnionLayer,
  { temp, fd, hasBytes }: Temp,
  meta: boolean,
): Moment {
  const rw = layer.rw!
  const backing = made.ino
  const linked = source.nlink > 1
  layer.numbers?.set(backing, node.ino)
  born(rw, backing)
  const lies = { branch: node.branch!, dir: node.inDir!, name: node.inName! }
  const data: DataPlace | null = meta ? { ...lies, blocks: null, allocated: source.blocks } : null
  const from = node.branch!
  const old = source.ino
  const shown = ctimeOf(from, source)
  const was = { branch: from, place: placeOf(node), data: node.data }
  const copy = indexCopy(view, node, layer, temp)
  if (node.fd !== -1) {
    publishUnnamed(node, layer, temp)
    keepCtime(rw, node.fd, '', shown)
    if (copy !== null) view.rememberLink(rw, backing, node)
    return shown
  }
  const fromBase = isLinkedBelow(from, source)
  let count = 1
  try {
    if (linked) count = publishLinked(view, node, layer, temp)
    else {
      const dir = rw.dirFd(node.parent!.path)
      const { nameChanges } = rw
      beforeChange(rw, from === rw ? 'gone' : 'names', dir, node.name)
      rw.own?.adds(nameChanges, node.parent!.path, node.name)
      keepTimes(rw, dir, () => must(moveAsOwner(layer.work, temp, dir, node.name), 'copy up'))
    }
  } catch (err) {
    if (copy !== null) layer.links!.drop(copy)
    throw err
  }
  node.branch = rw
  node.inDir = null
  node.inName = null
  node.data = data
  node.stamp = null
  if (!meta) rebind(node, hasBytes ? fd : -1)
  if (linked) {
    view.rememberLink(rw, backing, node)
    if (view.sharesBranches) noticeLinkedCopy(view, from, old)
  }
  if (copy !== null && fromBase) layer.links!.seen(copy, count)
  if (fd !== -1) keepCtime(rw, fd, '', shown)
  else keepCtime(rw, rw.dirFd(node.parent!.path), node.name, shown)
  view.copied(node, was)
  return shown
}

/** All names of a file come at once: cut off between them, it would be two files. Answers how many. */
function publishLinked(view: View, node: UnionNode, layer: UnionLayer, temp: string): number {
  const temps = [temp]
  const others = otherNames(view, node, node.branch!, source.ino, layer)
  try {
    for (const _ of others) {
      const link = view.tempName()
      must(sys.linkat(layer.work, temp, layer.work, link), 'link')
      temps.push(link)
    }
    const names = [{ dir: node.parent!, name: node.name }, ...others]
    const moves = names.map(({ dir, name }, i) => ({
      from: inWork(layer, temps[i]!),
      to: inRw(layer, dir.path, name),
      leaves: false,
      unseen: true,
      fileOnly: true as const,
    }))
    carryOut(view, moves)
    return moves.length
  } catch (err) {
    for (const link of temps.slice(1)) sys.unlinkat(layer.work, link)
    throw err
  } finally {
    for (const { dir } of others) view.forgetIfUnused(dir)
  }
}

function publishUnnamed(node: UnionNode, layer: UnionLayer, temp: string): void {
  const fd = must(sys.openat(layer.work, temp, O.RDWR | O.NOFOLLOW), 'copy up')
  sys.unlinkat(layer.work, temp)
  sys.close(node.fd)
  node.fd = fd
  node.branch = layer.rw
  node.inDir = null
  node.inName = null
  node.data = null
  rebind(node)
}

// All names of a hard-linked metacopy are one file: it is filled where it lies. The mark goes
// when the bytes are on the disk, so until then they are taken from below, and its going changes none.
function fillMetacopy(view: View, node: UnionNode, layer: UnionLayer, need: Need): void {
  const rw = layer.rw!
  let changed: Moment | null = null
  if (need === 'nothing') {
    const fd = openToFill(node, layer)
    const done = sys.ftruncate(fd, 0)
    sys.close(fd)
    must(done, 'copy up')
  } else {
    const { times, changed: before } = copied(view, node, layer)
    changed = before
    closeCopy(view, node)
    const { dir, name } = locate(node)
    must(sys.utimensat(dir, name, ...times), 'copy up')
  }
  const { dir, name } = locate(node)
  beforeChange(rw, 'attributes', dir, name)
  clearMark(dir, name, 'metacopy', rw.prefix!)
  if (changed !== null) keepCtime(rw, dir, name, changed)
  node.data = null
  rebind(node)
  view.changed(node)
}

/**
 * The directory of a node in a layer's writable sublayer, made with its parents where it is
 * missing, each with the attributes it shows in that layer (or in the view, where that layer
 * has none). Throws Errno.
 */
export function ensureDirectory(view: View, node: UnionNode, layer: UnionLayer): void {
  const rw = layer.rw ?? fail('EROFS')
  if (node.fd !== -1) fail('ENOENT')
  if (placeIn(node, rw) !== null) return
  ensureDirectory(view, node.parent!, layer)
  const model = node.places.find((place) => place.branch.layer === layer) ?? node.places[0]!
  const from = model.branch.dirFd(pathIn(node, model))
  model.branch.statSource(from, '', source)
  const shown = ctimeOf(model.branch, source)
  const temp = view.tempName()
  must(sys.mkdirat(layer.work, temp, 0o700), 'copy up')
  try {
    const mode = model.branch.index?.override(source.ino)?.mode
    carryOver(view, from, '', source, mode, layer.work, temp, made)
    redirectIfMoved(node, layer, temp)
    const into = rw.dirFd(node.parent!.path)
    const { nameChanges } = rw
    beforeChange(rw, 'names', into, node.name)
    rw.own?.adds(nameChanges, node.parent!.path, node.name)
    born(rw, made.ino)
    layer.numbers?.set(made.ino, node.ino)
    keepTimes(rw, into, () => must(moveAsOwner(layer.work, temp, into, node.name), 'copy up'))
    rw.own?.begins(node.parent!.path, into, node.name, node.path)
    keepCtime(rw, into, node.name, shown)
  } catch (err) {
    sys.unlinkat(layer.work, temp, AT_REMOVEDIR)
    throw err
  }
  view.addPlace(node, rw)
}

// The layer's read-only part of a directory lies elsewhere when a parent was renamed: its
// children were found below the parent's redirect, and so is this one, by its name.
function redirectIfMoved(node: UnionNode, layer: UnionLayer, temp: string): void {
  const place = node.places.find((one) => one.branch.layer === layer && !one.branch.writable)
  if (place === undefined || layer.rw!.prefix === null) return
  const natural = naturalPath(node.parent!, place.branch, node.name)
  if (natural !== place.path) setMark(layer.work, temp, 'redirect', layer.rw!.prefix, place.path)
}
