// Two mounts that show one layer: what is changed through one is shown by the other at once.
//
//   a name          the other view's directory is looked at again, its kernel told
//   a new name      the other's node moves with it, so that what is open there goes on
//   bytes           the other kernel's pages are dropped; a size and a time it takes only as told by
//                   `grow` and `change`, because with a writeback cache it keeps both by itself
//   a copy-up       the other's node is pointed at the copy: the content is the same
//
// Rule: `owe` ends every notice: the request's answer waits until the other kernels know it
// (owed.ts). Views that do not have the branch are not concerned.

import { baseName, parentPath, type RelPath } from '../base/path.ts'
import { Stat } from '../host/stat.ts'
import { S, sys } from '../host/sys.ts'
import { locate } from './attributes.ts'
import type { Branch } from './branch.ts'
import { openBacking, rebind } from './files.ts'
import { find } from './lookup.ts'
import {
  type DataPlace,
  type FilePlace,
  placeOf,
  sameData,
  type UnionNode,
  viewPath,
} from './node.ts'
import type { Cached } from './pages.ts'
import { recheckNames, refreshed } from './restack.ts'
import { loadedAt, loadedDirectory, peersOf, twinsOf } from './twins.ts'
import type { View } from './view.ts'

const stat = new Stat()
const lastByte = Buffer.alloc(1)

const branchesOf = (dir: UnionNode): Branch[] => dir.places.map((place) => place.branch)

/** A name of a directory appeared, went, or means another file. */
export function noticeName(view: View, dir: UnionNode, name: string): void {
  for (const peer of peersOf(view, branchesOf(dir))) recheckAt(view, peer, dir.path, name)
}

function recheckAt(view: View, peer: View, dir: RelPath, name: string): void {
  const twin = refreshed(peer, dir)
  if (twin === null) return
  recheckNames(peer, twin, [name], false)
  view.owe(peer)
}

/** A node was renamed: said before `noticeName` of either name. */
export function noticeMove(view: View, node: UnionNode, from: RelPath, name: string): void {
  for (const peer of peersOf(view, [node.top])) {
    const twin = loadedDirectory(peer, from)?.children?.get(name)
    if (twin !== undefined && follows(peer, twin, node)) {
      peer.followMove(twin, peer.resolve(node.parent!.path)!, node.name)
    }
  }
}

// Only where the peer shows the same thing under the new name: another layer may hide it there.
function follows(peer: View, twin: UnionNode, node: UnionNode): boolean {
  if (twin.ino !== node.ino || twin.type !== node.type || twin.links !== null) return false
  if (!twin.isDirectory && twin.branch !== node.branch) return false
  const to = peer.resolve(node.parent!.path)
  if (to === null || !to.isDirectory || to.fd !== -1) return false
  const found = find(peer, to, node.name)
  if (found.at === 'directory') return twin.isDirectory
  return found.at === 'file' && found.branch === twin.branch
}

/** A directory got a part in a writable branch. */
export function noticePlaces(view: View, node: UnionNode, branch: Branch): void {
  for (const peer of peersOf(view, [branch])) refreshed(peer, node.path)
}

/** A file has a further name: that one, looked up by another view, is the node of the first. */
export function noticeLink(view: View, node: UnionNode, backing: number): void {
  const branch = node.branch!
  for (const peer of peersOf(view, [branch])) {
    const twin = loadedAt(peer, viewPath(node))
    if (twin === null || twin.branch !== branch) continue
    peer.rememberLink(branch, backing, twin)
    peer.announce({ kind: 'inode', node: twin.id, offset: -1, length: 0 })
    view.owe(peer)
  }
}

/**
 * A file with several names was copied up: who knows it below, by whichever of them, asks for
 * all its names again.
 */
export function noticeLinkedCopy(view: View, from: Branch, backing: number): void {
  for (const peer of view.peers) {
    if (peer === view) continue
    for (const branch of peer.stack.branches) {
      // Each view opens the base for itself.
      const same = branch === from || (from.foreign && branch.foreign && branch.dev === from.dev)
      const twin = same ? peer.linkedNode(branch, backing) : undefined
      if (twin !== undefined && twin.branch === branch) {
        peer.detach(twin, true)
        view.owe(peer)
      }
    }
  }
}

