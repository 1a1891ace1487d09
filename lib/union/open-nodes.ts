// The nodes of a view that programs have open.
//
//   add, delete      one step each, whatever their number; each open file knows its place in the list
//
// Why no Set: one that becomes empty shrinks, and the next open grows it again, which V8 does in its
// runtime: a program that opens one file after the other pays for both each time.
//
// Rule: a node is in here once, from its first open on; it leaves before its `open` is taken away.

import type { UnionNode } from './node.ts'

export class OpenNodes implements Iterable<UnionNode> {
  readonly #nodes: UnionNode[] = []

  add(node: UnionNode): void {
    const open = node.open!
    if (open.listed === -1) open.listed = this.#nodes.push(node) - 1
  }

  delete(node: UnionNode): void {
    const open = node.open!
    if (open.listed === -1) return
    const last = this.#nodes.pop()!
    if (last !== node) {
      this.#nodes[open.listed] = last
      last.open!.listed = open.listed
    }
    open.listed = -1
  }

  [Symbol.iterator](): Iterator<UnionNode> {
    return this.#nodes.values()
  }

  clear(): void {
    this.#nodes.length = 0
  }
}
