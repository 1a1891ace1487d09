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

export function noticeAttributes(view: View, node: UnionNode): void {
  noticeBytes(view, node, -1, 0)
}

/** Bytes or (offset -1) attributes alone of a file changed. */
export function noticeBytes(view: View, node: UnionNode, offset: number, length: number): void {
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
