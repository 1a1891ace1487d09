// One tree on disk that a view is made of: a sublayer, or the base. Everything in it is
// reached relative to directory descriptors, one name at a time, nothing followed.
//
//   path in the branch ──▶ descriptor (O_PATH, a bounded cache) ──▶ call with one name
//
// Rule: a writable branch is changed through lib/union alone, and each change asks
// `beforeChange` (freeze.ts) first. In a writable branch a thing lies at the same path as
// in the view; in a read-only one it may lie elsewhere (a redirect).

import { ERRNO, Errno } from '../base/errno.ts'
import { baseName, parentPath, type RelPath } from '../base/path.ts'
import { Stat } from '../host/stat.ts'
import { AT_FDCWD, must, O, sys } from '../host/sys.ts'
import type { TreeIndex } from '../layer/index-file.ts'
import type { MarkPrefix } from '../layer/marks.ts'
import type { Freeze } from './freeze.ts'
import type { UnionLayer } from './layer.ts'

/** Descriptors kept for one branch. A request needs at most a handful at once. */
const MOST_DESCRIPTORS = 256

export class Branch {
  /** Absolute path, bytes as latin1. Two layers with one writable tree share the branch. */
  readonly path: string
  readonly writable: boolean
  /** True for the base, which others may change behind the mount. */
  readonly foreign: boolean
  /** Prefix of its marks; null for a tree that holds none. */
  readonly prefix: MarkPrefix | null
  readonly root: number
  readonly dev: number
  readonly index: TreeIndex | null
  /** Added to a position of the index to make an inode number; 0 where the disk's own are shown. */
  readonly numberBase: number

  // Mutable below, by the union's thread alone.

  /** The layer it belongs to: set when the layer is made. */
  layer!: UnionLayer
  /** Preservation areas that must see what was, before it changes. */
  readonly freezes: Freeze[] = []
  /** Paths served by this process: a walk into one would wait for itself. */
  blocked: ReadonlySet<string> | null = null
  readonly #fds = new Map<string, number>()

  constructor(options: {
    path: string
    root: number
    writable: boolean
    foreign: boolean
    prefix: MarkPrefix | null
    index: TreeIndex | null
    numberBase?: number
  }) {
    this.path = options.path
    this.root = options.root
    this.writable = options.writable
    this.foreign = options.foreign
    this.prefix = options.prefix
    this.index = options.index
    this.numberBase = options.numberBase ?? 0
    const stat = new Stat()
    must(sys.stat(this.root, '', stat), 'branch')
    this.dev = stat.dev
  }

  /** Descriptor of a directory of the branch: valid until the request ends. Throws Errno. */
  dirFd(path: RelPath): number {
    if (path === '') return this.root
    const known = this.#fds.get(path)
    if (known !== undefined) {
      this.#fds.delete(path)
      this.#fds.set(path, known)
      return known
    }
    const parent = this.dirFd(parentPath(path))
    const fd = sys.openat(parent, baseName(path), O.PATH | O.DIRECTORY | O.NOFOLLOW)
    if (fd < 0) throw new Errno(-fd, 'open directory')
    this.#keep(path, fd)
    return fd
  }

  /** Attributes of a name in a directory. False when it is absent. Throws Errno otherwise. */
  peek(dir: RelPath, name: string, into: Stat): boolean {
    if (this.blocked !== null && this.#isBlocked(dir, name)) return false
    const done = sys.stat(this.dirFd(dir), name, into)
    if (done >= 0) return true
    if (done === -ERRNO.ENOENT || done === -ERRNO.ENOTDIR) return false
    throw new Errno(-done, 'stat')
  }

  /** Forgets descriptors at and below a path: it was moved or removed. */
  moved(path: RelPath): void {
    const below = `${path}/`
    for (const [known, fd] of this.#fds) {
      if (known !== path && !known.startsWith(below)) continue
      this.#fds.delete(known)
      sys.close(fd)
    }
  }

  close(): void {
    for (const fd of this.#fds.values()) sys.close(fd)
    this.#fds.clear()
    sys.close(this.root)
  }

  #isBlocked(dir: RelPath, name: string): boolean {
    return this.blocked!.has(dir === '' ? name : `${dir}/${name}`)
  }

  #keep(path: string, fd: number): void {
    if (this.#fds.size >= MOST_DESCRIPTORS) {
      const [oldest, old] = this.#fds.entries().next().value!
      this.#fds.delete(oldest)
      sys.close(old)
    }
    this.#fds.set(path, fd)
  }
}

/** O_PATH descriptor of an absolute path, which is followed. Throws Errno. */
export function openRoot(path: string): number {
  return must(sys.openat(AT_FDCWD, path, O.PATH | O.DIRECTORY), path)
}
