// Rename, in one mount never EXDEV.
//
//   file        copied up into its layer where it is not yet (attributes only, where the bytes
//               lie in the own read-only part), then renamed natively in the writable sublayer
//   directory   in each layer that has it: its writable part is renamed natively, and a redirect
//               says where the read-only part lies; the base's part is told by a base mark.
//               O(layers), not O(files)
//
// Where a directory would lie over what other layers hide at the new name, so that no mark
// could say it, it is first written out whole into one layer (`flatten`).
//
// Rule: when the old name would show something from below, a whiteout is left there by the
// same rename (RENAME_WHITEOUT, or the exchange with the one at the new name).

import { fail } from '../base/errno.ts'
import { isWithin, joinPath, type RelPath } from '../base/path.ts'
import { DT, listDirectory } from '../host/directory.ts'
import { Stat } from '../host/stat.ts'
import { must, RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT, sys } from '../host/sys.ts'
import { clearMark, isWhiteout, setMark } from '../layer/marks.ts'
import { locate, statNode } from './attributes.ts'
import type { Branch } from './branch.ts'
import { bring, copyUp, ensureDirectory, keepTimes } from './copy-up.ts'
import { beforeChange } from './freeze.ts'
import type { UnionLayer } from './layer.ts'
import { bringLinked, nameWent } from './links.ts'
import { naturalPath } from './lookup.ts'
import { type FilePlace, pathIn, placeIn, type UnionNode } from './node.ts'
import { listMerged } from './readdir.ts'
import { keepingFile, type SetAside, setAside, showsBelow } from './remove.ts'
import { layerOf, raise } from './route.ts'
import type { View } from './view.ts'

const stat = new Stat()

/** Carries out a RENAME2. Throws Errno, or Parked while a file is copied. */
export function rename(
  view: View,
  from: UnionNode,
  name: string,
  to: UnionNode,
  newName: string,
  flags: number,
): void {
  if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) fail('EINVAL')
  if (view.options.readOnly) fail('EROFS')
  const node = view.child(from, name) ?? fail('ENOENT')
  const target = view.child(to, newName)
  if (target !== null && flags & RENAME_NOREPLACE) fail('EEXIST')
  if (node === target) return
  view.nameFirst(node, from, name)
  if (target !== null) view.nameFirst(target, to, newName)
  if (node.isDirectory && (to === node || isWithin(to.path, node.path))) fail('EINVAL')
  if (flags & RENAME_EXCHANGE) {
    exchange(view, node, target ?? fail('ENOENT'))
    return
  }
  if (target !== null) {
    checkReplaceable(view, node, target)
    bringLinked(view, target)
  }
  const layer = prepare(view, node, to, newName)
  const move = node.isDirectory ? moveDirectory : moveFile
  if (target === null) move(view, node, to, newName, layer)
  else {
    keepingFile(target, () => {
      const away = target.isDirectory ? setAside(view, to, newName, layer) : null
      try {
        move(view, node, to, newName, layer)
      } catch (err) {
        away?.undo()
        throw err
      }
      away?.finish()
    })
    if (!target.isDirectory) dropLink(view, target, to, newName, layer)
    nameWent(target, layer)
    view.removeName(target, to, newName)
  }
  view.moveName(node, to, newName)
  forgetBelow(view, node)
}

// What was written out was visited file by file: the kernel does not know them all.
function forgetBelow(view: View, node: UnionNode): void {
  for (const child of [...(node.children?.values() ?? [])]) {
    forgetBelow(view, child)
    view.forgetIfUnused(child)
  }
}

function checkReplaceable(view: View, node: UnionNode, target: UnionNode): void {
  if (node.isDirectory && !target.isDirectory) fail('ENOTDIR')
  if (!node.isDirectory && target.isDirectory) fail('EISDIR')
  if (target.isDirectory && listMerged(view, target).length > 0) fail('ENOTEMPTY')
}

/** Brings a node into the one layer that can show it at the new name. Parks before any effect. */
function prepare(view: View, node: UnionNode, to: UnionNode, newName: string): UnionLayer {
  const own = layerOf(view, node)
  const raised = raise(view, own.owner ?? own, to, newName).forPath(joinPath(to.path, newName))
  if (node.isDirectory) {
    const top = raised.owner ?? raised
    const contributing = node.places.some((place) => place.branch.layer === top)
    const others = view.privateLayer !== null && contributors(node).some((one) => one !== top)
    if (others || (!contributing && view.stack.isAbove(top, own))) flatten(view, node, top)
    return top
  }
  if (node.branch!.layer !== raised) relocate(view, node, raised)
  else copyUp(view, node, 'attributes')
  return raised
}

