// The frozen image of a writable branch: before the first change of anything after the
// instant, what was is preserved in an area beside it.
//
//   list-<ino>   a directory's entries, JSON [[name, ino, type], ...]
//   attr-<ino>   attributes and extended attributes, JSON
//   data-<ino>   a regular file's bytes, whole
//   map-<ino>    of a large file, what was preserved of its bytes (freeze-blocks.ts)
//   link-<ino>   hard link to a file that lost the name it had
//   dir-<ino>    number of a descriptor of a directory that was moved or removed
//   failed       why the image could not be kept
//
// <ino> is the backing inode, in decimal. Each appears at once (rename or link).
//
// Rule: `beforeChange` asks before every change of the branch; what is born after the instant is
// never preserved. A failure here ends the freeze, never the change.

import { ERRNO, Errno } from '../base/errno.ts'
import type { Job } from '../fuse/filesystem.ts'
import { copyData } from '../host/copy.ts'
import { listDirectory } from '../host/directory.ts'
import { asOwner } from '../host/own-rights.ts'
import { Stat } from '../host/stat.ts'
import { must, O, S, sys } from '../host/sys.ts'
import { getXattr, listXattr } from '../host/xattr.ts'
import { PAGE } from '../layer/block-log.ts'
import type { Change } from './before-change.ts'
import type { Branch } from './branch.ts'
import { PreservedBlocks } from './freeze-blocks.ts'
import { AreaRoom, Budget } from './freeze-budget.ts'

/** Up to this size a file is preserved whole: that takes no longer than to keep account of it. */
const WHOLE = 128 * 1024
/** Bytes of a larger file that are preserved together. */
const BLOCK = 4096
/** Large files whose preserved blocks have open descriptors. */
const MOST_OPEN = 64

export interface FreezeOptions {
  /** Granularity of large files: a power of two from 4 KiB to 1 MiB. */
  readonly block?: number
  /** Room of the area, which other freezes may use too. */
  readonly room?: AreaRoom
}

export class Freeze {
  readonly id: number
  readonly born = new Set<number>()
  readonly linked = new Set<number>()
  readonly #branch: Branch
  readonly #area: number
  readonly #done = new Set<string>()
  /** Descriptors told in dir-<ino>, open until the thaw. */
  readonly #kept: number[] = []
  /** Of regular files whose attributes were preserved: how long they were. */
  readonly #sizes = new Map<number, number>()
  readonly #blocks = new Map<number, PreservedBlocks>()
  /** Those of #blocks that have open descriptors, the one that was used last behind the others. */
  readonly #open = new Set<PreservedBlocks>()
  readonly #block: number
  readonly #budget: Budget
  #failed = false
  readonly #stat = new Stat()

  /** Starts at once. `area` is a descriptor of an empty directory on the disk of the branch. */
  constructor(id: number, branch: Branch, area: number, options: FreezeOptions = {}) {
    this.id = id
    this.#branch = branch
    this.#area = area
    this.#block = options.block ?? BLOCK
    this.#budget = new Budget(options.room ?? new AreaRoom())
    branch.freezes.push(this)
  }

  /** Before a change; of bytes, those in [from, to). */
  preserve(
    change: Change,
    dir: number,
    name: string,
    from = 0,
    to = Number.POSITIVE_INFINITY,
  ): void {
    if (this.#failed) return
    try {
      if (change === 'names') this.#list(dir)
      else if (change === 'gone') this.#gone(dir, name)
      else if (change === 'attributes') this.#attributes(dir, name)
      else this.#content(dir, name, from, to)
    } catch (err) {
      this.fail(err)
    }
  }

  /** What an io thread is to do before bytes [from, to) of a file change; null where nothing. */
  ahead(fd: number, from: number, to: number): Job | null {
    if (this.#failed) return null
    try {
      const blocks = this.#blocksOf(fd, '')
      if (blocks === null) return null
      try {
        return blocks.ahead(fd, from, to, this.#block)
      } finally {
        this.#used(blocks)
      }
    } catch (err) {
      this.fail(err)
      return null
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
    for (const blocks of this.#blocks.values()) blocks.close()
    this.#blocks.clear()
    this.#open.clear()
    this.#budget.release()
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
    if ((mode & S.IFMT) === S.IFREG) this.#sizes.set(stat.ino, size)
  }

  #content(dir: number, name: string, from: number, to: number): void {
    const blocks = this.#blocksOf(dir, name)
    const { ino } = this.#stat
    const size = this.#sizes.get(ino)
    const file = `data-${ino}`
    // What comes behind the end changes nothing that was there, but for the page that it shares.
    if (size === undefined || this.#done.has(file) || Math.floor(from / PAGE) * PAGE >= size) return
    const open = () => sys.openat(dir, name, O.RDONLY | O.NOFOLLOW)
    const fd = name === '' ? dir : must(asOwner(dir, name, open), 'freeze')
    try {
      if (blocks === null) this.#whole(fd, file, size)
      else blocks.preserve(fd, from, to, this.#block)
    } finally {
      if (name !== '') sys.close(fd)
      if (blocks !== null) this.#used(blocks)
    }
  }

  // Null for a small file, and for one that the image does not have.
  #blocksOf(dir: number, name: string): PreservedBlocks | null {
    must(sys.stat(dir, name, this.#stat), 'freeze')
    const { ino } = this.#stat
    if (this.born.has(ino)) return null
    this.#attributes(dir, name)
    const size = this.#sizes.get(ino) ?? 0
    if (size <= WHOLE) return null
    const known = this.#blocks.get(ino)
    if (known !== undefined) return known
    const blocks = new PreservedBlocks(this.#area, ino, size, this.#budget)
    this.#blocks.set(ino, blocks)
    return blocks
  }

  #used(blocks: PreservedBlocks): void {
    this.#open.delete(blocks)
    if (!blocks.isOpen) return
    this.#open.add(blocks)
    if (this.#open.size <= MOST_OPEN) return
    const [oldest] = this.#open
    this.#open.delete(oldest!)
    oldest!.rest()
  }

  #whole(from: number, file: string, size: number): void {
    this.#budget.take(size)
    const to = must(sys.openat(this.#area, 'tmp', O.WRONLY | O.CREAT | O.TRUNC, 0o600), 'freeze')
    try {
      copyData(from, to, size)
    } finally {
      sys.close(to)
    }
    must(sys.renameat(this.#area, 'tmp', this.#area, file), 'freeze')
    this.#done.add(file)
  }

  #write(file: string, bytes: Buffer): void {
    this.#budget.take(bytes.length)
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
