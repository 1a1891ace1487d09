// A view among others that show the same layers: what it changes, they are told; what it is told,
// its kernel is.
//
//   request ─▶ changed, resized, … ─▶ notice.ts ─▶ announce, of the others ─▶ their kernels
//
// Rule: a store with one mount pays nothing for this but a comparison.

import type { RelPath } from '../base/path.ts'
import type { Announce, Notification } from '../fuse/filesystem.ts'
import { stampDirectory } from './attributes.ts'
import type { Branch } from './branch.ts'
import type { UnionNode } from './node.ts'
import { NodeBound } from './node-bound.ts'
import { NodeTable } from './node-table.ts'
import {
  type CopiedFrom,
  noticeCopy,
  noticeDirectory,
  noticeFile,
  noticeLink,
  noticeLinked,
  noticeMove,
  noticeName,
  noticePlaces,
} from './notice.ts'
import { OpenNodes } from './open-nodes.ts'
import { Owed } from './owed.ts'
import type { View } from './view.ts'

export abstract class SharedView extends NodeTable {
  readonly #view = this as unknown as View
  /** All views of the process, itself among them. */
  readonly peers: Set<View>
  readonly owed = new Owed()
  /** True where the answer under way is about what the own kernel is just being told. */
  protected toldFirst = false
  /** Nodes that programs have open. */
  readonly opened = new OpenNodes()
  /** The device by which this view's kernel can be asked for its pages; -1 where it keeps none. */
  device = -1
  readonly bound: NodeBound
  readonly #announce: Announce

  constructor(peers: Set<View>, announce: Announce) {
    super()
    this.peers = peers
    this.#announce = announce
    this.bound = new NodeBound(this.nodes, announce)
  }

  get sharesBranches(): boolean {
    return this.peers.size > 1
  }

  // Changes that the other mounts of the same layers must show.

  /** Attributes of a file or directory. */
  changed(node: UnionNode): void {
    this.restamp(node)
    if (!this.sharesBranches) return
    if (node.isDirectory) noticeDirectory(this.#view, node)
    else
      noticeFile(this.#view, node, { offset: -1, length: 0, grew: false, cutTo: null, timed: true })
  }

  /** Bytes were written; `fromCache`: the kernel has yet to tell when. */
  changedBytes(node: UnionNode, offset: number, length: number, fromCache: boolean): void {
    node.stamp = null
    if (!this.sharesBranches || length === 0) return
    noticeFile(this.#view, node, { offset, length, grew: true, cutTo: null, timed: !fromCache })
  }

  /** Bytes anywhere, and the size, which `cutTo` is where the file may have become shorter. */
  resized(node: UnionNode, cutTo: number | null): void {
    node.stamp = null
    if (!this.sharesBranches) return
    noticeFile(this.#view, node, { offset: 0, length: 0, grew: true, cutTo, timed: true })
  }

  /** A file was copied up; it shows what it showed. */
  copied(node: UnionNode, from: CopiedFrom): void {
    node.stamp = null
    if (this.sharesBranches && node.parent !== null) noticeCopy(this.#view, node, from)
  }

  /** What was said to a peer's kernel, and to it before, is waited for by the request's answer. */
  owe(peer: SharedView): void {
    peer.#announce([], this.owed.owes())
  }

  announce(told: Notification): void {
    this.#announce([told], this.owed.sets())
  }

  whenShown(done: () => void): boolean {
    const first = this.toldFirst
    this.toldFirst = false
    return (first && this.owed.whenTold(done)) || this.owed.whenPaid(done)
  }

  showAnyway(): void {
    this.owed.giveUp()
  }

  protected override nameMoved(node: UnionNode, dir: RelPath, name: string): void {
    if (this.sharesBranches) noticeMove(this.#view, node, dir, name)
  }

  protected override nameChanged(dir: UnionNode, name: string): void {
    stampDirectory(this.#view, dir)
    if (this.sharesBranches) noticeName(this.#view, dir, name)
  }

  protected override linksChanged(node: UnionNode, added: number | null): void {
    if (!this.sharesBranches) return
    if (added === null) noticeLinked(this.#view, node, -1, 0)
    else noticeLink(this.#view, node, added)
  }

  protected override placeAdded(node: UnionNode, branch: Branch): void {
    if (this.sharesBranches) noticePlaces(this.#view, node, branch)
  }
}