/** Moves a file's copy to another layer, with all its names. */
export function relocate(view: View, node: UnionNode, layer: UnionLayer): void {
  const old = node.branch!
  const backing = statNode(view, node).ino
  bring(view, node, layer, 'content')
  // A scratch area's file lies above its layer's: what is left there would hide the new one.
  if (!old.writable || old === layer.rw || !view.stack.isAbove(old.layer, layer)) return
  for (const { parent, name } of [
    { parent: node.parent!, name: node.name },
    ...(node.links ?? []),
  ]) {
    if (placeIn(parent, old) === null) continue
    const dir = old.dirFd(parent.path)
    if (sys.stat(dir, name, stat) < 0 || stat.ino !== backing) continue
    beforeChange(old, 'gone', dir, name)
    sys.unlinkat(dir, name)
  }
  const copy = old.layer.links?.byInode(backing)
  if (copy !== undefined) old.layer.links!.drop(copy)
}

/** One of several names of a file goes by being hidden from above: its own layer counts it no more. */
function dropLink(
  view: View,
  target: UnionNode,
  to: UnionNode,
  name: string,
  layer: UnionLayer,
): void {
  const branch = target.branch!
  if (!branch.writable || branch === layer.rw || statNode(view, target).nlink < 2) return
  const dir = branch.dirFd(to.path)
  beforeChange(branch, 'gone', dir, name)
  sys.unlinkat(dir, name)
}

function moveFile(
  view: View,
  node: UnionNode,
  to: UnionNode,
  newName: string,
  layer: UnionLayer,
): void {
  const rw = layer.rw!
  const from = node.parent!
  const { name } = node
  ensureDirectory(view, to, layer)
  if (node.data !== null && rw.prefix !== null) pointAt(node, node.data, layer)
  const leaves = showsBelow(view, from, name, layer)
  renameIn(layer, from, name, to, newName, leaves)
  takeScratchOut(view, to, newName, layer)
}

function takeScratchOut(view: View, to: UnionNode, newName: string, layer: UnionLayer): void {
  const over = layer.scratch?.rw
  if (over === undefined || over === null || placeIn(to, over) === null) return
  sys.unlinkat(over.dirFd(to.path), newName)
  view.forgetAbsent(to, newName)
}

function pointAt(node: UnionNode, data: FilePlace, layer: UnionLayer): void {
  const { dir, name } = locate(node)
  beforeChange(layer.rw!, 'attributes', dir, name)
  setMark(dir, name, 'redirect', layer.rw!.prefix!, joinPath(data.dir, data.name))
}

/** Renames a file inside one writable sublayer; a whiteout stays at the old name where one is needed. */
function renameIn(
  layer: UnionLayer,
  from: UnionNode,
  name: string,
  to: UnionNode,
  newName: string,
  leaves: boolean,
): void {
  const { source, target } = bothEnds(layer.rw!, from, name, to, newName)
  must(sys.renameat(source, name, target, newName, leaves ? RENAME_WHITEOUT : 0), 'rename')
}

function bothEnds(rw: Branch, from: UnionNode, name: string, to: UnionNode, newName: string) {
  const source = rw.dirFd(from.path)
  const target = rw.dirFd(to.path)
  beforeChange(rw, 'gone', source, name)
  beforeChange(rw, 'gone', target, newName)
  beforeChange(rw, 'names', target, '')
  return { source, target }
}

/**
 * The same for a layer's part of a directory. It can be taken back, which needs no room, until
 * it is finished, because the parts of other layers may fail to follow.
 */
function renamePart(
  layer: UnionLayer,
  from: UnionNode,
  name: string,
  to: UnionNode,
  newName: string,
  leaves: boolean,
): SetAside {
  const rw = layer.rw!
  const { source, target } = bothEnds(rw, from, name, to, newName)
  const ends = () => ({ source: rw.dirFd(from.path), target: rw.dirFd(to.path) })
  const back = (flags: number) => {
    const { source, target } = ends()
    sys.renameat(target, newName, source, name, flags)
    return target
  }
  // What is there is a whiteout: the target gave way before.
  const over = sys.stat(target, newName, stat) >= 0
  const flags = over ? RENAME_EXCHANGE : leaves ? RENAME_WHITEOUT : 0
  const restoreTimes = [timesOf(source), timesOf(target)]
  must(sys.renameat(source, name, target, newName, flags), 'rename')
  return {
    finish() {
      if (over && !leaves) sys.unlinkat(ends().source, name)
    },
    undo() {
      if (over) back(RENAME_EXCHANGE)
      else if (leaves) sys.unlinkat(back(RENAME_EXCHANGE), newName)
      else back(0)
      const { source, target } = ends()
      restoreTimes[0]!(source)
      restoreTimes[1]!(target)
    },
  }
}

