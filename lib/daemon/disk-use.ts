// What a directory takes of the disk, as du(1) counts: blocks, each file once however many names it has.
//
// Rule: nothing is followed, no other disk is entered, and a name that vanishes meanwhile is none.

import { ERRNO, Errno } from '../base/errno.ts'
import { type DirEntry, listDirectory } from '../host/directory.ts'
import { Stat } from '../host/stat.ts'
import { AT_FDCWD, O, S, sys } from '../host/sys.ts'
import type { Pace } from '../snapshot/pace.ts'

export interface DiskUse {
  /** Bytes in blocks of the disk. */
  readonly disk: number
  readonly files: number
}

type Sum = { -readonly [Field in keyof DiskUse]: DiskUse[Field] }

/** Several directories of one store, with files counted where they are met first. */
export class DiskWalk {
  /** Directories that this user could not read. */
  unread = 0
  readonly #pace: Pace
  readonly #stat = new Stat()
  readonly #seen = new Set<string>()
  /** What was measured, by internal path: what lies around it leaves it out. */
  readonly #measured: Set<string>

  /** `mounts`: what this process serves itself, and may not look into. */
  constructor(pace: Pace, mounts: readonly string[]) {
    this.#pace = pace
    this.#measured = new Set(mounts)
  }

  /** Of internal paths, together; those that are absent are nothing. */
  async measure(...paths: readonly string[]): Promise<DiskUse> {
    const sum: Sum = { disk: 0, files: 0 }
    for (const path of paths) {
      if (sys.stat(AT_FDCWD, path, this.#stat) < 0) continue
      await this.#add(AT_FDCWD, path, path, this.#stat.dev, sum)
      this.#measured.add(path)
    }
    return sum
  }

  async #add(dir: number, name: string, path: string, disk: number, sum: Sum): Promise<void> {
    if (this.#measured.has(path) || sys.stat(dir, name, this.#stat) < 0) return
    const { mode, blocks, nlink, ino, dev } = this.#stat
    if (dev !== disk) return
    const isDir = (mode & S.IFMT) === S.IFDIR
    if (isDir || nlink < 2 || !this.#seen.has(`${dev}:${ino}`)) sum.disk += blocks * 512
    if (!isDir && nlink > 1) this.#seen.add(`${dev}:${ino}`)
    sum.files += 1
    if (isDir) await this.#enter(dir, name, path, disk, sum)
  }

  async #enter(dir: number, name: string, path: string, disk: number, sum: Sum): Promise<void> {
    const fd = sys.openat(dir, name, O.PATH | O.DIRECTORY | O.NOFOLLOW)
    if (fd < 0) return
    try {
      for (const entry of this.#list(fd))
        await this.#add(fd, entry.name, `${path}/${entry.name}`, disk, sum)
      await this.#pace.breathe()
    } finally {
      sys.close(fd)
    }
  }

  #list(fd: number): readonly DirEntry[] {
    try {
      return listDirectory(fd)
    } catch (err) {
      if (!(err instanceof Errno)) throw err
      if (err.number !== ERRNO.ENOENT) this.unread += 1
      return []
    }
  }
}
