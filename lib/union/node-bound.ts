// How many nodes a mount may have that nobody uses: the kernel keeps what it was told of until
// it needs the memory, and as long as it does, each costs memory here.
//
//   too many ─▶ the oldest are named to the kernel ─▶ it drops what nothing uses ─▶ FORGET of each
//
// What is open, mapped, watched, mounted over or somebody's working directory stays: the kernel
// looks, and does nothing to it. Older kernels (protocol before 7.45) cannot be asked: to
// expire a name drops nothing, to invalidate one takes it from who uses it. With them the number
// of nodes is bounded by the kernel's memory alone, which gives them up under pressure.
//
// Rule: named are two nodes for each that is made, and none before the last have been seen to: a
// mount whose nodes are all in use pays little for being asked in vain.

import type { Announce, NodeId, Notification } from '../fuse/filesystem.ts'
import { MOST_PRUNED } from '../fuse/notify.ts'
import type { UnionNode } from './node.ts'

/** Looked at for each that is named, at most: a long run of them may be in use. */
const LOOKED_AT = 4

/** Oldest first. */
interface Nodes {
  readonly size: number
  values(): Iterator<UnionNode>
}

export class NodeBound {
  /** Above this many the kernel is asked. */
  most = Number.POSITIVE_INFINITY
  readonly #nodes: Nodes
  readonly #announce: Announce
  /** Goes through the nodes, oldest first, and begins again at the end. */
  #hand: Iterator<UnionNode> | null = null
  #asking = false
  /** Made above the bound since the kernel was asked last. */
  #made = 0

  constructor(nodes: Nodes, announce: Announce) {
    this.#nodes = nodes
    this.#announce = announce
  }

  /** A node was made. */
  made(): void {
    if (this.#nodes.size <= this.most) return
    this.#made += 1
    if (this.#asking || this.#made * 2 < Math.min(MOST_PRUNED, this.most)) return
    const idle = this.#oldestIdle(this.#made * 2)
    this.#made = 0
    const batch: Notification[] = []
    for (let at = 0; at < idle.length; at += MOST_PRUNED) {
      batch.push({ kind: 'prune', nodes: idle.slice(at, at + MOST_PRUNED) })
    }
    if (batch.length === 0) return
    this.#asking = true
    this.#announce(batch, () => {
      this.#asking = false
    })
  }

  #oldestIdle(most: number): NodeId[] {
    const found: NodeId[] = []
    for (let looked = 0; looked < most * LOOKED_AT && found.length < most; looked++) {
      this.#hand ??= this.#nodes.values()
      const next = this.#hand.next()
      if (next.done === true) {
        this.#hand = null
        break
      }
      if (isIdle(next.value)) found.push(next.value.id)
    }
    return found
  }
}

// Known to the kernel, and nothing here says that it is in use. A directory's names keep it.
const isIdle = (node: UnionNode): boolean =>
  node.lookups > 0 &&
  node.parent !== null &&
  node.open === null &&
  node.pending === null &&
  (node.children === null || node.children.size === 0)
