// A layer as the union holds it: open branches instead of paths.
//
//   stack, top first:  [scratch of B] B.rw B.ro  [scratch of A] A.rw A.ro  base
//
// A layer's scratch area, which takes what its manifest excludes, is a layer of its own
// right above it, with `owner` set. The base is a layer without a writable branch, or with
// nothing else.
//
// Rule: a UnionLayer never changes. A new writable or read-only sublayer makes a new one,
// which shares the branches that stayed.

import picomatch from 'picomatch'
import { type RelPath, shown } from '../base/path.ts'
import type { Branch } from './branch.ts'
import type { LinkIndex } from './link-index.ts'
import type { Numbers } from './numbers.ts'

export class UnionLayer {
  readonly id: string
  readonly name: string
  readonly rw: Branch | null
  /** Read-only branches, top first. */
  readonly ros: readonly Branch[]
  /** Directory for temporary names on the disk of `rw`. */
  readonly work: number
  readonly numbers: Numbers | null
  /** Copies of the base's hard-linked files; null where nothing can lie below, and for the base. */
  readonly links: LinkIndex | null
  /** True for the base. */
  readonly isBase: boolean
  /** The layer whose excluded files this one holds. */
  readonly owner: UnionLayer | null

  // Set once, right after it is made.
  scratch: UnionLayer | null = null

  readonly #excludes: ((path: string) => boolean) | null

  constructor(options: {
    id: string
    name: string
    rw: Branch | null
    ros: readonly Branch[]
    work: number
    numbers: Numbers | null
    links: LinkIndex | null
    isBase?: boolean
    owner?: UnionLayer | null
    excludes?: readonly string[]
  }) {
    this.id = options.id
    this.name = options.name
    this.rw = options.rw
    this.ros = options.ros
    this.work = options.work
    this.numbers = options.numbers
    this.links = options.links
    this.isBase = options.isBase ?? false
    this.owner = options.owner ?? null
    const excludes = options.excludes ?? []
    this.#excludes = excludes.length === 0 ? null : picomatch([...excludes], { dot: true })
  }

  /** Where a thing of this layer at this path belongs: the layer, or its scratch area. */
  forPath(path: RelPath): UnionLayer {
    const layer = this.owner ?? this
    const excluded = layer.#excludes?.(shown(path))
    return excluded && layer.scratch !== null ? layer.scratch : layer
  }

  /** After files of the writable sublayer were exchanged: reads what is kept beside it again. */
  refresh(): void {
    this.numbers?.refresh()
    this.links?.refresh(this.numbers?.fromBase() ?? [])
  }
}
