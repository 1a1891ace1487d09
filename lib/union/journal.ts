// The change journal of a writable branch: what changed since each state, by name.
//
//   beforeChange ─▶ note ─▶ [ epoch ][ epoch ][ epoch …      cut: a state begins the next epoch
//                            ▲ since(position) ─▶ all that the epochs from there on name
//
// It lives in memory, as long as the branch is open: what happens to a sublayer while nobody has
// it open, nobody sees, so no file of an earlier time could vouch for it. A position that it did
// not give itself, also one from before a crash, is one of which it knows nothing.
//
// Rule: it names a thing once in an epoch, before it changes. Where it cannot name something, or
// did not see it, or would grow too large, the epoch is lost: the answer is null, never a part.

import { randomInt } from 'node:crypto'
import { joinPath, type RelPath } from '../base/path.ts'
import { Stat } from '../host/stat.ts'
import { AT_FDCWD, S, sys } from '../host/sys.ts'
import type { Changed } from '../layer/changed.ts'
import { type Change, linksKept } from './before-change.ts'
import type { Branch } from './branch.ts'

/** Names and inodes kept in all; a sublayer that changes more is scanned as fast. */
const MOST_NAMES = 200_000
const DELETED = ' (deleted)'

interface Epoch {
  /** By path: whether all below changed with it. */
  readonly names: Map<RelPath, boolean>
  readonly files: Set<number>
  lost: boolean
}

const emptyEpoch = (): Epoch => ({ names: new Map(), files: new Set(), lost: false })
const sizeOf = ({ names, files }: Epoch): number => names.size + files.size

/** What remembers that the journal has named it: the number of the epoch, -1 for never. */
export interface Noted {
  noted: number
}

export class Journal {
  readonly #branch: Branch
  /** Position of the first epoch kept. Chosen at random, so that no other journal's positions are its own. */
  #first = randomInt(2 ** 47)
  readonly #epochs: Epoch[] = [emptyEpoch()]
  readonly #most: number
  /** Names and inodes kept. */
  #kept = 0
  /** Numbers given to files that had none, when the epoch began. */
  #given: number
  /** A position from elsewhere, and the own one from which on all is named that changed since. */
  #resumed: { readonly position: number; readonly since: number } | null = null
  readonly #stat = new Stat()
  readonly #target = Buffer.alloc(4096)
  readonly #root: string

  /** `most` names and inodes are kept, of all epochs. */
  constructor(branch: Branch, most = MOST_NAMES) {
    this.#branch = branch
    this.#most = most
    this.#given = this.#numbersGiven()
    this.#root = this.#linkOf(branch.root) ?? ''
    if (this.#root === '') this.lost()
  }

  /** Names and inodes that it holds. */
  get size(): number {
    return this.#kept
  }

  /** Number of the epoch that is being written. */
  get position(): number {
    return this.#first + this.#epochs.length - 1
  }

  get #epoch(): Epoch {
    return this.#epochs.at(-1)!
  }

  /** A state is taken: what changes from here on belongs to the next epoch, whose number it answers. */
  cut(): number {
    this.#checkNumbers()
    this.#epochs.push(emptyEpoch())
    return this.position
  }

