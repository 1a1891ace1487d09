// A state as a tree that can be served (lib/fuse/still-files.ts), whose names and bytes come when they
// are wanted, from another thread.
//
//   kernel ─▶ StillFiles ─▶ LateTree ── known? ─▶ answer
//                               └─ not yet ─▶ Parked ─▶ question ─▶ StateReader
//                                   asked again ◀─ take() ◀─ answer ┘
//
// Rule: nothing here waits. An answer is used by who asked; what is asked twice at once is one question.
// A directory's names stay known; what could not be read is asked again the next time.

import { ERRNO, Errno, fail } from '../base/errno.ts'
import { joinPath, type RelPath, ROOT } from '../base/path.ts'
import { type Job, Parked } from '../fuse/filesystem.ts'
import { asDamage, type StillBytes, type StillNode, type StillTree } from '../fuse/still-files.ts'
import type { Below } from './below.ts'
import type { ShownBytes } from './shown-tree.ts'
import type { ShownName } from './state-reader.ts'

/** What is asked of the thread that reads. `path`: whose it is, for people. */
export type Question =
  | { readonly kind: 'list'; readonly path: RelPath }
  | { readonly kind: 'holes'; readonly path: RelPath; readonly content: string }
  | {
      readonly kind: 'read'
      readonly path: RelPath
      readonly content: string
      readonly offset: number
      readonly length: number
    }

export interface Asked {
  readonly ticket: number
  readonly question: Question
}

export interface Answered {
  readonly ticket: number
  /** Positive errno, 0 for success. */
  readonly error: number
  /** Of a list, of a read, or offsets and lengths of holes; null where it failed. */
  readonly names: readonly ShownName[] | null
  readonly bytes: Uint8Array | null
  readonly holes: readonly number[] | null
}

interface Pending {
  readonly key: string
  readonly question: Question
  readonly job: Job
  answer: Answered | null
  done: ((job: Job) => void) | null
}

/** Numbers of files that the state knows none of begin here: others never come that far. */
const OWN_NUMBERS = 2 ** 52

export class LateTree implements StillTree {
  readonly nodes: LateNode[] = []
  readonly #below: Below
  readonly #ask: (asked: Asked) => void
  readonly #damaged: (path: RelPath, why: string) => void
  readonly #pending = new Map<string, Pending>()
  readonly #byTicket = new Map<number, Pending>()
  /** Nodes of files that have several names. */
  readonly #linked = new Map<string, number>()
  #ticket = 0

  /** `damaged` is told of what lies below and is not what the state says. */
  constructor(
    root: ShownName,
    below: Below,
    ask: (asked: Asked) => void,
    damaged: (path: RelPath, why: string) => void,
  ) {
    this.#below = below
    this.#ask = ask
    this.#damaged = damaged
    this.#add(root, ROOT)
  }

  /** Of the session: asks what a request waits for. */
  readonly submit = (job: Job, done: (job: Job) => void): void => {
    const pending = this.#byTicket.get(job.id)
    if (pending === undefined) throw new TypeError(`job ${job.id} was never asked for`)
    pending.done = done
    this.#ask({ ticket: job.id, question: pending.question })
  }

  /** An answer has come: whoever waits for it runs again. */
  take(answer: Answered): void {
    const pending = this.#byTicket.get(answer.ticket)
    if (pending === undefined) return
    const { job } = pending
    pending.answer = answer
    job.error = answer.error
    job.done = true
    pending.done?.(job)
  }

  abandon(job: Job): void {
    const pending = this.#byTicket.get(job.id)
    if (pending !== undefined) this.#end(pending)
  }

  open(node: number): StillBytes {
    const { path, bytes, attr } = this.nodes[node] ?? fail('ESTALE')
    if (bytes.at === 'below') return this.#openBelow(path, bytes.path, attr.size)
    return new LateBytes(this, path, bytes, attr.size)
  }

  check(): void {}

  close(): void {
    this.#below.close()
  }

