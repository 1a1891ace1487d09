// Requests that were put aside, and the lines in which they wait.
//
//   node 7:  [SETATTR: its file is being copied] ─ [WRITE] ─ [RELEASE]     a line: first come, first served
//   node 9:  [RENAME 9 → 12] ─ [CREATE]                                    RENAME stands in two lines
//   node 12: [RENAME 9 → 12]
//
// Rule: what changes a node waits behind what is parked on it; what only reads overtakes,
// because a parked request has had no effect yet. Whoever stands first in all its lines may run.
// A kernel's FORGET of a node with a line is kept until the line is gone.

import type { Job, NodeId } from './filesystem.ts'

export interface Waiting {
  /** A copy of the whole request. */
  readonly bytes: Buffer
  readonly unique: number
  /** The nodes in whose lines it stands; none for a request that only reads. */
  readonly nodes: readonly NodeId[]
  /** What it is parked for; null while it waits for its turn. */
  job: Job | null
  /** What it was parked for last, for its next run. */
  finished: Job | null
}

export class WaitingRoom {
  readonly #lines = new Map<NodeId, Waiting[]>()
  readonly #byUnique = new Map<number, Waiting>()
  /** Who waits for a job that an io thread has; empty where nobody does any more. */
  readonly #jobs = new Map<Job, Waiting[]>()
  readonly #forgets = new Map<NodeId, number>()

  /** True where nothing waits at all: the common case, asked for each request. */
  get empty(): boolean {
    return this.#byUnique.size === 0
  }

  /** Jobs under way, waited for or not. */
  get jobs(): number {
    return this.#jobs.size
  }

  get size(): number {
    return this.#byUnique.size
  }

  hasLine(node: NodeId): boolean {
    return this.#lines.has(node)
  }

  enter(waiting: Waiting): void {
    this.#byUnique.set(waiting.unique, waiting)
    for (const node of waiting.nodes) {
      const line = this.#lines.get(node)
      if (line === undefined) this.#lines.set(node, [waiting])
      else line.push(waiting)
    }
  }

  /** True where this is the job's first request: somebody must begin the job. */
  waitFor(waiting: Waiting, job: Job): boolean {
    waiting.job = job
    const others = this.#jobs.get(job)
    if (others === undefined) this.#jobs.set(job, [waiting])
    else others.push(waiting)
    return others === undefined
  }

  /** Those that waited for the job and may run again, in the order they came. */
  finish(job: Job): Waiting[] {
    const those = this.#jobs.get(job) ?? []
    this.#jobs.delete(job)
    for (const waiting of those) {
      waiting.job = null
      waiting.finished = job
    }
    return those
  }

  find(unique: number): Waiting | undefined {
    return this.#byUnique.get(unique)
  }

  /** Takes a request out. Answers those whose turn has come, in the order of its nodes. */
  leave(waiting: Waiting): Waiting[] {
    this.#byUnique.delete(waiting.unique)
    if (waiting.job !== null) {
      const others = this.#jobs.get(waiting.job)
      others?.splice(others.indexOf(waiting), 1)
    }
    const next: Waiting[] = []
    for (const node of waiting.nodes) {
      const first = this.#step(node, waiting)
      if (first !== undefined && !next.includes(first) && this.#mayRun(first)) next.push(first)
    }
    return next
  }

  /** Keeps a FORGET until the node's line is gone. */
  keepForget(node: NodeId, count: number): void {
    this.#forgets.set(node, (this.#forgets.get(node) ?? 0) + count)
  }

  /** Calls `forget` for what was kept of nodes that have no line any more. */
  releaseForgets(forget: (node: NodeId, count: number) => void): void {
    for (const [node, count] of this.#forgets) {
      if (this.#lines.has(node)) continue
      this.#forgets.delete(node)
      forget(node, count)
    }
  }

  /** True where a job is under way that nobody waits for. */
  isDeserted(job: Job): boolean {
    return this.#jobs.get(job)?.length === 0
  }

  /** Everybody leaves; jobs that are under way stay known until they are done: these. */
  clear(): Job[] {
    this.#lines.clear()
    this.#byUnique.clear()
    this.#forgets.clear()
    for (const those of this.#jobs.values()) those.length = 0
    return [...this.#jobs.keys()]
  }

  // Removes from one line; answers who stands first afterwards, where that changed.
  #step(node: NodeId, waiting: Waiting): Waiting | undefined {
    const line = this.#lines.get(node)
    if (line === undefined) return undefined
    const place = line.indexOf(waiting)
    if (place !== -1) line.splice(place, 1)
    if (line.length === 0) this.#lines.delete(node)
    return place === 0 ? line[0] : undefined
  }

  #mayRun(waiting: Waiting): boolean {
    if (waiting.job !== null) return false
    return waiting.nodes.every((node) => this.#lines.get(node)?.[0] === waiting)
  }
}
