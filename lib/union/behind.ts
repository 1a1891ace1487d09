// What of a view is not yet as its stack says.
//
//   restack ─▶ begin: the root waits    ┌─ step      a few names between two requests, topmost first
//   detach  ─▶ fall: what was below  ───┤
//                                       └─ catchUp   what a request is about, before it runs
//
// A directory that waits has names that were not looked at again; below it nothing was. Whatever
// hangs below a detached node fell with it, and is detached one by one.
//
// Rule: no request meets what is behind: who reaches a node by anything but a name's lookup calls
// `catchUp` first. What the kernel has cached is told in the order of the steps.

import type { RelPath } from '../base/path.ts'
import type { Branch } from './branch.ts'
import type { Place, UnionNode } from './node.ts'
import { recheck, recheckAbsent, tellList } from './restack.ts'
import type { View } from './view.ts'

/** Nodes detached at once with the one that they hang below. */
const AT_ONCE = 64
/** Names between two looks at the clock. */
const STRIDE = 16
/** Watchers told in one step: each is a request of its own. */
const TOUCHES = 32

export class Behind {
  /** True where something is. */
  some = false
  /** Called when there is something to do that was not. */
  onWork: () => void = () => {}
  readonly #view: View
  /** Branches that came, went or moved since the view was last as its stack says. */
  readonly #changed = new Set<Branch>()
  readonly #waiting = new Set<UnionNode>()
  readonly #visited = new Set<UnionNode>()
  /** Waited when another stack came: their places may tell nothing of it any more. */
  #owed: ReadonlySet<UnionNode> = new Set()
  #fallen: Iterator<UnionNode>[] = []
  #touches: UnionNode[] = []
  #work: Generator<void> | null = null
  #whenTold: (() => void)[] = []
  #whenDone: (() => void)[] = []
  #settling = false

  constructor(view: View) {
    this.#view = view
  }

  /**
   * The view has another stack. `told` is called when all was announced, `done` when nothing of the
   * old stack is used any more.
   */
  begin(changed: Iterable<Branch>, told: () => void, done: () => void): void {
    for (const branch of changed) this.#changed.add(branch)
    this.#owed = new Set([...this.#owed, ...this.#waiting])
    this.#waiting.clear()
    this.#visited.clear()
    this.#waiting.add(this.#view.root)
    this.#whenTold.push(told)
    this.#whenDone.push(done)
    this.#work = null
    this.#wake()
  }

  /** These hung below a node that was detached. */
  fall(children: ReadonlyMap<string, UnionNode>): void {
    this.#fallen.push(children.values())
    if (this.#settling) return
    if (this.#whenDone.length === 0) this.#settle()
    if (this.#fallen.length > 0) this.#wake()
  }

  // What is small is done at once, as long as no stack is exchanged.
  #settle(): void {
    this.#settling = true
    const work = this.#detachFallen()
    for (let count = 0; count < AT_ONCE && !work.next().done; count++);
    this.#settling = false
  }

  #wake(): void {
    if (this.some) return
    this.some = true
    this.onWork()
  }

  /** Goes on until `performance.now()` is `until`, or nothing is behind. */
  step(until: number): void {
    for (let count = 1; this.some; count++) {
      if (this.#isDone()) {
        this.#end()
        return
      }
      if (count % STRIDE === 0 && performance.now() >= until) return
    }
  }

  #isDone(): boolean {
    this.#work ??= this.#all()
    try {
      return this.#work.next().done === true
    } catch (err) {
      // It would fail again and again; the old stack must be closed all the same.
      this.giveUp()
      throw err
    }
  }

  /** Nothing is behind afterwards. */
  finish(): void {
    while (this.some) this.step(Number.POSITIVE_INFINITY)
  }

