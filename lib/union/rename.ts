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
// same rename (RENAME_WHITEOUT, or the exchange with the one at the new name). Whatever takes
// several renames is carried out by an intent (intent.ts); what comes before them changes nothing
// that shows, so that a request may park, fail or die there.

import { fail } from '../base/errno.ts'
import { isWithin, joinPath, type RelPath } from '../base/path.ts'
import { listDirectory } from '../host/directory.ts'
import { removeQuietly } from '../host/remove-tree.ts'
import { Stat } from '../host/stat.ts'
import { must, RENAME_EXCHANGE, RENAME_NOREPLACE, S, sys } from '../host/sys.ts'
import { isWhiteout, setMark } from '../layer/marks.ts'
import { locate, statNode } from './attributes.ts'
import { beforeChange } from './before-change.ts'
import type { Branch } from './branch.ts'
import { bring, copyUp, ensureDirectory } from './copy-up.ts'
import { rebind } from './files.ts'
import { flatten, hasOwnPart, veil } from './flatten.ts'
import { carryOut, inRw, inWork, type Move } from './intent.ts'
import type { UnionLayer } from './layer.ts'
import { bringLinked, nameWent } from './links.ts'
import { naturalPath } from './lookup.ts'
import { type FilePlace, pathIn, placeIn, type UnionNode } from './node.ts'
import { isEmpty, keepFile, releaseFile, showsBelow } from './remove.ts'
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
  if (target === null && flags & RENAME_EXCHANGE) fail('ENOENT')
  try {
    if (target !== null && flags & RENAME_EXCHANGE) exchange(view, node, target)
    else replace(view, node, target, to, newName)
  } finally {
    forgetBelow(view, node)
    if (target !== null) forgetBelow(view, target)
  }
}

// Everything that may park, or copies, comes first: it changes nothing that shows.
function replace(
  view: View,
  node: UnionNode,
  target: UnionNode | null,
  to: UnionNode,
  newName: string,
): void {
  if (target !== null) {
    checkReplaceable(view, node, target)
    bringLinked(view, target)
  }
  const layer = prepare(view, node, to, newName)
  const move = node.isDirectory ? directoryMoves : fileMoves
  const moves = move(view, node, target, to, newName, layer)
  const replaced = moves.filter(({ to }) => to.work)
  if (target !== null) keepFile(target)
  try {
    carryOut(view, moves)
  } catch (err) {
    if (target !== null) releaseFile(target)
    throw err
  }
  for (const { to } of replaced) removeQuietly(to.layer.work, to.name)
  if (target !== null) {
    if (!target.isDirectory) dropLink(view, target, to, newName, layer)
    nameWent(target, layer)
    view.removeName(target, to, newName)
  }
  view.moveName(node, to, newName)
}

// What was written out was visited file by file: the kernel does not know them all.
function forgetBelow(view: View, node: UnionNode): void {
  if (node.children === null) return
  for (const child of [...node.children.values()]) {
    forgetBelow(view, child)
    view.forgetIfUnused(child)
  }
}

function checkReplaceable(view: View, node: UnionNode, target: UnionNode): void {
  if (node.isDirectory && !target.isDirectory) fail('ENOTDIR')
  if (!node.isDirectory && target.isDirectory) fail('EISDIR')
  if (target.isDirectory && !isEmpty(view, target)) fail('ENOTEMPTY')
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
  const back = placeOf(node)
  const backing = statNode(view, node).ino
  bring(view, node, layer, 'whole')
  // A scratch area's file lies above its layer's: what is left there would hide the new one.
  if (!old.writable || old === layer.rw || !view.stack.isAbove(old.layer, layer)) return
  const names = [{ parent: node.parent!, name: node.name }, ...(node.links ?? [])].filter(
    ({ parent, name }) =>
      placeIn(parent, old) !== null && old.peek(parent.path, name, stat) && stat.ino === backing,
  )
  const moves = names.map(({ parent, name }) => takeOut(view, old.layer, parent, name))
  try {
    carryOut(view, moves)
  } catch (err) {
    // The copy is not shown: as if it had not been made.
    for (const { parent, name } of names) sys.unlinkat(layer.rw!.dirFd(parent.path), name)
    Object.assign(node, back)
    rebind(node)
    throw err
  }
  for (const { to } of moves) removeQuietly(to.layer.work, to.name)
  const copy = old.layer.links?.byInode(backing)
  if (copy !== undefined) old.layer.links!.drop(copy)
}

const placeOf = ({ branch, inDir, inName, data, stamp }: UnionNode) => ({
  branch,
  inDir,
  inName,
  data,
  stamp,
})

/** One of several names of a file goes by being hidden from above: its own layer counts it no more. */
function dropLink(
  view: View,
  target: UnionNode,
  to: UnionNode,
  name: string,
  layer: UnionLayer,
): void {
  const branch = target.branch!
  if (!branch.writable || branch === layer.rw) return
  if (statNode(view, target).nlink < 2) {
    target.hidden = true
    return
  }
  const dir = branch.dirFd(to.path)
  beforeChange(branch, 'gone', dir, name)
  // The rename is done: where this fails, the file counts a link too many.
  sys.unlinkat(dir, name)
}