  /** The names in a directory. Throws Parked, Errno. */
  childrenOf(path: RelPath): ReadonlyMap<string, number> {
    const { names } = this.answerTo({ kind: 'list', path })
    return new Map(names!.map((one) => [one.name, this.#add(one, joinPath(path, one.name))]))
  }

  /** Throws Parked where it is not there yet, Errno where it could not be had. */
  answerTo(question: Question): Answered {
    const key = JSON.stringify(question)
    const known = this.#pending.get(key)
    if (known === undefined) throw new Parked(this.#begin(key, question).job)
    if (known.answer === null) throw new Parked(known.job)
    this.#end(known)
    const { answer } = known
    if (answer.error !== 0) throw new Errno(answer.error, question.path)
    return answer
  }

  #begin(key: string, question: Question): Pending {
    const job: Job = { id: ++this.#ticket, error: 0, done: false, kind: 'asked' }
    const pending: Pending = { key, question, job, answer: null, done: null }
    this.#pending.set(key, pending)
    this.#byTicket.set(job.id, pending)
    return pending
  }

  #end({ key, job }: Pending): void {
    this.#pending.delete(key)
    this.#byTicket.delete(job.id)
  }

  #add(one: ShownName, path: RelPath): number {
    const known = one.links === null ? undefined : this.#linked.get(one.links)
    if (known !== undefined) return known
    const at = this.nodes.length
    const ino = one.attr.ino || OWN_NUMBERS + at
    this.nodes.push(new LateNode(this, one, path, ino))
    if (one.links !== null) this.#linked.set(one.links, at)
    return at
  }

  #openBelow(path: RelPath, from: RelPath, size: number): StillBytes {
    return asDamage(() => {
      try {
        const { size: found, holes, read, close } = this.#below.open(from)
        if (found === size) return { size, holes, read: readable(read), close }
        close()
      } catch (err) {
        if (!(err instanceof Errno) || err.number !== ERRNO.ENOENT) throw err
      }
      this.#damaged(path, 'its file in the read-only part was changed or is missing')
      throw new Errno(ERRNO.EIO, path)
    })
  }
}

const readable =
  (read: StillBytes['read']): StillBytes['read'] =>
  (into, offset) =>
    asDamage(() => read(into, offset))

class LateNode implements StillNode {
  readonly attr: StillNode['attr']
  readonly target: string
  readonly xattrs: ReadonlyMap<string, Buffer>
  readonly path: RelPath
  readonly bytes: ShownBytes
  readonly #tree: LateTree
  readonly #isDir: boolean
  #children: ReadonlyMap<string, number> | null = null

  constructor(tree: LateTree, one: ShownName, path: RelPath, ino: number) {
    this.#tree = tree
    this.attr = { ...one.attr, ino }
    this.target = one.target
    const xattrs = Object.entries(one.xattrs)
    this.xattrs = new Map(xattrs.map(([name, value]) => [name, Buffer.from(value, 'base64')]))
    this.path = path
    this.bytes = one.bytes
    this.#isDir = (one.attr.mode & 0o170000) === 0o040000
  }

  get children(): ReadonlyMap<string, number> | null {
    if (!this.#isDir) return null
    this.#children ??= this.#tree.childrenOf(this.path)
    return this.#children
  }
}

class LateBytes implements StillBytes {
  readonly size: number
  readonly #tree: LateTree
  readonly #path: RelPath
  readonly #content: string | null
  #holes: readonly number[] | null = null

  constructor(tree: LateTree, path: RelPath, bytes: ShownBytes, size: number) {
    this.#tree = tree
    this.#path = path
    this.#content = bytes.at === 'content' ? bytes.id : null
    this.size = size
  }

  get holes(): readonly number[] {
    if (this.#content === null) return []
    const question = { kind: 'holes', path: this.#path, content: this.#content } as const
    this.#holes ??= this.#tree.answerTo(question).holes ?? []
    return this.#holes
  }

  read(into: Buffer, offset: number): void {
    if (this.#content === null) fail('EIO')
    const range = { offset, length: into.length }
    const { bytes } = this.#tree.answerTo({
      kind: 'read',
      path: this.#path,
      content: this.#content!,
      ...range,
    })
    into.set(bytes!)
  }

  close(): void {}
}
