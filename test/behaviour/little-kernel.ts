// The kernel's part between a caller and a FileSystem, as far as behaviours need it: path
// walks, links, counted lookups and their FORGETs, requests that are parked and run again.
//
//   'dir/deep/x' ─▶ lookup(root,'dir') ─▶ lookup(…,'deep') ─▶ lookup(…,'x') ─▶ Walked
//
// Rule: permissions and caches are the true kernel's; behaviours that need them say so.
// A `forgetful` kernel gives every node back right after the call that looked it up, where
// no open file holds it or its parents: the hardest customer there can be.

import { ERRNO, Errno, errnoOf, fail } from '../../lib/base/errno.ts'
import {
  ABSENT,
  type Attr,
  type Caller,
  type Entry,
  type FileSystem,
  type Job,
  type NodeId,
  Parked,
  ROOT_NODE,
} from '../../lib/fuse/filesystem.ts'
import { copyData, fillPieces } from '../../lib/host/copy.ts'
import { must, S, sys } from '../../lib/host/sys.ts'

/** A node that was looked up, with its attributes at that moment. */
export interface Known {
  readonly node: NodeId
  readonly attr: Readonly<Attr>
}

/** Where a path led. */
export interface Walked {
  /** All directories on the way, the root first, the parent last. */
  readonly way: readonly Known[]
  readonly parent: Known
  readonly name: string
  /** null where the last name is absent. */
  readonly found: Known | null
}

const MOST_LINKS = 40
const PATH_MAX = 4096
/** Runs of one request in a row: more is a request that parks itself for ever. */
const MOST_RUNS = 1000

export class LittleKernel {
  readonly fs: FileSystem
  forgetful: boolean
  uid: number
  gid: number
  umask = 0o022
  readonly #counts = new Map<NodeId, number>()
  readonly #held = new Map<NodeId, number>()

  constructor(fs: FileSystem, forgetful: boolean) {
    this.fs = fs
    this.forgetful = forgetful
    this.uid = process.geteuid?.() ?? 0
    this.gid = process.getegid?.() ?? 0
  }

  /** Sends one request, as often as it is parked. Throws what the filesystem threw last. */
  ask<T>(request: (caller: Caller) => T): T {
    let finished: Job | null = null
    for (let run = 0; run < MOST_RUNS; run++) {
      try {
        return request({ uid: this.uid, gid: this.gid, pid: process.pid, finished })
      } catch (err) {
        if (!(err instanceof Parked)) {
          if (finished !== null) this.fs.abandon?.(finished)
          throw asErrno(err)
        }
        finished = done(err.job)
      }
    }
    throw new Error('a request was parked again and again')
  }

  /** Takes an entry as the kernel does: counted, and copied, because the next call fills it anew. */
  take(entry: Entry): Known | null {
    if (entry.node === ABSENT) return null
    this.#counts.set(entry.node, (this.#counts.get(entry.node) ?? 0) + 1)
    return { node: entry.node, attr: { ...entry.attr } }
  }

  attributes(node: NodeId): Attr {
    return { ...this.ask((caller) => this.fs.getattr(caller, node, null)).attr }
  }

  /** Walks a path from `start`; a last link is followed where `follow` says so. Throws Errno. */
  walk(start: string, path: string, follow: boolean): Walked {
    if (path.length >= PATH_MAX) fail('ENAMETOOLONG')
    const root = { node: ROOT_NODE, attr: this.attributes(ROOT_NODE) }
    const way: Known[] = [root]
    const parts = `${start}/${path}`.split('/').filter((part) => part !== '' && part !== '.')
    let links = 0
    let last: { name: string; found: Known | null } = { name: '.', found: root }
    for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
      const parent = way.at(-1)!
      if (part === '..') {
        if (way.length > 1) way.pop()
        last = { name: '.', found: way.at(-1)! }
        continue
      }
      const found = this.#lookup(parent, part)
      last = { name: part, found }
      if (found === null) {
        if (parts.length > 0) fail('ENOENT')
        break
      }
      if (isLink(found) && (follow || parts.length > 0)) {
        if (++links > MOST_LINKS) fail('ELOOP')
        const target = this.ask((caller) => this.fs.readlink(caller, found.node))
        if (target.startsWith('/')) fail('ENOENT')
        parts.unshift(...target.split('/').filter((each) => each !== '' && each !== '.'))
        continue
      }
      if (parts.length === 0) break
      if (!isDirectory(found)) fail('ENOTDIR')
      way.push(found)
    }
    if (last.name === '.' && way.length > 1) way.pop()
    return { way, parent: way.at(-1)!, ...last }
  }

  #lookup(parent: Known, name: string): Known | null {
    return this.take(this.ask((caller) => this.fs.lookup(caller, parent.node, name)))
  }

  /** An open file keeps its node and all directories above it. */
  hold(nodes: readonly NodeId[], by: 1 | -1): void {
    for (const node of nodes) this.#held.set(node, (this.#held.get(node) ?? 0) + by)
  }

  /** What a call ends with. */
  settle(): void {
    if (this.forgetful) this.forgetAll()
  }

  /** Gives back every node that no open file holds, the deepest first. */
  forgetAll(): void {
    for (const [node, count] of [...this.#counts].reverse()) {
      if ((this.#held.get(node) ?? 0) > 0) continue
      this.#counts.delete(node)
      this.fs.forget(node, count)
    }
  }
}

export const isDirectory = (known: Known): boolean => (known.attr.mode & S.IFMT) === S.IFDIR
export const isLink = (known: Known): boolean => (known.attr.mode & S.IFMT) === S.IFLNK
export const isFile = (known: Known): boolean => (known.attr.mode & S.IFMT) === S.IFREG

/** What an io thread does, at once. */
export function done(job: Job): Job {
  if (job.done) return job
  try {
    if (job.kind === 'copy') copyData(job.from, job.to, job.size)
    else if (job.kind === 'fill') {
      for (const _count of fillPieces(job.from, job.to, job.runs));
      if (job.flush) must(sys.fdatasync(job.to), 'fsync')
    } else if (job.kind === 'fsync')
      must(job.dataOnly ? sys.fdatasync(job.fd) : sys.fsync(job.fd), 'fsync')
  } catch (err) {
    job.error = errnoOf(err) ?? ERRNO.EIO
  }
  job.done = true
  return job
}

function asErrno(err: unknown): unknown {
  const number = errnoOf(err)
  return number === null || err instanceof Errno ? err : new Errno(number, String(err))
}