  #end(): void {
    this.#work = null
    if (this.#waiting.size > 0 || this.#fallen.length > 0 || this.#touches.length > 0) return
    this.some = false
    this.#changed.clear()
    this.#visited.clear()
    this.#owed = new Set()
    for (const act of [...this.#whenTold.splice(0), ...this.#whenDone.splice(0)]) act()
  }

  /** The view ends. */
  giveUp(): void {
    this.#waiting.clear()
    this.#fallen = []
    this.#touches = []
    if (this.some) this.#end()
  }

  *#all(): Generator<void> {
    // Those that a visit adds come behind the others: topmost first.
    for (const dir of this.#waiting) yield* this.#visit(dir)
    for (const node of this.#touches.splice(0, TOUCHES)) this.#touch(node)
    if (this.#touches.length > 0) return
    for (const told of this.#whenTold.splice(0)) told()
    yield* this.#detachFallen()
  }

  // Watchers look when all of it is true.
  #touch(node: UnionNode): void {
    const view = this.#view
    if (isKnown(view, node)) view.announce({ kind: 'touch', node: node.id, path: node.path })
  }

  *#visit(dir: UnionNode): Generator<void> {
    const view = this.#view
    for (const [name, child] of dir.children ?? []) {
      if (!this.#waiting.has(dir)) return
      this.#look(dir, name, child)
      yield
    }
    for (const name of dir.absent?.keys() ?? []) {
      recheckAbsent(view, dir, name)
      yield
    }
    if (!this.#waiting.delete(dir)) return
    this.#visited.add(dir)
    if (!isKnown(view, dir)) return
    tellList(view, dir)
    this.#touches.push(dir)
  }

  #look(dir: UnionNode, name: string, child: UnionNode): void {
    recheck(this.#view, dir, name, child, false, (before) => {
      if (this.#visited.has(child) || this.#waiting.has(child)) return
      // What a changed branch hid is in places of others.
      const others = !sameBranches(before, child.places)
      if (others || this.#concerns(child.places) || this.#owed.has(child)) this.#waiting.add(child)
    })
  }

  #concerns(places: readonly Place[]): boolean {
    return places.some(({ branch }) => this.#changed.has(branch))
  }

  *#detachFallen(): Generator<void> {
    for (let next = this.#fallen[0]; next !== undefined; next = this.#fallen[0]) {
      const { value, done } = next.next()
      if (done) this.#fallen.shift()
      else if (isKnown(this.#view, value)) this.#view.detach(value, false)
      yield
    }
  }

  /** Brings a node, and what is above it, to what the stack says. It may be detached afterwards. */
  catchUp(node: UnionNode): void {
    const chain: UnionNode[] = []
    let top = node
    for (; top.parent !== null; top = top.parent) chain.push(top)
    for (const each of chain.reverse()) {
      const { parent, name } = each
      if (parent === null) continue
      if (parent.stale) this.#view.detach(each, false)
      else if (this.#waiting.has(parent)) this.#look(parent, name, each)
    }
  }

  /** The same for what lies at a path, as far as the kernel knows it. */
  catchUpPath(path: RelPath): void {
    let dir = this.#view.root
    for (const name of path === '' ? [] : path.split('/')) {
      this.catchUpName(dir, name)
      const child = dir.children?.get(name)
      if (child === undefined) return
      dir = child
    }
  }

  /** The same for one name of a directory that is not behind itself. */
  catchUpName(dir: UnionNode, name: string): void {
    if (!this.#waiting.has(dir)) return
    const child = dir.children?.get(name)
    if (child !== undefined) this.#look(dir, name, child)
    if (dir.absent?.has(name)) recheckAbsent(this.#view, dir, name)
  }

  /** The same for all names of a directory that is not behind itself. */
  catchUpNames(dir: UnionNode): void {
    if (this.#waiting.has(dir)) for (const _ of this.#visit(dir));
  }
}

const sameBranches = (one: readonly Place[], other: readonly Place[]): boolean =>
  one.length === other.length && one.every(({ branch }, at) => branch === other[at]!.branch)

const isKnown = (view: View, node: UnionNode): boolean => view.nodes.get(node.id) === node