/** What sets a directory's times back to those of now. */
function timesOf(dir: number): (dir: number) => void {
  must(sys.stat(dir, '', stat), 'rename')
  const { atime, atimeNsec, mtime, mtimeNsec } = stat
  return (dir) => void sys.utimensat(dir, '', atime, atimeNsec, mtime, mtimeNsec)
}

function moveDirectory(
  view: View,
  node: UnionNode,
  to: UnionNode,
  newName: string,
  layer: UnionLayer,
): void {
  const from = node.parent!
  const { name, path } = node
  ensureDirectory(view, node, layer)
  let layers = contributors(node)
  const hidden = hiddenAt(to, newName)
  // In a closed directory only the layer that closed it shows, and what lies above.
  const others = to.closed || hidden.some((other) => other !== layer)
  if (!canRedirect(view, node, layers) || (others && layers.length > 1)) {
    flatten(view, node, layer)
    layers = contributors(node)
  }
  const base = node.places.find((place) => place.branch.layer.isBase && !place.branch.writable)
  for (const one of layers) {
    ensureDirectory(view, node, one)
    ensureDirectory(view, to, one)
    redirect(node, one)
  }
  const rw = layer.rw!
  if (base !== undefined && rw.prefix !== null) {
    beforeChange(rw, 'attributes', rw.dirFd(path), '')
    setMark(rw.dirFd(path), '', 'base', rw.prefix, pathIn(node, base))
  }
  if (hidden.length > 0 && rw.prefix !== null) veil(node, layer, hidden)
  const parts: SetAside[] = []
  try {
    for (const one of layers) {
      const last = one === layers.at(-1)
      const leaves =
        (last || one === layer ? showsBelow(view, from, name, one) : false) ||
        ownShows(from, name, one)
      parts.push(renamePart(one, from, name, to, newName, leaves && one.rw!.prefix !== null))
    }
  } catch (err) {
    for (const part of parts.reverse()) part.undo()
    throw err
  } finally {
    for (const one of layers) {
      one.rw!.moved(path)
      one.rw!.moved(joinPath(to.path, newName))
    }
  }
  for (const part of parts) part.finish()
}

/** Layers with a writable sublayer that have something of a directory, top first. */
function contributors(node: UnionNode): UnionLayer[] {
  const layers = node.places.map((place) => place.branch.layer).filter((one) => one.rw !== null)
  return [...new Set(layers)]
}

/** Layers that have something at a name where the view shows nothing: hidden there, to stay hidden. */
function hiddenAt(dir: UnionNode, name: string): UnionLayer[] {
  const found = dir.places.filter((place) => {
    const { branch } = place
    if (!branch.peek(pathIn(dir, place), name, stat)) return false
    return branch.prefix === null || !isWhiteout(stat)
  })
  return [...new Set(found.map((place) => place.branch.layer))]
}

// A redirect names one path for all read-only trees of a layer; a base mark needs a place to
// stand in. Two layers' scratch areas are renamed like layers.
function canRedirect(view: View, node: UnionNode, layers: readonly UnionLayer[]): boolean {
  for (const layer of layers) {
    const paths = node.places
      .filter((place) => place.branch.layer === layer && !place.branch.writable)
      .map((place) => place.path)
    if (new Set(paths).size > 1) return false
    if (paths.length > 0 && layer.rw!.prefix === null) return false
    if (paths.length > 0 && hasLinkedFiles(layer, paths[0]!)) return false
  }
  return !view.options.readOnly
}

/** True where a hard-linked file of the layer lies under a path: its names must stay findable. */
function hasLinkedFiles(layer: UnionLayer, path: RelPath): boolean {
  return layer.ros.some((ro) => ro.linkedWithin(path))
}

