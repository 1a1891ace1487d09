// The trees that the views of one thread are made of, each opened once: two mounts that show
// one layer share its branches, so they share its inode numbers and its freezes.

import type { RelPath } from '../base/path.ts'
import { cloneTree } from '../host/mount.ts'
import { AT_FDCWD, must, O, sys } from '../host/sys.ts'
import { openIndex } from '../layer/index-file.ts'
import { ctimesBeside, linkIndexOf, unsettledBeside } from '../layer/layer.ts'
import type { MarkPrefix } from '../layer/marks.ts'
import { Branch, openRoot } from './branch.ts'
import { Ctimes } from './ctimes.ts'
import { UnionLayer } from './layer.ts'
import { LinkIndex } from './link-index.ts'
import { BORN, BORN_SCRATCH, Numbers, publishedBase } from './numbers.ts'
import type { Settler } from './settler.ts'
import type { BaseSpec, LayerSpec, StackSpec } from './spec.ts'
import { Stack } from './stack.ts'
import { Unsettled } from './unsettled.ts'

interface Shared<T> {
  value: T
  uses: number
}

export interface OpenStack {
  readonly stack: Stack
  /** Its branches belong to its layers from here on. */
  adopt(): void
  close(): void
}

export class Pool {
  readonly #privileged: boolean
  readonly #branches = new Map<string, Shared<Branch>>()
  readonly #numbers = new Map<string, Shared<Numbers>>()
  readonly #links = new Map<string, Shared<LinkIndex>>()
  readonly #layers = new Map<string, Shared<{ layers: UnionLayer[]; close(): void }>>()

  /** Has unsettled files follow in the background; null where nobody does. */
  readonly settler: Settler | null

  readonly #onWritable: (branch: Branch) => void

  /** `onWritable` is told of each writable branch when it is opened, before anything can change it. */
  constructor(
    privileged: boolean,
    settler: Settler | null = null,
    onWritable: (branch: Branch) => void = () => {},
  ) {
    this.#privileged = privileged
    this.settler = settler
    this.#onWritable = onWritable
  }

