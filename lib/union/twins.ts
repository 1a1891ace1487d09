// The nodes that one file has in other views of the same branch.
//
//   by path   in a writable branch a thing lies at its path in every view
//   by file   what a view holds open may have another name there by now, or none
//
// Rule: nothing is looked up or made; a view that was not asked for the file has no twin.

import { baseName, parentPath, type RelPath } from '../base/path.ts'
import { Stat } from '../host/stat.ts'
import { sys } from '../host/sys.ts'
import { locate } from './attributes.ts'
import type { Branch } from './branch.ts'
import { backingOf } from './files.ts'
import { sameData, type UnionNode, viewPath } from './node.ts'
import type { Cached } from './pages.ts'
import type { View } from './view.ts'

const stat = new Stat()

/** Other views that show one of these branches. */
export function* peersOf(view: View, branches: readonly Branch[]): Generator<View> {
  for (const peer of view.peers) {
    if (peer === view) continue
    const shows = (branch: Branch) => branch.writable && peer.stack.rank(branch) !== undefined
    if (branches.some(shows)) yield peer
  }
}

/** The directory that a view's kernel knows at a path, or null. */
export function loadedDirectory(view: View, path: RelPath): UnionNode | null {
  if (view.behind.some) view.behind.catchUpPath(path)
  let dir: UnionNode = view.root
  for (const name of path === '' ? [] : path.split('/')) {
    const child = dir.children?.get(name)
    if (child === undefined || !child.isDirectory) return null
    dir = child
  }
  return dir
}

/** What a view's kernel knows at a path, or null. */
export function loadedAt(view: View, path: RelPath): UnionNode | null {
  if (path === '') return view.root
  if (view.behind.some) view.behind.catchUpPath(path)
  return loadedDirectory(view, parentPath(path))?.children?.get(baseName(path)) ?? null
}

/** The nodes of the same file in other views. */
export function* twinsOf(view: View, node: UnionNode): Generator<Cached> {
  if (node.isDirectory || !node.branch!.writable) return
  const peers = [...peersOf(view, [node.branch!])]
  if (peers.length === 0) return
  const backing = inodeOf(node)
  for (const peer of peers) {
    const found = new Set<UnionNode>()
    const named = node.parent === null ? null : loadedAt(peer, viewPath(node))
    if (named !== null && isTwin(named, node)) found.add(named)
    const linked = peer.linkedNode(node.branch!, backing)
    if (linked !== undefined) found.add(linked)
    for (const open of peer.opened) {
      if (isTwin(open, node) && backingOf(open.open!) === backing) found.add(open)
    }
    for (const twin of found) yield { view: peer, node: twin }
  }
}

function inodeOf(node: UnionNode): number {
  if (node.open !== null) return backingOf(node.open)
  const { dir, name } = locate(node)
  return sys.stat(dir, name, stat) < 0 ? 0 : stat.ino
}

const isTwin = (one: UnionNode, other: UnionNode): boolean =>
  one.branch === other.branch && sameData(one.data, other.data)
