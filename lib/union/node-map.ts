// Nodes by their numbers, which only grow: rows of a few numbers each, found by one look into a small
// Map. One large Map of all of them would be made anew again and again, and costs microseconds a
// node where there are many.
//
// Rule: a row lives as long as one of its nodes; in order of numbers the nodes are as old as they are.

import type { NodeId } from '../fuse/filesystem.ts'
import type { UnionNode } from './node.ts'

/** Numbers of one row. The last node of a row keeps room for as many. */
const ROW = 64

interface Row {
  readonly nodes: (UnionNode | undefined)[]
  count: number
}

const rowOf = (id: NodeId): number => Math.floor(id / ROW)

export class NodeMap {
  readonly #rows = new Map<number, Row>()
  #size = 0

  get size(): number {
    return this.#size
  }

  get(id: NodeId): UnionNode | undefined {
    return this.#rows.get(rowOf(id))?.nodes[id % ROW]
  }

  set(id: NodeId, node: UnionNode): void {
    const at = rowOf(id)
    let row = this.#rows.get(at)
    if (row === undefined) {
      row = { nodes: new Array(ROW).fill(undefined), count: 0 }
      this.#rows.set(at, row)
    }
    if (row.nodes[id % ROW] === undefined) {
      row.count += 1
      this.#size += 1
    }
    row.nodes[id % ROW] = node
  }

  delete(id: NodeId): void {
    const at = rowOf(id)
    const row = this.#rows.get(at)
    if (row?.nodes[id % ROW] === undefined) return
    row.nodes[id % ROW] = undefined
    row.count -= 1
    this.#size -= 1
    if (row.count === 0) this.#rows.delete(at)
  }

  /** By age. What comes and goes meanwhile is seen, or not, as with a Map. */
  *values(): Generator<UnionNode, undefined> {
    for (const { nodes } of this.#rows.values()) {
      for (const node of nodes) if (node !== undefined) yield node
    }
    return undefined
  }

  clear(): void {
    this.#rows.clear()
    this.#size = 0
  }
}
