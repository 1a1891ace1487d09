// Status-change times that programs see where the disk's own are others: a disk sets them
// itself, and nobody else can.
//
//   the kernel's, of what it wrote into its cache    told by SETATTR, milliseconds before the disk's
//   the one below, of what was copied up             programs have changed nothing yet
//   the old one, of what a view changes for itself   a name of a copy found, a directory made for it
//
// An entry holds as long as the disk's times are those that it was made with: any later change
// makes it void, so nothing has to remove it. The mtime is asked too, because a disk may stamp
// two changes of one tick of its clock alike. Entries outlive a mount that ends cleanly.
//
// Rule: a time is kept directly after the change that it is for, before anything else of the file
// changes.

import { ERRNO, Errno } from '../base/errno.ts'
import { readWhole, writeWhole } from '../host/file.ts'
import { Stat } from '../host/stat.ts'
import { sys } from '../host/sys.ts'
import type { Moment } from './node.ts'

/** Entries kept at most; above this the older half of them is dropped. */
const MOST = 65_536
/** Doubles of an entry: inode; seconds and nanoseconds of the disk's ctime, its mtime, the one shown. */
const FIELDS = 7

interface Kept {
  readonly disk: Moment
  readonly mtime: Moment
  readonly shown: Moment
}

const before = new Stat()
const after = new Stat()

const same = (one: Moment, other: Moment): boolean =>
  one.seconds === other.seconds && one.nsec === other.nsec

const ofDisk = ({ ctime, ctimeNsec }: Stat): Moment => ({ seconds: ctime, nsec: ctimeNsec })
const mtimeOf = ({ mtime, mtimeNsec }: Stat): Moment => ({ seconds: mtime, nsec: mtimeNsec })

export class Ctimes {
  /** The newer entries, and those before them: to find the oldest of a large Map takes long. */
  #kept = new Map<number, Kept>()
  #older = new Map<number, Kept>()
  readonly #path: string | null
  #changed = false

  /** `path`: where they are kept between mounts, or null. Throws Errno. */
  constructor(path: string | null) {
    this.#path = path
    if (path !== null) this.#load(path)
  }

  /** The time that programs see of a file with these attributes. */
  shown(stat: Stat): Moment {
    const kept = this.#of(stat.ino)
    const disk = ofDisk(stat)
    const holds = kept !== undefined && same(kept.disk, disk) && same(kept.mtime, mtimeOf(stat))
    return holds ? kept.shown : disk
  }

  /** From now on programs see `shown`, until the file of these attributes changes again. */
  keep(stat: Stat, shown: Moment): void {
    const disk = ofDisk(stat)
    this.#changed = true
    if (same(disk, shown)) this.#drop(stat.ino)
    else this.#put(stat.ino, { disk, mtime: mtimeOf(stat), shown })
  }

  #of(ino: number): Kept | undefined {
    const kept = this.#kept.size === 0 ? undefined : this.#kept.get(ino)
    return kept ?? (this.#older.size === 0 ? undefined : this.#older.get(ino))
  }

  #drop(ino: number): void {
    this.#kept.delete(ino)
    this.#older.delete(ino)
  }

  // An older entry of the file is hidden by the new one.
  #put(ino: number, kept: Kept): void {
    this.#kept.set(ino, kept)
    if (this.#kept.size < MOST / 2) return
    this.#older = this.#kept
    this.#kept = new Map()
  }

  /** Does something to a file of which programs must not see a new time. */
  keeping<T>(dir: number, name: string, act: () => T): T {
    const known = sys.stat(dir, name, before) >= 0
    const shown = known ? this.shown(before) : null
    const answer = act()
    if (shown !== null && sys.stat(dir, name, after) >= 0) this.keep(after, shown)
    return answer
  }

  /** Writes them down, for the next mount. A disk that is full costs them. */
  close(): void {
    if (this.#path === null || !this.#changed) return
    const all = new Map([...this.#older, ...this.#kept])
    const fields = new Float64Array(all.size * FIELDS)
    let at = 0
    for (const [ino, { disk, mtime, shown }] of all) {
      const times = [disk, mtime, shown].flatMap(({ seconds, nsec }) => [seconds, nsec])
      fields.set([ino, ...times], at)
      at += FIELDS
    }
    try {
      writeWhole(this.#path, Buffer.from(fields.buffer), 0o600)
    } catch (err) {
      if (!(err instanceof Errno)) throw err
    }
  }

  #load(path: string): void {
    let bytes: Buffer
    try {
      bytes = readWhole(path)
    } catch (err) {
      if (err instanceof Errno && err.number === ERRNO.ENOENT) return
      throw err
    }
    const length = Math.floor(bytes.length / (FIELDS * 8)) * FIELDS
    const fields = Array.from({ length }, (_, at) => bytes.readDoubleLE(at * 8))
    for (let at = 0; at < length; at += FIELDS) {
      const moment = (field: number): Moment => ({
        seconds: fields[at + field]!,
        nsec: fields[at + field + 1]!,
      })
      this.#put(fields[at]!, { disk: moment(1), mtime: moment(3), shown: moment(5) })
    }
  }
}