function fileMoves(
  view: View,
  node: UnionNode,
  _target: UnionNode | null,
  to: UnionNode,
  newName: string,
  layer: UnionLayer,
): Move[] {
  const from = node.parent!
  ensureDirectory(view, to, layer)
  if (node.data !== null && layer.rw!.prefix !== null) pointAt(node, node.data, layer)
  const leaves = showsBelow(view, from, node.name, layer)
  const hiding = outOfScratch(view, to, newName, layer)
  if (hiding.length > 0 && layer.rw!.peek(to.path, newName, stat)) {
    hiding.push(takeOut(view, layer, to, newName))
  }
  // Written out: what an object spread makes has a shape of its own each time, and all that reads it
  // is slow: a sixth of all that a rename costs the daemon.
  hiding.push({
    from: inRw(layer, from.path, node.name),
    to: inRw(layer, to.path, newName),
    leaves,
    unseen: false,
    fileOnly: true,
  })
  return hiding
}

/** What the layer's scratch area has at a name hides what comes there. */
function outOfScratch(view: View, to: UnionNode, newName: string, layer: UnionLayer): Move[] {
  const over = layer.scratch
  if (over === null || over.rw === null || placeIn(to, over.rw) === null) return []
  return over.rw.peek(to.path, newName, stat) ? [takeOut(view, over, to, newName)] : []
}

const takeOut = (view: View, layer: UnionLayer, dir: UnionNode, name: string): Move => ({
  from: inRw(layer, dir.path, name),
  to: inWork(layer, view.tempName()),
  leaves: false,
  unseen: false,
})

function pointAt(node: UnionNode, data: FilePlace, layer: UnionLayer): void {
  const { dir, name } = locate(node)
  beforeChange(layer.rw!, 'attributes', dir, name)
  setMark(dir, name, 'redirect', layer.rw!.prefix!, joinPath(data.dir, data.name))
}

function directoryMoves(
  view: View,
  node: UnionNode,
  target: UnionNode | null,
  to: UnionNode,
  newName: string,
  layer: UnionLayer,
): Move[] {
  const from = node.parent!
  const { name } = node
  ensureDirectory(view, node, layer)
  ensureDirectory(view, to, layer)
  const hidden = hiddenAt(to, newName, layer)
  const layers = openInAll(view, node, to, layer, hidden)
  for (const one of layers) {
    ensureDirectory(view, node, one)
    ensureDirectory(view, to, one)
    redirect(node, one)
  }
  const rw = layer.rw!
  const base = node.places.find((place) => place.branch.layer.isBase && !place.branch.writable)
  if (base !== undefined && rw.prefix !== null) {
    beforeChange(rw, 'attributes', rw.dirFd(node.path), '')
    setMark(rw.dirFd(node.path), '', 'base', rw.prefix, pathIn(node, base))
  }
  if (hidden.length > 0 && rw.prefix !== null) veil(node, layer, hidden)
  const moves = layers.map((one) => {
    const shows =
      ((one === layers.at(-1) || one === layer) && showsBelow(view, from, name, one)) ||
      ownShows(from, name, one)
    return {
      from: inRw(one, from.path, name),
      to: inRw(one, to.path, newName),
      leaves: shows && one.rw!.prefix !== null,
      unseen: false,
    }
  })
  const away = outOfScratch(view, to, newName, layer)
  // An empty directory is replaced by the rename itself, where that is the only one.
  const alone = moves.length === 1 && away.length === 0
  if (target !== null && !(alone && isEmptyIn(rw, to.path, newName))) {
    if (rw.peek(to.path, newName, stat) && !isWhiteout(stat))
      away.push(takeOut(view, layer, to, newName))
  }
  return [...away, ...moves]
}

// The layers in which a directory can be renamed as it is; where that is none, it is written out
// into one first.
function openInAll(
  view: View,
  node: UnionNode,
  to: UnionNode,
  layer: UnionLayer,
  hidden: readonly UnionLayer[],
): UnionLayer[] {
  const layers = contributors(node)
  // In a closed directory only the layer that closed it shows, and what lies above. What the own
  // read-only part has there could be hidden from a part of its own alone.
  const others =
    to.closed ||
    hidden.some((other) => other !== layer) ||
    (hidden.length > 0 && !hasOwnPart(node, layer))
  if (canRedirect(view, node, layers) && !(others && layers.length > 1)) return layers
  flatten(view, node, layer)
  return contributors(node)
}

function isEmptyIn(rw: Branch, dir: RelPath, name: string): boolean {
  const at = rw.dirFd(dir)
  if (sys.stat(at, name, stat) < 0) return true
  return (stat.mode & S.IFMT) === S.IFDIR && listDirectory(at, name).length === 0
}

/** Layers with a writable sublayer that have something of a directory, top first. */
function contributors(node: UnionNode): UnionLayer[] {
  const layers = node.places.map((place) => place.branch.layer).filter((one) => one.rw !== null)
  return [...new Set(layers)]
}

/**
 * Layers that have something at a name which `layer` is to show alone: it must stay hidden there,
 * or be. What the writable sublayer itself has is replaced.
 */
function hiddenAt(dir: UnionNode, name: string, layer: UnionLayer): UnionLayer[] {
  const found = dir.places.filter((place) => {
    const { branch } = place
    if (branch === layer.rw || branch.layer === layer.scratch) return false
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

/** True where the layer's own read-only part has the name: its writable part must hide it. */
function ownShows(dir: UnionNode, name: string, layer: UnionLayer): boolean {
  return layer.ros.some((ro) => {
    const path = naturalPath(dir, ro, name)
    return path !== null && ro.peek(dir.places.find((one) => one.branch === ro)!.path!, name, stat)
  })
}

// The bytes of a metacopy are found by its own mark, wherever it goes.
function bringAlone(view: View, node: UnionNode, layer: UnionLayer): void {
  if (node.branch !== layer.rw) bring(view, node, layer, 'attributes')
  if (node.data !== null && layer.rw!.prefix !== null) pointAt(node, node.data, layer)
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
    else bringAlone(view, node, layer)
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
}
