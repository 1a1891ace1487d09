// The unsettled files of a writable branch: one Blocks for each, shared by all views, and a list
// beside the sublayer by which the next mount goes on settling them.
//
//   +"path"     the rest of the file is to follow
//   -"path"     it has, or lies elsewhere by now
//
// Lines of JSON text, bytes as latin1. A file that the list does not name is found by its mark when
// somebody looks it up.
//
// Rule: the list is a help to memory. Losing it costs that a file settles later, never a byte.

import { ERRNO, Errno } from '../base/errno.ts'
import { isWithin, type RelPath } from '../base/path.ts'
import { readWhole, writeWhole } from '../host/file.ts'
import { AT_FDCWD, O, sys } from '../host/sys.ts'
import type { Blocks } from './blocks.ts'
import { type UnionNode, viewPath } from './node.ts'

export class Unsettled {
  readonly #files = new Map<number, Blocks>()
  readonly #path: string | null
  /** Paths of the list. */
  readonly #listed = new Set<RelPath>()

  /** `path`: where the list is kept, or null. */
  constructor(path: string | null) {
    this.#path = path
    if (path !== null) this.#load(path)
  }

  /** Files that the list named when it was opened, or that were told since. */
  get listed(): readonly RelPath[] {
    return [...this.#listed]
  }

  /** The unsettled file of an inode, if one is known. */
  at(ino: number): Blocks | undefined {
    return this.#files.get(ino)
  }

  /** A file is unsettled; where the inode was another's, that one is gone. */
  add(blocks: Blocks): void {
    this.#files.set(blocks.ino, blocks)
  }

  /** The rest of a file is to follow. */
  list(blocks: Blocks): void {
    if (this.#listed.has(blocks.path)) return
    this.#listed.add(blocks.path)
    this.#write('+', blocks.path)
  }

  /** It is a file like any other. */
  settled(blocks: Blocks): void {
    if (this.#files.get(blocks.ino) === blocks) this.#files.delete(blocks.ino)
    this.unlist(blocks.path)
  }

  /** The branch is closed. */
  close(): void {
    for (const file of this.#files.values()) file.close()
    this.#files.clear()
  }

  unlist(path: RelPath): void {
    if (!this.#listed.delete(path)) return
    this.#write('-', path)
    if (this.#listed.size === 0 && this.#path !== null) sys.unlinkat(AT_FDCWD, this.#path)
  }

  /** A file or directory was renamed. */
  moved(from: RelPath, to: RelPath): void {
    if (this.#files.size === 0 && this.#listed.size === 0) return
    const there = (path: RelPath) => `${to}${path.slice(from.length)}` as RelPath
    for (const path of this.#listed) {
      if (!isWithin(path, from)) continue
      this.#listed.delete(path)
      this.#listed.add(there(path))
      this.#write('-', path)
      this.#write('+', there(path))
    }
    for (const file of this.#files.values()) {
      if (isWithin(file.path, from)) file.path = there(file.path)
    }
  }

  /** Two files or directories were exchanged. */
  swapped(one: RelPath, other: RelPath): void {
    const away = '\0' as RelPath
    this.moved(one, away)
    this.moved(other, one)
    this.moved(away, other)
  }

  // A disk that is full costs the line.
  #write(sign: '+' | '-', path: RelPath): void {
    if (this.#path === null) return
    const line = Buffer.from(`${sign}${JSON.stringify(path)}\n`, 'latin1')
    const fd = sys.openat(AT_FDCWD, this.#path, O.WRONLY | O.CREAT | O.APPEND, 0o600)
    if (fd < 0) return
    sys.write(fd, line, line.length)
    sys.close(fd)
  }

  #load(path: string): void {
    let lines: string[]
    try {
      lines = readWhole(path).latin1Slice().split('\n')
    } catch (err) {
      if (err instanceof Errno && err.number === ERRNO.ENOENT) return
      throw err
    }
    for (const line of lines) {
      const path = pathOf(line)
      if (path === null) continue
      if (line.startsWith('+')) this.#listed.add(path)
      else this.#listed.delete(path)
    }
    if (lines.length > 2 * this.#listed.size + 16) this.#shorten(path)
  }

  #shorten(path: string): void {
    const text = this.listed.map((each) => `+${JSON.stringify(each)}\n`).join('')
    try {
      writeWhole(path, Buffer.from(text, 'latin1'), 0o600)
    } catch (err) {
      if (!(err instanceof Errno)) throw err
    }
  }
}

/** A node was renamed; `from` is its path before. */
export function movedUnsettled(node: UnionNode, from: RelPath): void {
  const branches = node.isDirectory ? node.places.map(({ branch }) => branch) : [node.branch!]
  for (const { unsettled } of branches) unsettled?.moved(from, viewPath(node))
}

// The last line may have been cut off by a crash.
function pathOf(line: string): RelPath | null {
  try {
    const path: unknown = JSON.parse(line.slice(1))
    return typeof path === 'string' ? (path as RelPath) : null
  } catch {
    return null
  }
}