  /** What the epochs from `position` to the present one name; null where that is not known. */
  since(position: number): Changed | null {
    const resumed = this.#resumed?.position === position ? this.#resumed.since : position
    const from = resumed - this.#first
    if (from < 0 || from >= this.#epochs.length) return null
    // States only go on: what is older is not asked for any more.
    for (const epoch of this.#epochs.splice(0, from)) this.#kept -= sizeOf(epoch)
    this.#first = resumed
    const past = this.#epochs.slice(0, -1)
    if (past.some(({ lost }) => lost)) return null
    const names = new Map<RelPath, boolean>()
    const files = new Set<number>()
    for (const epoch of past) {
      for (const [path, whole] of epoch.names) names.set(path, whole || names.get(path) === true)
      for (const file of epoch.files) files.add(file)
    }
    return { names: [...names], files: [...files] }
  }

  /**
   * A restore made the sublayer what it was at `position` (null: it goes on from where it does), but for what was
   * named from `since` on, and for `names`, which are as they were and yet other files.
   */
  resume(position: number | null, since: number, names: readonly RelPath[]): void {
    for (const path of names) this.#add(path, false)
    if (position !== null) this.#resumed = { position, since }
  }

  /** Something changed that this epoch does not name. */
  lost(): void {
    const epoch = this.#epoch
    epoch.lost = true
    this.#kept -= sizeOf(epoch)
    epoch.names.clear()
    epoch.files.clear()
  }

  /** This is about to change. `noted` spares asking again for the same thing. */
  note(change: Change, dir: number, name: string, noted: Noted | null): void {
    const { position } = this
    if (noted?.noted === position || this.#epoch.lost) return
    const known = this.#branch.pathOf(dir)
    if (known === undefined && name === '') this.noteFile(dir)
    else {
      const at = known ?? this.#pathOf(dir)
      if (at === null) this.#noteElsewhere(change, dir, name)
      else this.#note(change, at, dir, name)
    }
    if (noted !== null) noted.noted = position
  }

  #note(change: Change, at: RelPath, dir: number, name: string): void {
    const path = name === '' ? at : joinPath(at, name)
    if (change === 'attributes' || change === 'content') {
      if (this.#epoch.names.has(path)) return
      this.#add(path, false)
      if (name !== '') this.#addLinked(dir, name)
      return
    }
    if (name === '') {
      this.lost()
      return
    }
    this.#add(at, false)
    this.#add(path, true)
    if (change === 'gone') this.#addLinked(dir, name)
  }

  // A file of the branch, reached by a name that it has outside.
  #noteElsewhere(change: Change, dir: number, name: string): void {
    const stays = change === 'attributes' || change === 'content'
    if (!stays || name === '' || !this.#addLinked(dir, name)) this.lost()
  }

  /** The file of a descriptor is about to change. */
  noteFile(fd: number): void {
    if (this.#epoch.lost) return
    const stat = this.#stat
    if (sys.stat(fd, '', stat) < 0) {
      this.lost()
      return
    }
    const { ino } = stat
    // What has no name is in no state; where it gets one, that is named. Images may keep links to it.
    if (stat.nlink === linksKept(this.#branch, ino)) return
    if (stat.nlink > 1 && (stat.mode & S.IFMT) !== S.IFDIR) {
      this.#addFile(ino)
      return
    }
    const path = this.#pathOf(fd)
    if (path !== null) this.#add(path, false)
    // Opened by a name that is gone: the one that it has is found by its inode.
    else if ((stat.mode & S.IFMT) === S.IFDIR) this.lost()
    else this.#addFile(ino)
  }

  // What is lost stays lost: in such an epoch nothing is named any more.
  #add(path: RelPath, whole: boolean): void {
    const { names, lost } = this.#epoch
    if (lost) return
    const known = names.get(path)
    if (known === true || (known === false && !whole)) return
    names.set(path, whole)
    if (known === undefined) this.#counted()
  }

  #addFile(ino: number): void {
    const { files, lost } = this.#epoch
    if (lost || files.has(ino)) return
    files.add(ino)
    this.#counted()
  }

  #counted(): void {
    this.#kept += 1
    if (this.#kept > this.#most) this.lost()
  }

  /** False where it has no other name. */
  #addLinked(dir: number, name: string): boolean {
    const stat = this.#stat
    if (sys.stat(dir, name, stat) < 0 || stat.nlink < 2) return false
    if ((stat.mode & S.IFMT) === S.IFDIR) return false
    this.#addFile(stat.ino)
    return true
  }

  // As the kernel tells it: also after a rename by way of another view.
  #pathOf(fd: number): RelPath | null {
    const path = this.#linkOf(fd)
    if (path === this.#root) return '' as RelPath
    if (!path?.startsWith(`${this.#root}/`) || path.endsWith(DELETED)) return null
    return path.slice(this.#root.length + 1) as RelPath
  }

  #linkOf(fd: number): string | null {
    const length = sys.readlinkat(AT_FDCWD, `/proc/self/fd/${fd}`, this.#target)
    return length > 0 && length < this.#target.length ? this.#target.latin1Slice(0, length) : null
  }

  // A file that got its number only now shows it, though nothing changed it.
  #checkNumbers(): void {
    const given = this.#numbersGiven()
    if (given !== this.#given) this.lost()
    this.#given = given
  }

  #numbersGiven(): number {
    return this.#branch.layer.numbers?.given ?? 0
  }
}
