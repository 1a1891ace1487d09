// What programs see changes from our side: another stack, or files replaced in a sublayer.
//
//   names the kernel was told, and that now mean something else   expired: it asks again
//   absences it was told, and that now exist                      invalidated
//   directories whose list changed                                invalidated, watchers told
//
// Only directories that a changed branch has a part in are visited: what another layer alone
// provides is not looked at, and below a name that changed only the name itself is told.
//
// Rule: what follows another stack takes as long as the kernel knows names, so it is done a little
// at a time, between requests (behind.ts); a request sees the new stack all the same.

import { baseName, parentPath, type RelPath } from '../base/path.ts'
import { S } from '../host/sys.ts'
import type { Branch } from './branch.ts'
import { type Found, find } from './lookup.ts'
import { type Place, sameData, type UnionNode } from './node.ts'
import type { OpenStack } from './pool.ts'
import type { StackSpec } from './spec.ts'
import type { Stack } from './stack.ts'
import { loadedAt } from './twins.ts'
import type { View } from './view.ts'

/** Another stack for a view, opened and not yet shown. Exactly one of both is called. */
export interface Restacking {
  /**
   * Shows it from the next request on; the old one is closed when nothing needs it. `told` is called
   * when all that the kernel has to know was announced (behind.ts). Never throws Errno.
   */
  apply(told: () => void): void
  cancel(): void
}

/** Throws Errno where a layer cannot be opened: nothing has changed then. */
export function prepareRestack(view: View, spec: StackSpec): Restacking {
  const opened = view.openStack(spec)
  return { apply: (told) => restack(view, opened, told), cancel: () => opened.close() }
}

function restack(view: View, opened: OpenStack, told: () => void): void {
  const { old, close } = view.swapStack(opened)
  view.root.places = view.rootPlaces()
  view.behind.begin(changedBranches(old, view.stack), told, close)
}

/** Branches that came, went, or moved past another. */
function changedBranches(before: Stack, after: Stack): Set<Branch> {
  const changed = new Set<Branch>()
  for (const branch of before.branches) if (after.rank(branch) === undefined) changed.add(branch)
  for (const branch of after.branches) if (before.rank(branch) === undefined) changed.add(branch)
  const kept = after.branches.filter((branch) => before.rank(branch) !== undefined)
  // Of two that changed places both are visited; those that only moved along are not.
  for (const [at, branch] of kept.entries()) {
    const jumped = kept.slice(0, at).some((other) => before.rank(other)! > before.rank(branch)!)
    if (jumped) changed.add(branch)
  }
  return changed
}

// All that the kernel knows of a directory whose files were exchanged.
function reconcile(view: View, dir: UnionNode, force: boolean): void {
  let changed = false
  for (const [name, child] of [...(dir.children ?? [])]) {
    const deeper = () => reconcile(view, child, force)
    if (recheck(view, dir, name, child, force, deeper)) changed = true
  }
  if (recheckAbsences(view, dir)) changed = true
  tellList(view, dir)
  if (changed) view.announce({ kind: 'touch', node: dir.id, path: dir.path })
}

/**
 * True where the name now shows something else. `onDirectory` is told where it is the same
 * directory, with the places that it had.
 */
export function recheck(
  view: View,
  dir: UnionNode,
  name: string,
  child: UnionNode,
  force: boolean,
  onDirectory: (before: readonly Place[]) => void,
): boolean {
  const found = tryFind(view, dir, name, child)
  if (found === null || (force && !child.isDirectory)) {
    view.detach(child, true)
    return true
  }
  if (found.at !== 'directory') return false
  const before = child.places
  child.places = found.places
  child.closed = found.closed
  onDirectory(before)
  return false
}

// Null where it is another than the one known, or the disk cannot say: who asks for the name then
// is told why.
function tryFind(view: View, dir: UnionNode, name: string, known?: UnionNode): Found | null {
  try {
    const found = find(view, dir, name)
    return known === undefined || stillIs(view, known, found) ? found : null
  } catch (err) {
    view.log.warn(`${name} cannot be looked up`, err)
    return null
  }
}

