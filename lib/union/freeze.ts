// The frozen image of a writable branch: before the first change of anything after the
// instant, what was is preserved in an area beside it.
//
//   list-<ino>   a directory's entries, JSON [[name, ino, type], ...]
//   attr-<ino>   attributes and extended attributes, JSON
//   data-<ino>   a regular file's bytes, whole
//   link-<ino>   hard link to a file that lost the name it had
//   dir-<ino>    number of a descriptor of a directory that was moved or removed
//   failed       why the image could not be kept
//
// <ino> is the backing inode, in decimal. Each appears at once (rename or link).
//
// Rule: `beforeChange` asks before every change of the branch; what is born after the instant is
// never preserved. A failure here ends the freeze, never the change.

import { ERRNO, Errno } from '../base/errno.ts'
import { copyData } from '../host/copy.ts'
import { listDirectory } from '../host/directory.ts'
import { Stat } from '../host/stat.ts'
import { must, O, S, sys } from '../host/sys.ts'
import { getXattr, listXattr } from '../host/xattr.ts'
import type { Change } from './before-change.ts'
import type { Branch } from './branch.ts'

export class Freeze {
  readonly id: number
  readonly born = new Set<number>()
  readonly linked = new Set<number>()
  readonly #branch: Branch
  readonly #area: number
  readonly #done = new Set<string>()
  /** Descriptors told in dir-<ino>, open until the thaw. */
  readonly #kept: number[] = []
  #failed = false
  readonly #stat = new Stat()

  /** Starts at once. `area` is a descriptor of an empty directory on the disk of the branch. */
  constructor(id: number, branch: Branch, area: number) {
    this.id = id
    this.#branch = branch
    this.#area = area
    branch.freezes.push(this)
  }

  preserve(change: Change, dir: number, name: string): void {
    if (this.#failed) return
    try {
      if (change === 'names') this.#list(dir)
      else if (change === 'gone') this.#gone(dir, name)
      else if (change === 'attributes') this.#attributes(dir, name)
      else this.#content(dir, name)
    } catch (err) {
      this.fail(err)
    }
  }

  /**
   * Ends the image. Its hard links go with it, because from here on nobody takes them off the
   * files' link counts; its other files are the caller's to remove. Answers descriptors for the
   * caller to close where that may take long: the last ones of files that have no name any more.
   */
  thaw(): number[] {
    const at = this.#branch.freezes.indexOf(this)
    if (at !== -1) this.#branch.freezes.splice(at, 1)
    for (const fd of this.#kept) sys.close(fd)
    this.#kept.length = 0
    const orphans = [...this.linked].map((ino) => this.#unlink(ino)).filter((fd) => fd >= 0)
    this.linked.clear()
    sys.close(this.#area)
    return orphans
  }

  #unlink(ino: number): number {
    const file = `link-${ino}`
    const fd = sys.openat(this.#area, file, O.PATH | O.NOFOLLOW)
    sys.unlinkat(this.#area, file)
    if (fd < 0 || (sys.stat(fd, '', this.#stat) >= 0 && this.#stat.nlink === 0)) return fd
    sys.close(fd)
    return -1
  }

  #list(dir: number): void {
    must(sys.stat(dir, '', this.#stat), 'freeze')
    const file = `list-${this.#stat.ino}`
    if (this.born.has(this.#stat.ino) || this.#done.has(file)) return
    this.#attributes(dir, '')
    const entries = listDirectory(dir).map(({ name, ino, type }) => [name, ino, type])
    this.#write(file, Buffer.from(JSON.stringify(entries), 'utf8'))
  }

  #gone(dir: number, name: string): void {
    this.#list(dir)
    const stat = this.#stat
    if (sys.stat(dir, name, stat) < 0 || this.born.has(stat.ino)) return
    const isDirectory = (stat.mode & S.IFMT) === S.IFDIR
    const file = `${isDirectory ? 'dir' : 'link'}-${stat.ino}`
    if (this.#done.has(file)) return
    if (isDirectory) {
      const fd = must(sys.openat(dir, name, O.PATH | O.DIRECTORY | O.NOFOLLOW), 'freeze')
      this.#kept.push(fd)
      this.#write(file, Buffer.from(String(fd)))
      return
    }
    const { ino } = stat
    this.#attributes(dir, name)
    must(sys.linkat(dir, name, this.#area, file), 'freeze')
    this.linked.add(ino)
    this.#done.add(file)
  }

  #attributes(dir: number, name: string): void {
    const stat = this.#stat
    must(sys.stat(dir, name, stat), 'freeze')
    const file = `attr-${stat.ino}`
    if (this.born.has(stat.ino) || this.#done.has(file)) return
    const xattrs: Record<string, string> = {}
    for (const key of listXattr(dir, name)) {
      const value = getXattr(dir, name, key)
      if (typeof value !== 'number') xattrs[key] = value.toString('base64')
    }
    const { mode, uid, gid, size, nlink, rdev, atime, atimeNsec, mtime, mtimeNsec } = stat
    const record = { mode, uid, gid, size, nlink, rdev, atime, atimeNsec, mtime, mtimeNsec, xattrs }
    this.#write(file, Buffer.from(JSON.stringify(record)))
  }

  #content(dir: number, name: string): void {
    const stat = this.#stat
    must(sys.stat(dir, name, stat), 'freeze')
    const { ino, size } = stat
    const file = `data-${ino}`
    if (this.born.has(ino) || this.#done.has(file)) return
    this.#attributes(dir, name)
    const from =
      name === '' ? sys.reopen(dir, O.RDONLY) : sys.openat(dir, name, O.RDONLY | O.NOFOLLOW)
    must(from, 'freeze')
    const to = must(sys.openat(this.#area, 'tmp', O.WRONLY | O.CREAT | O.TRUNC, 0o600), 'freeze')
    try {
      copyData(from, to, size)
    } finally {
      sys.close(from)
      sys.close(to)
    }
    must(sys.renameat(this.#area, 'tmp', this.#area, file), 'freeze')
    this.#done.add(file)
  }

  #write(file: string, bytes: Buffer): void {
    const fd = must(sys.openat(this.#area, 'tmp', O.WRONLY | O.CREAT | O.TRUNC, 0o600), 'freeze')
    try {
      if (must(sys.write(fd, bytes, bytes.length), 'freeze') !== bytes.length) {
        throw new Errno(ERRNO.ENOSPC, 'freeze')
      }
    } finally {
      sys.close(fd)
    }
    must(sys.renameat(this.#area, 'tmp', this.#area, file), 'freeze')
    this.#done.add(file)
  }

  /** Ends the image, for this reason. Until the thaw it is still asked for the links it holds. */
  fail(err: unknown): void {
    this.#failed = true
    const why = err instanceof Error ? err.message : String(err)
    const fd = sys.openat(this.#area, 'failed', O.WRONLY | O.CREAT, 0o600)
    if (fd < 0) {
      // Without room for a name there is still the directory's own mode: 0 tells the reader.
      sys.chmodFd(this.#area, 0)
      return
    }
    sys.write(fd, Buffer.from(why), why.length)
    sys.close(fd)
  }
}