/** Attributes of a file changed that others may know by another of its names. */
export function noticeLinked(view: View, node: UnionNode, offset: number, length: number): void {
  for (const { branch, backing } of node.known ?? []) {
    for (const peer of peersOf(view, [branch])) {
      const twin = peer.linkedNode(branch, backing)
      if (twin !== undefined) peer.announce({ kind: 'inode', node: twin.id, offset, length })
    }
  }
}

/** What of a file is new. */
export interface FileNews {
  /** Bytes from here on; -1: attributes alone. */
  readonly offset: number
  /** How many; 0: to the end. */
  readonly length: number
  /** It may have become longer. */
  readonly grew: boolean
  /** The size it was cut to; null where it was not. */
  readonly cutTo: number | null
  /** Its time of change is what the disk says by now; written back pages get theirs later. */
  readonly timed: boolean
}

/** Attributes of a directory changed. */
export function noticeDirectory(view: View, node: UnionNode): void {
  for (const peer of peersOf(view, branchesOf(node))) {
    const twin = loadedDirectory(peer, node.path)
    if (twin === null) continue
    peer.announce({ kind: 'inode', node: twin.id, offset: -1, length: 0 })
    view.owe(peer)
  }
}

/** Bytes or attributes of a file changed. */
export function noticeFile(view: View, node: UnionNode, news: FileNews): void {
  for (const twin of twinsOf(view, node)) {
    // It goes on with the file that this one is a copy of.
    if (news.offset >= 0 && twin.node.open?.passed?.behind) twin.view.detach(twin.node, true)
    const { id } = twin.node
    twin.node.noCapability = false
    twin.node.stamp = null
    twin.view.announce({ kind: 'inode', node: id, offset: news.offset, length: news.length })
    if (node.type === S.IFREG) tellSize(node, twin, news)
    view.owe(twin.view)
  }
}

function tellSize(node: UnionNode, { view, node: twin }: Cached, news: FileNews): void {
  const { dir, name } = locate(node)
  if (sys.stat(dir, name, stat) < 0) return
  const { size, mtime, mtimeNsec } = stat
  const { offset, length, grew, cutTo, timed } = news
  if (grew && size > 0 && twin.takesBytes && (length === 0 || offset + length >= size)) {
    view.announce({ kind: 'grow', node: twin.id, size, last: byteAt(twin, size - 1) })
  }
  if (!timed || twin.parent === null) return
  const { id, ino } = twin
  const path = viewPath(twin)
  view.announce({ kind: 'change', node: id, path, ino, size: cutTo, mtime, mtimeNsec })
}

function byteAt(node: UnionNode, offset: number): number {
  const { fd, lower, close } = openBacking(node, false)
  try {
    const done =
      node.blocks?.read(fd, lower, offset, lastByte) ?? sys.pread(fd, lastByte, 1, offset)
    return done === 1 ? lastByte[0]! : 0
  } finally {
    close()
  }
}

/** Where a file lay before it was copied up. */
export interface CopiedFrom {
  readonly branch: Branch
  readonly place: FilePlace | null
  readonly data: DataPlace | null
}

/** A file was copied up: twins that showed what it was made from show the copy. */
export function noticeCopy(view: View, node: UnionNode, from: CopiedFrom): void {
  const path = viewPath(node)
  for (const peer of peersOf(view, [node.branch!])) {
    const dir = refreshed(peer, parentPath(path))
    const twin = dir?.children?.get(baseName(path))
    const goesOn = !node.takesBytes || !twin?.open?.passed
    if (twin !== undefined && isMadeFrom(twin, from) && goesOn) {
      becomes(peer, twin, node)
      view.owe(peer)
      continue
    }
    recheckAt(view, peer, parentPath(path), baseName(path))
  }
}

const isMadeFrom = (twin: UnionNode, from: CopiedFrom): boolean =>
  twin.branch === from.branch &&
  sameData(placeOf(twin), from.place) &&
  sameData(twin.data, from.data)

function becomes(peer: View, twin: UnionNode, node: UnionNode): void {
  twin.branch = node.branch
  twin.inDir = null
  twin.inName = null
  twin.data = node.data
  twin.stamp = null
  if (twin.takesBytes) rebind(twin)
  peer.announce({ kind: 'inode', node: twin.id, offset: -1, length: 0 })
}