function redirect(node: UnionNode, layer: UnionLayer): void {
  const rw = layer.rw!
  const ro = node.places.find((place) => place.branch.layer === layer && !place.branch.writable)
  if (ro === undefined || rw.prefix === null) return
  beforeChange(rw, 'attributes', rw.dirFd(node.path), '')
  setMark(rw.dirFd(node.path), '', 'redirect', rw.prefix, pathIn(node, ro))
}

// Opaque hides the own read-only part and all other layers (a base mark is followed all the
// same); a veil only the others, because a redirect is to be followed.
function veil(node: UnionNode, layer: UnionLayer, hidden: readonly UnionLayer[]): void {
  const rw = layer.rw!
  const dir = rw.dirFd(node.path)
  const hasOwn = node.places.some((one) => one.branch.layer === layer && !one.branch.writable)
  const hasBase = node.places.some((one) => one.branch.layer.isBase)
  beforeChange(rw, 'attributes', dir, '')
  // Whiteouts still hide what the base has.
  if (!hasOwn && hasBase) setMark(dir, '', 'opaque', rw.prefix!)
  else if (!hasOwn) close(rw, dir)
  else if (hidden.some((other) => other !== layer)) setMark(dir, '', 'veil', rw.prefix!)
  node.closed = true
}

/** Makes a directory opaque. Its whiteouts go: the kernel's overlayfs would list them. */
function close(rw: Branch, dir: number): void {
  beforeChange(rw, 'attributes', dir, '')
  setMark(dir, '', 'opaque', rw.prefix!)
  keepTimes(dir, () => {
    for (const { name, type } of listDirectory(dir)) {
      if (type !== DT.CHR || sys.stat(dir, name, stat) < 0 || !isWhiteout(stat)) continue
      beforeChange(rw, 'gone', dir, name)
      must(sys.unlinkat(dir, name), 'opaque')
    }
  })
}

/** True where the layer's own read-only part has the name: its writable part must hide it. */
function ownShows(dir: UnionNode, name: string, layer: UnionLayer): boolean {
  return layer.ros.some((ro) => {
    const path = naturalPath(dir, ro, name)
    return path !== null && ro.peek(dir.places.find((one) => one.branch === ro)!.path!, name, stat)
  })
}

/**
 * Writes a directory with all it holds into one layer, opaque, so that nothing of it lies
 * elsewhere. Nodes keep their numbers.
 */
export function flatten(view: View, node: UnionNode, layer: UnionLayer): void {
  ensureDirectory(view, node, layer)
  for (const { name } of listMerged(view, node)) {
    const child = view.child(node, name)
    if (child === null) continue
    if (child.isDirectory) flatten(view, child, layer)
    else if (child.branch !== layer.rw || child.data !== null) bring(view, child, layer, 'content')
  }
  const rw = layer.rw!
  const dir = rw.dirFd(node.path)
  if (rw.prefix !== null) {
    // An earlier rename's: all that the base had lies here now.
    clearMark(dir, '', 'base', rw.prefix)
    close(rw, dir)
  }
  // Its number was that of its lowest place, which it has no more.
  must(sys.stat(dir, '', stat), 'stat')
  layer.numbers?.set(stat.ino, node.ino)
  view.onlyIn(node, rw)
}

function exchange(view: View, one: UnionNode, other: UnionNode): void {
  const [oneDir, otherDir] = [one.parent!, other.parent!]
  if (one.isDirectory && isWithin(otherDir.path, one.path)) fail('EINVAL')
  if (other.isDirectory && isWithin(oneDir.path, other.path)) fail('EINVAL')
  const first = layerOf(view, one)
  const second = layerOf(view, other)
  const layer = view.stack.isAbove(second, first) ? second : first
  for (const node of [one, other]) {
    if (node.isDirectory) flatten(view, node, layer)
    else if (node.branch !== layer.rw || node.data !== null) bring(view, node, layer, 'content')
  }
  ensureDirectory(view, oneDir, layer)
  ensureDirectory(view, otherDir, layer)
  const rw = layer.rw!
  const [a, b] = [rw.dirFd(oneDir.path), rw.dirFd(otherDir.path)]
  beforeChange(rw, 'gone', a, one.name)
  beforeChange(rw, 'gone', b, other.name)
  must(sys.renameat(a, one.name, b, other.name, RENAME_EXCHANGE), 'rename')
  for (const node of [one, other]) if (node.isDirectory) rw.moved(node.path)
  view.swapNames(one, other)
  for (const node of [one, other]) forgetBelow(view, node)
}
