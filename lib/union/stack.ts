// The order of the layers that a view is made of, top first.
//
// Rule: a Stack never changes. Activating a layer makes a new one, and the view swaps to
// it between two requests.

import type { Branch } from './branch.ts'
import type { UnionLayer } from './layer.ts'

export class Stack {
  readonly layers: readonly UnionLayer[]
  readonly base: UnionLayer | null
  readonly branches: readonly Branch[]
  readonly #rank = new Map<Branch, number>()

  constructor(layers: readonly UnionLayer[], base: UnionLayer | null) {
    this.layers = layers
    this.base = base
    const all = base === null ? layers : [...layers, base]
    this.branches = all.flatMap((layer) =>
      layer.rw === null ? layer.ros : [layer.rw, ...layer.ros],
    )
    for (const [rank, branch] of this.branches.entries()) this.#rank.set(branch, rank)
  }

  /** Position of a branch, 0 at the top; undefined for one that is not (or no longer) in it. */
  rank(branch: Branch): number | undefined {
    return this.#rank.get(branch)
  }

  /** True where everything of `one` lies over everything of `other`. */
  isAbove(one: UnionLayer, other: UnionLayer): boolean {
    return this.#top(one) < this.#top(other)
  }

  /** The topmost layer with a writable sublayer that is not the base; null where there is none. */
  get topWritable(): UnionLayer | null {
    const layer = this.layers.find((one) => one.rw !== null && one.owner === null)
    return layer ?? (this.base !== null && this.base.rw !== null ? this.base : null)
  }

  layer(id: string): UnionLayer | null {
    return this.layers.find((one) => one.id === id && one.owner === null) ?? null
  }

  #top(layer: UnionLayer): number {
    const branch = layer.rw ?? layer.ros[0]
    return (branch === undefined ? undefined : this.#rank.get(branch)) ?? this.branches.length
  }
}
