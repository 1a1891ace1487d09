// What a frozen image keeps of one directory: the names that changed since, until all are told.
//
//   before a change   its name as it was ─┐
//                     the next of the rest ┴▶ list-<ino>
//
// A directory may have a million names, and its first change must not wait for a list of them all. So
// each change tells the name that changes, and goes on for a bit with a list of the others. Once that
// is at its end nothing need be told of this directory any more.
//
// Rule: a name is told before it changes, once. The format stands in lib/layer/name-log.ts.

import { ERRNO, Errno } from '../base/errno.ts'
import { type DirEntry, nextEntries, openListing } from '../host/directory.ts'
import { Stat } from '../host/stat.ts'
import { must, O, S, sys } from '../host/sys.ts'
import { END_OF_NAMES, nameLine, readNameLines, wholeLines } from '../layer/name-log.ts'
import type { Budget } from './freeze-budget.ts'

/** Bytes of a directory that are listed with one change: some 200 names. */
export const SLICE = 8 * 1024

const stat = new Stat()

export class PreservedNames {
  readonly #area: number
  readonly #file: string
  readonly #budget: Budget
  readonly #told = new Set<string>()
  /** Bytes of its file. */
  #size = 0
  /** Where the list of the others goes on; null before it begins, -1 where there can be none. */
  #listing: number | null = null
  /** True once all names are told. */
  isAll = false

  constructor(area: number, file: string, budget: Budget) {
    this.#area = area
    this.#file = file
    this.#budget = budget
  }

  /** Takes over what an earlier process preserved. Throws Errno. */
  recall(): void {
    const fd = must(sys.openat(this.#area, this.#file, O.RDWR | O.NOFOLLOW), 'freeze')
    try {
      const bytes = Buffer.alloc(must(sys.lseek(fd, 0, 2), 'freeze'))
      if (must(sys.pread(fd, bytes, bytes.length, 0), 'freeze') !== bytes.length) throw damaged()
      this.#size = wholeLines(bytes)
      // The change of a line without its end did not come to pass.
      if (this.#size < bytes.length) must(sys.ftruncate(fd, this.#size), 'freeze')
      const read = readNameLines(bytes.toString('utf8', 0, this.#size))
      if (read === null) throw damaged()
      for (const [name] of read.lines) this.#told.add(name)
      this.isAll = read.isAll
    } finally {
      sys.close(fd)
    }
  }

  /** Before a name changes. Lists about `slice` bytes of the others. Throws Errno. */
  preserve(dir: number, name: string, slice: number): void {
    if (this.isAll) return
    const line = this.#told.has(name) ? '' : nameLine(name, lookAt(dir, name))
    this.#told.add(name)
    // What may not be listed is told name by name, as it changes.
    this.#listing ??= Math.max(openListing(dir), -1)
    this.#write(line + (this.isListing ? this.#next(slice) : ''))
  }

  /** Lists the rest of the directory, where that was begun. Throws Errno. */
  finish(): void {
    while (this.isListing) this.#write(this.#next(SLICE))
  }

  /** Whether it has a descriptor open. */
  get isListing(): boolean {
    return this.#listing !== null && this.#listing >= 0
  }

  close(): void {
    if (this.isListing) sys.close(this.#listing!)
    this.#listing = null
  }

  #next(slice: number): string {
    const entries: DirEntry[] = []
    if (!nextEntries(this.#listing!, entries, slice)) {
      this.close()
      this.isAll = true
      this.#told.clear()
      return END_OF_NAMES
    }
    let lines = ''
    for (const entry of entries) {
      if (this.#told.has(entry.name)) continue
      this.#told.add(entry.name)
      lines += nameLine(entry.name, entry)
    }
    return lines
  }

  #write(lines: string): void {
    if (lines === '') return
    const bytes = Buffer.from(lines, 'utf8')
    this.#budget.grow(this.#size, bytes.length)
    const flags = O.WRONLY | O.CREAT | O.NOFOLLOW
    const fd = must(sys.openat(this.#area, this.#file, flags, 0o600), 'freeze')
    try {
      const done = must(sys.pwrite(fd, bytes, bytes.length, this.#size), 'freeze')
      if (done !== bytes.length) throw new Errno(ERRNO.ENOSPC, 'freeze')
      this.#size += bytes.length
    } finally {
      sys.close(fd)
    }
  }
}

function lookAt(dir: number, name: string): Pick<DirEntry, 'ino' | 'type'> | null {
  const done = sys.stat(dir, name, stat)
  if (done === -ERRNO.ENOENT) return null
  must(done, 'freeze')
  return { ino: stat.ino, type: (stat.mode & S.IFMT) >> 12 }
}

const damaged = (): Errno => new Errno(ERRNO.EIO, 'freeze')
