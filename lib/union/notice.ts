// Two mounts that show one layer: what is changed through one is shown by the other at once.
//
// In a writable branch a thing lies at its path in every view, so the other view's node is
// found by path. Views that do not have the branch are not concerned.

import { baseName, parentPath } from '../base/path.ts'
import type { Branch } from './branch.ts'
import { sameData, type UnionNode, viewPath } from './node.ts'
import { recheckNames, refreshed } from './restack.ts'
import type { View } from './view.ts'

function* others(view: View, branches: readonly Branch[]): Generator<View> {
  for (const peer of view.peers) {
    if (peer === view) continue
    const shows = (branch: Branch) => branch.writable && peer.stack.rank(branch) !== undefined
    if (branches.some(shows)) yield peer
  }
}

/** A name of a directory appeared, went, or means another file. */
export function noticeName(view: View, dir: UnionNode, name: string): void {
  const branches = dir.places.map((place) => place.branch)
  for (const peer of others(view, branches)) {
    const twin = refreshed(peer, dir.path)
    if (twin !== null) recheckNames(peer, twin, [name], false)
  }
}

/** A directory got a part in a writable branch. */
export function noticePlaces(view: View, node: UnionNode, branch: Branch): void {
  for (const peer of others(view, [branch])) refreshed(peer, node.path)
}

/** A file has a further name: that one, looked up by another view, is the node of the first. */
export function noticeLink(view: View, node: UnionNode, backing: number): void {
  const branch = node.branch!
  for (const peer of others(view, [branch])) {
    const twin = twinOf(peer, node)
    if (twin === undefined || twin.branch !== branch) continue
    peer.rememberLink(branch, backing, twin)
    peer.announce({ kind: 'inode', node: twin.id, offset: -1, length: 0 })
  }
}

/**
 * A file with several names was copied up: who knows it below, by whichever of them, asks for
 * all its names again.
 */
export function noticeCopy(view: View, from: Branch, backing: number): void {
  for (const peer of view.peers) {
    if (peer === view) continue
    for (const branch of peer.stack.branches) {
      // Each view opens the base for itself.
      const same = branch === from || (from.foreign && branch.foreign && branch.dev === from.dev)
      const twin = same ? peer.linkedNode(branch, backing) : undefined
      if (twin !== undefined && twin.branch === branch) peer.detach(twin, true)
    }
  }
}

/** Attributes of a file changed that others may know by another of its names. */
export function noticeLinked(view: View, node: UnionNode, offset: number, length: number): void {
  for (const { branch, backing } of node.known ?? []) {
    for (const peer of others(view, [branch])) {
      const twin = peer.linkedNode(branch, backing)
      if (twin !== undefined) peer.announce({ kind: 'inode', node: twin.id, offset, length })
    }
  }
}

function twinOf(peer: View, node: UnionNode): UnionNode | undefined {
  const path = viewPath(node)
  if (path === '') return peer.root
  return refreshed(peer, parentPath(path))?.children?.get(baseName(path))
}

export function noticeAttributes(view: View, node: UnionNode): void {
  noticeBytes(view, node, -1, 0)
}

/** Bytes or (offset -1) attributes alone of a file changed. */
export function noticeBytes(view: View, node: UnionNode, offset: number, length: number): void {
  noticeLinked(view, node, offset, length)
  if (node.parent === null) return
  const path = viewPath(node)
  for (const peer of others(view, [node.top])) {
    const twinDir = path === '' ? peer.root : refreshed(peer, parentPath(path))
    const twin = path === '' ? peer.root : twinDir?.children?.get(baseName(path))
    if (twin === undefined || twinDir === null) continue
    // Copied up through the other mount: found anew, so that this one shows the same file.
    const same = twin.branch === node.branch && sameData(twin.data, node.data)
    if (!same) recheckNames(peer, twinDir, [baseName(path)], false)
    else {
      twin.noCapability = false
      peer.announce({ kind: 'inode', node: twin.id, offset, length })
    }
  }
}