function stillIs(view: View, node: UnionNode, found: Found): boolean {
  if (found.at === 'directory') return node.isDirectory
  if (found.at !== 'file' || node.isDirectory) return false
  if (!sameData(found.data, node.data)) return false
  if (found.branch !== node.branch || (view.stat.mode & S.IFMT) !== node.type) return false
  const { ino, dev, position } = view.stat
  return view.numberOf(found.branch, ino, dev, position) === node.ino
}

function recheckAbsences(view: View, dir: UnionNode): boolean {
  let changed = false
  for (const name of [...(dir.absent?.keys() ?? [])]) {
    if (recheckAbsent(view, dir, name)) changed = true
  }
  return changed
}

/** True where a name that the kernel was told is absent now is there. */
export function recheckAbsent(view: View, dir: UnionNode, name: string): boolean {
  const found = tryFind(view, dir, name)
  if (found?.at === 'nowhere' || found?.at === 'whiteout') {
    dir.absent!.set(name, found.at === 'whiteout' ? found.layer : null)
    return false
  }
  dir.absent!.delete(name)
  view.announce({ kind: 'entry', parent: dir.id, name, expire: false })
  return true
}

/** The kernel reads the directory's names anew. */
export function tellList(view: View, dir: UnionNode): void {
  view.announce({ kind: 'inode', node: dir.id, offset: 0, length: 0 })
}

/**
 * Files of a writable branch were exchanged behind the view (a restore): `paths` are those that
 * were placed or removed, relative to the branch; `touched` directories that got other attributes.
 */
export function replaced(
  view: View,
  branch: Branch,
  paths: readonly RelPath[],
  touched: readonly RelPath[] = [],
): void {
  branch.changes += 1
  branch.nameChanges += 1
  if (view.stack.rank(branch) === undefined) return
  const parents = new Map<RelPath, string[]>()
  for (const path of paths) {
    if (path === '') continue
    branch.moved(path)
    const dir = parentPath(path)
    parents.set(dir, [...(parents.get(dir) ?? []), baseName(path)])
  }
  // Shorter paths first: what is detached with its directory needs no look of its own.
  for (const path of [...parents.keys()].sort((a, b) => a.length - b.length)) {
    const dir = refreshed(view, path)
    if (dir !== null) recheckNames(view, dir, parents.get(path)!, true)
  }
  for (const path of touched) {
    const node = loadedAt(view, path)
    if (node !== null) view.announce({ kind: 'inode', node: node.id, offset: -1, length: 0 })
  }
}

/** Looks again at some names of a directory, and tells what became different. */
export function recheckNames(
  view: View,
  dir: UnionNode,
  names: readonly string[],
  force: boolean,
): void {
  let changed = false
  for (const name of names) {
    const child = dir.children?.get(name)
    if (child === undefined) continue
    const deeper = () => reconcile(view, child, force)
    if (recheck(view, dir, name, child, force, deeper)) changed = true
  }
  if (recheckAbsences(view, dir)) changed = true
  tellList(view, dir)
  if (changed || names.length > 0) {
    view.announce({ kind: 'touch', node: dir.id, path: dir.path })
  }
}

/** The loaded directory at a path, its places looked up anew; null where the kernel knows none. */
export function refreshed(view: View, path: RelPath): UnionNode | null {
  if (view.behind.some) view.behind.catchUpPath(path)
  let dir = view.root
  for (const name of path === '' ? [] : path.split('/')) {
    const child = dir.children?.get(name)
    if (child === undefined || !child.isDirectory) return null
    const found = tryFind(view, dir, name)
    if (found === null) view.detach(child, true)
    if (found?.at !== 'directory') return null
    child.places = found.places
    child.closed = found.closed
    dir = child
  }
  return dir
}
