// Names of directories: what a program asks for in vain, it asks for in one directory again and again
// (a library in each folder of a search path, the names a program is about to make).
//
//   a tree that nobody changes and that has no index
//       some names absent in a directory ─▶ its list is read once ─▶ further ones cost no call
//   a writable branch
//       a directory is made, empty ─▶ each name is added before it is made
//       names change in any other way ─▶ nothing is known any more
//
// Rule: only absence is taken from here; what may be there is looked at. A directory that cannot be
// listed, is too large for one request, or finds names in other letters than they have, is asked name
// by name for ever.

import { Errno } from '../base/errno.ts'
import type { RelPath } from '../base/path.ts'
import { type DirEntry, listDirectory } from '../host/directory.ts'
import { Stat } from '../host/stat.ts'
import { sys } from '../host/sys.ts'

/** Absences that the disk answered, after which the list is read. */
const ENOUGH = 8
/** Names of a directory whose list is worth reading. */
const LARGEST = 2048
/** Names kept of one tree, and directories that are watched: above these it begins anew. */
const MOST_NAMES = 32_768
const MOST_DIRECTORIES = 4096

const NEVER = Number.NEGATIVE_INFINITY
const stat = new Stat()

export class KnownNames {
  readonly #dev: number
  /** By directory: its names, or how many were absent so far. */
  readonly #known = new Map<RelPath, ReadonlySet<string> | number>()
  #names = 0

  /** `dev`: the disk of the tree. What is mounted inside is asked. */
  constructor(dev: number) {
    this.#dev = dev
  }

  /** True where the directory is known not to have the name. */
  lacks(dir: RelPath, name: string): boolean {
    const known = this.#known.get(dir)
    return typeof known === 'object' && !known.has(name)
  }

  /** The disk said that a name is absent in a directory, which is open as `fd`. */
  wasAbsent(dir: RelPath, fd: number): void {
    const known = this.#known.get(dir) ?? 0
    if (typeof known === 'object') return
    if (this.#known.size >= MOST_DIRECTORIES || this.#names >= MOST_NAMES) this.#forget()
    this.#known.set(dir, known + 1 < ENOUGH ? known + 1 : this.#read(fd))
  }

  #read(fd: number): ReadonlySet<string> | number {
    try {
      if (sys.stat(fd, '', stat) < 0 || stat.dev !== this.#dev) return NEVER
      const entries = listDirectory(fd, '', false, LARGEST)
      if (entries.length > LARGEST || !tellsLetters(fd, entries)) return NEVER
      this.#names += entries.length
      return new Set(entries.map(({ name }) => name))
    } catch (err) {
      if (err instanceof Errno) return NEVER
      throw err
    }
  }

  #forget(): void {
    this.#known.clear()
    this.#names = 0
  }
}

/** True where small and large letters are different names. */
function tellsLetters(fd: number, entries: readonly DirEntry[]): boolean {
  const listed = entries.find(({ name }) => LETTER.test(name))?.name
  if (listed === undefined) return entries.every(({ name }) => /^[\0-\x7f]*$/.test(name))
  const other = inOtherLetters(listed)
  return entries.some(({ name }) => name === other) || sys.stat(fd, other, stat) < 0
}

const LETTER = /[A-Za-z]/
const inOtherLetters = (name: string): string =>
  name.replace(LETTER, (letter) => String.fromCharCode(letter.charCodeAt(0) ^ 0x20))

/** What a writable branch tells of itself. */
interface Counted {
  /** Changes of names so far, each counted before it is made. */
  readonly nameChanges: number
}

/** All names that directories made through this mount may have by now. */
export class OwnNames {
  readonly #branch: Counted
  readonly #known = new Map<RelPath, Set<string>>()
  #names = 0
  /** Up to which change of the branch they are all here. */
  #seen = 0

  constructor(branch: Counted) {
    this.#branch = branch
  }

  /** True where the directory is known not to have the name. */
  lacks(dir: RelPath, name: string): boolean {
    if (this.#known.size === 0 || this.#seen !== this.#branch.nameChanges) return false
    const known = this.#known.get(dir)
    return known !== undefined && !known.has(name)
  }

  /**
   * The branch is about to get that name in a directory, and no other; `before`: its changes without
   * this one. The name may be there already, or be about to go.
   */
  adds(before: number, dir: RelPath, name: string): void {
    if (!this.#follows(before)) return
    const known = this.#known.get(dir)
    if (known === undefined || known.has(name)) return
    known.add(name)
    this.#names += 1
    if (this.#names > MOST_NAMES) this.forget()
  }

  /** A directory was made in the one that is open as `fd`, and is empty. */
  begins(parent: RelPath, fd: number, name: string, path: RelPath): void {
    if (this.#seen !== this.#branch.nameChanges) this.forget()
    // What the parent does with letters, the new one does too.
    const tells = this.#known.has(parent) || (LETTER.test(name) && !hasOtherLetters(fd, name))
    if (!tells) {
      this.#drop(path)
      return
    }
    if (this.#known.size >= MOST_DIRECTORIES) this.forget()
    this.#drop(path)
    this.#known.set(path, new Set())
  }

  /** A directory is about to go, and nothing else; as for `adds`. */
  ends(before: number, path: RelPath): void {
    if (this.#follows(before)) this.#drop(path)
  }

  #drop(path: RelPath): void {
    this.#names -= this.#known.get(path)?.size ?? 0
    this.#known.delete(path)
  }

  forget(): void {
    this.#known.clear()
    this.#names = 0
    this.#seen = this.#branch.nameChanges
  }

  #follows(before: number): boolean {
    if (this.#seen === before) this.#seen = this.#branch.nameChanges
    else this.forget()
    return this.#known.size > 0
  }
}

const hasOtherLetters = (fd: number, name: string): boolean =>
  sys.stat(fd, inOtherLetters(name), stat) >= 0