  /**
   * Opens the layers of a stack, over a base that is open already. A view that shows it calls
   * `adopt` first; `close` it when none does any more. Throws Errno.
   */
  open(spec: StackSpec, base: UnionLayer | null): OpenStack {
    const closers: (() => void)[] = []
    const close = () => {
      for (const one of closers.splice(0).reverse()) one()
    }
    try {
      const layers = spec.layers.flatMap((layer) => this.#layer(layer, closers))
      // Not before: where another one fails, branches in use keep the layer they had.
      const adopt = () => {
        for (const layer of layers) {
          for (const branch of [layer.rw, ...layer.ros]) if (branch !== null) branch.layer = layer
        }
      }
      return { stack: new Stack(layers, base), adopt, close }
    } catch (err) {
      close()
      throw err
    }
  }

  /** The open writable branch of a layer, or null where no view shows it. */
  writable(id: string): Branch | null {
    for (const { value } of this.#branches.values()) {
      if (value.writable && value.layer.id === id && value.layer.owner === null) return value
    }
    return null
  }

  // Views of one layer share the object, so that a branch knows which layer it belongs to.
  #layer(spec: LayerSpec, closers: (() => void)[]): UnionLayer[] {
    return this.#share(this.#layers, JSON.stringify(spec), closers, () => {
      const own: (() => void)[] = []
      const close = () => {
        for (const one of own.splice(0).reverse()) one()
      }
      try {
        return { layers: this.#openLayer(spec, own), close }
      } catch (err) {
        close()
        throw err
      }
    }).layers
  }

  #openLayer(spec: LayerSpec, closers: (() => void)[]): UnionLayer[] {
    const dropIn = spec.tag === 0
    const ros = spec.ro.map((ro) =>
      this.#share(this.#branches, ro.path, closers, () => this.#published(ro, spec.tag, dropIn)),
    )
    const rw = spec.rw === null ? null : this.#writable(spec.rw, spec.numbers, closers)
    const numbers =
      spec.rw === null ? null : this.#numbersOf(spec.numbers, spec.rw, spec.tag, BORN, closers)
    const layer = new UnionLayer({
      id: spec.id,
      name: spec.name,
      rw,
      ros,
      work: spec.work === null ? -1 : openWork(spec.work, closers),
      numbers,
      links: dropIn ? null : this.#linksOf(rw, numbers, closers),
      excludes: spec.excludes,
    })
    return spec.scratch === null ? [layer] : [this.#scratch(spec, layer, closers), layer]
  }

  #scratch(spec: LayerSpec, owner: UnionLayer, closers: (() => void)[]): UnionLayer {
    const path = spec.scratch!
    const rw = this.#writable(path, `${path}.numbers`, closers)
    const numbers = this.#numbersOf(`${path}.numbers`, path, spec.tag, BORN_SCRATCH, closers)
    const { id, name, work } = owner
    const links = this.#linksOf(rw, numbers, closers)
    const scratch = new UnionLayer({ id, name, rw, ros: [], work, numbers, links, owner })
    owner.scratch = scratch
    return scratch
  }

  /**
   * Opens a mount's base, which it keeps to its end: what is mounted in the base is as it was
   * now. Close its branch. Throws Errno.
   */
  openBase(spec: BaseSpec, blocked: readonly string[]): UnionLayer {
    const root = this.#privileged && !spec.writable ? cloneTree(spec.path) : openRoot(spec.path)
    const branch = new Branch({
      path: spec.path,
      root,
      writable: spec.writable,
      foreign: true,
      prefix: null,
      index: null,
      ctimes: spec.writable ? new Ctimes(null) : null,
    })
    const inside = blocked.map((path) => within(path, spec.path)).filter((path) => path !== null)
    if (inside.length > 0) branch.blocked = new Set(inside)
    const layer = new UnionLayer({
      id: '/',
      name: 'base',
      rw: spec.writable ? branch : null,
      ros: spec.writable ? [] : [branch],
      work: -1,
      numbers: null,
      links: null,
      isBase: true,
    })
    branch.layer = layer
    return layer
  }

  #published(ro: LayerSpec['ro'][number], tag: number, dropIn: boolean): Branch {
    const root = openRoot(ro.path)
    const index = ro.index === null ? null : openIndex(ro.index, root)
    return new Branch({
      path: ro.path,
      root,
      writable: false,
      foreign: false,
      prefix: dropIn || ro.marks === true ? this.#prefix : null,
      index,
      numberBase: index === null ? 0 : publishedBase(tag, ro.version),
    })
  }

  #writable(path: string, numbers: string | null, closers: (() => void)[]): Branch {
    return this.#share(this.#branches, path, closers, () => {
      const root = openRoot(path)
      const prefix = this.#prefix
      const ctimes = new Ctimes(numbers === null ? null : ctimesBeside(numbers))
      const unsettled = new Unsettled(numbers === null ? null : unsettledBeside(numbers))
      const shape = { writable: true, foreign: false, index: null }
      const branch = new Branch({ path, root, prefix, ctimes, unsettled, ...shape })
      this.#onWritable(branch)
      return branch
    })
  }

  #numbersOf(
    log: string | null,
    key: string,
    tag: number,
    slot: number,
    closers: (() => void)[],
  ): Numbers {
    return this.#share(this.#numbers, key, closers, () => new Numbers(log, tag, slot))
  }

  #linksOf(rw: Branch | null, numbers: Numbers | null, closers: (() => void)[]): LinkIndex | null {
    if (rw === null) return null
    const path = linkIndexOf(rw.path)
    const open = () => new LinkIndex(path, rw, numbers?.fromBase() ?? [])
    return this.#share(this.#links, path, closers, open)
  }

  get #prefix(): MarkPrefix {
    return this.#privileged ? 'trusted' : 'user'
  }

  #share<T extends { close(): void }>(
    all: Map<string, Shared<T>>,
    key: string,
    closers: (() => void)[],
    open: () => T,
  ): T {
    const shared = all.get(key) ?? { value: open(), uses: 0 }
    all.set(key, shared)
    shared.uses += 1
    closers.push(() => {
      shared.uses -= 1
      if (shared.uses > 0) return
      all.delete(key)
      shared.value.close()
    })
    return shared.value
  }
}

function openWork(path: string, closers: (() => void)[]): number {
  const fd = must(sys.openat(AT_FDCWD, path, O.PATH | O.DIRECTORY), path)
  closers.push(() => void sys.close(fd))
  return fd
}

/** Path of `path` below `root`, or null where it is not below it. */
function within(path: string, root: string): RelPath | null {
  if (root === '/') return path.slice(1) as RelPath
  return path.startsWith(`${root}/`) ? (path.slice(root.length + 1) as RelPath) : null
}
