// The frozen image of a writable branch: before the first change of anything after the
// instant, what was is preserved in an area beside it.
//
//   list-<ino>   of a directory, the names that changed, or all that it had (freeze-names.ts)
//   attr-<ino>   attributes and extended attributes, JSON
//   data-<ino>   a regular file's bytes, whole
//   map-<ino>    of a large file, what was preserved of its bytes (freeze-blocks.ts)
//   link-<ino>   hard link to a file that lost the name it had
//   dir-<ino>    number of a descriptor of a directory that was moved or removed; -1: it is gone
//   failed       why the image could not be kept
//
// <ino> is the backing inode, in decimal. Each appears at once (rename or link), but for list, map and
// blocks, which grow. Links lie on the disk of the branch, perhaps in another directory than the rest.
//
// A freeze outlives the daemon: all that it knows is in the area (`recall`), but for what was born
// since, of which some is then preserved in vain. Once it has failed it preserves nothing.
//
// Rule: `beforeChange` asks before every change of the branch; what is born after the instant is
// never preserved. A failure here ends the freeze, never the change.

import { ERRNO, Errno } from '../base/errno.ts'
import type { Job } from '../fuse/filesystem.ts'
import { copyData } from '../host/copy.ts'
import { DT, listDirectory } from '../host/directory.ts'
import { asOwner, inOwnDirectory } from '../host/own-rights.ts'
import { Stat } from '../host/stat.ts'
import { must, O, S, sys } from '../host/sys.ts'
import { getXattr, listXattr } from '../host/xattr.ts'
import { PAGE } from '../layer/block-log.ts'
import type { Change } from './before-change.ts'
import type { Branch } from './branch.ts'
import { PreservedBlocks } from './freeze-blocks.ts'
import { AreaRoom, Budget } from './freeze-budget.ts'
import { PreservedNames, SLICE } from './freeze-names.ts'

/** Up to this size a file is preserved whole: that takes no longer than to keep account of it. */
const WHOLE = 128 * 1024
/** Bytes of a larger file that are preserved together. */
const BLOCK = 4096
/** Large files whose preserved blocks have open descriptors. */
const MOST_OPEN = 64
/** Directories that are being listed at a time. */
const MOST_LISTED = 16

export interface FreezeOptions {
  /** Granularity of large files: a power of two from 4 KiB to 1 MiB. */
  readonly block?: number
  /** Room of the area, which other freezes may use too. */
  readonly room?: AreaRoom
  /** Descriptor of the directory for links; the area's by default. */
  readonly links?: number
  /** Directories that go are preserved with all that they hold: nobody need find them again. */
  readonly isWhole?: boolean
  /** Bytes of a directory that are listed with each of its changes. */
  readonly slice?: number
  /** Told when the image could not be kept. */
  readonly onFailed?: (reason: string) => void
}

export class Freeze {
  readonly id: number
  readonly born = new Set<number>()
  readonly linked = new Set<number>()
  readonly #area: number
  readonly #links: number
  /** Names in the area, and of links. */
  readonly #done = new Set<string>()
  /** Descriptors told in dir-<ino>, open until the thaw. */
  readonly #kept = new Map<number, number>()
  /** Of regular files whose attributes were preserved: how long they were. */
  readonly #sizes = new Map<number, number>()
  readonly #blocks = new Map<number, PreservedBlocks>()
  /** Those of #blocks that have open descriptors, the one that was used last behind the others. */
  readonly #open = new Set<PreservedBlocks>()
  /** Directories of which not all names are told, by inode. */
  readonly #names = new Map<number, PreservedNames>()
  /** Those of an earlier process, of which not all may be. */
  readonly #oldNames = new Set<number>()
  readonly #block: number
  readonly #slice: number
  readonly #budget: Budget
  readonly #onFailed: (reason: string) => void
  readonly #isWhole: boolean
  #branch: Branch | null = null
  #failed = false
  readonly #stat = new Stat()

  /**
   * Starts at once, where there is a branch. `area` is a descriptor of a directory, empty or what
   * an earlier process left (`recall`); it and that of the links are closed by `thaw`.
   */
  constructor(id: number, branch: Branch | null, area: number, options: FreezeOptions = {}) {
    this.id = id
    this.#area = area
    this.#links = options.links ?? area
    this.#block = options.block ?? BLOCK
    this.#slice = options.slice ?? SLICE
    this.#budget = new Budget(options.room ?? new AreaRoom())
    this.#isWhole = options.isWhole ?? false
    this.#onFailed = options.onFailed ?? (() => {})
    if (branch !== null) this.attach(branch)
  }

  /** From here on the branch's changes are asked about. It is the one that was frozen, perhaps opened anew. */
  attach(branch: Branch): void {
    this.#branch = branch
    branch.freezes.push(this)
  }

  /** Blocks, and bytes of the area, that it has. */
  get size(): { readonly blocks: number; readonly bytes: number } {
    const { bytes } = this.#budget
    return { blocks: Math.ceil(bytes / this.#block), bytes }
  }

  /**
   * Learns what lies in the area: what an earlier process, or another thread since the branch was
   * closed, preserved. `rw` is the root of the frozen tree. Throws Errno.
   */
  recall(rw: number): void {
    this.#done.clear()
    this.#sizes.clear()
    this.linked.clear()
    this.#rest()
    this.#oldNames.clear()
    const names = [this.#area, ...(this.#links === this.#area ? [] : [this.#links])]
    for (const { name } of names.flatMap((dir) => listDirectory(dir))) this.#recallName(name)
    if (!this.#isWhole) this.#find(rw)
  }

  #recallName(name: string): void {
    if (name === 'failed') this.#failed = true
    const listed = numberAfter('list-', name)
    for (const ino of listed) this.#oldNames.add(ino)
    if (listed.length === 0) this.#done.add(name)
    for (const ino of numberAfter('link-', name)) this.linked.add(ino)
    if (sys.stat(this.#area, name, this.#stat) >= 0) this.#budget.own(this.#stat.blocks * 512)
  }

  // A descriptor does not outlive its process: the directories are found again by their inodes.
  #find(rw: number): void {
    const gone = [...this.#done].flatMap((name) => numberAfter('dir-', name))
    const lost = new Set(gone.filter((ino) => !this.#kept.has(ino)))
    const found = lost.size === 0 ? new Map<number, number>() : directoriesBelow(rw, lost)
    for (const [ino, fd] of found) this.#kept.set(ino, fd)
    for (const ino of gone) {
      this.#write(`dir-${ino}`, Buffer.from(String(this.#kept.get(ino) ?? -1)))
    }
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
    const act = () => this.#preserve(change, dir, name, from, to)
    try {
      try {
        act()
      } catch (err) {
        if (!(err instanceof Errno) || err.number !== ERRNO.EACCES) throw err
        // A directory that its owner may not search: as it was, before its mode is another for a moment.
        must(sys.stat(dir, '', this.#stat), 'freeze')
        this.#attributes(dir, '')
        inOwnDirectory(dir, act)
      }
    } catch (err) {
      this.fail(err)
    }
  }

  #preserve(change: Change, dir: number, name: string, from: number, to: number): void {
    if (change === 'names') this.#name(dir, name)
    else if (change === 'gone') this.#gone(dir, name)
    else {
      must(sys.stat(dir, name, this.#stat), 'freeze')
      this.#attributes(dir, name)
      if (change === 'content') this.#content(dir, name, from, to)
    }
  }

  /** What an io thread is to do before bytes [from, to) of a file change; null where nothing. */
  ahead(fd: number, from: number, to: number): Job | null {
    if (this.#failed) return null
    try {
      must(sys.stat(fd, '', this.#stat), 'freeze')
      const { ino } = this.#stat
      this.#attributes(fd, '')
      const size = this.#sizeOf(ino)
      const blocks = size === null ? null : this.#blocksOf(ino, size)
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
    const attached = this.#branch?.freezes ?? []
    const at = attached.indexOf(this)
    if (at !== -1) attached.splice(at, 1)
    const orphans = [...this.linked].map((ino) => this.#unlink(ino)).filter((fd) => fd >= 0)
    this.close()
    return orphans
  }

  /** Lets go of what is open; the image goes on, for who takes it over. */
  close(): void {
    this.#rest()
    for (const fd of this.#kept.values()) sys.close(fd)
    this.#kept.clear()
    this.linked.clear()
    sys.close(this.#area)
    if (this.#links !== this.#area) sys.close(this.#links)
  }

  // Lets go of what it has open of its files, and knows no more what is in them.
  #rest(): void {
    for (const blocks of this.#blocks.values()) blocks.close()
    this.#blocks.clear()
    this.#open.clear()
    for (const names of this.#names.values()) names.close()
    this.#names.clear()
    this.#budget.release()
  }

  #unlink(ino: number): number {
    const file = `link-${ino}`
    const fd = sys.openat(this.#links, file, O.PATH | O.NOFOLLOW)
    sys.unlinkat(this.#links, file)
    if (fd < 0 || (sys.stat(fd, '', this.#stat) >= 0 && this.#stat.nlink === 0)) return fd
    sys.close(fd)
    return -1
  }

  #name(dir: number, name: string): void {
    must(sys.stat(dir, '', this.#stat), 'freeze')
    const { ino } = this.#stat
    const file = `list-${ino}`
    if (this.born.has(ino) || this.#done.has(file)) return
    this.#attributes(dir, '')
    const names = this.#namesOf(ino, file)
    names.preserve(dir, name, this.#slice)
    if (names.isAll) this.#allTold(ino)
    else if (this.#names.size > MOST_LISTED) this.#finishOldest()
  }

  #allTold(ino: number): void {
    this.#names.delete(ino)
    this.#done.add(`list-${ino}`)
  }

  #finishOldest(): void {
    const listed = [...this.#names].filter(([, { isListing }]) => isListing)
    if (listed.length <= MOST_LISTED) return
    const [ino, names] = listed[0]!
    names.finish()
    this.#allTold(ino)
  }

  #namesOf(ino: number, file: string): PreservedNames {
    const known = this.#names.get(ino)
    if (known !== undefined) return known
    const names = new PreservedNames(this.#area, file, this.#budget)
    if (this.#oldNames.delete(ino)) names.recall()
    this.#names.set(ino, names)
    return names
  }

  #gone(dir: number, name: string): void {
    this.#name(dir, name)
    const stat = this.#stat
    const done = sys.stat(dir, name, stat)
    if (done === -ERRNO.ENOENT) return
    must(done, 'freeze')
    if (this.born.has(stat.ino)) return
    const isDirectory = (stat.mode & S.IFMT) === S.IFDIR
    const file = `${isDirectory ? 'dir' : 'link'}-${stat.ino}`
    if (this.#done.has(file)) return
    if (isDirectory) {
      const { ino } = stat
      this.#attributes(dir, name)
      this.#write(file, Buffer.from(String(this.#keep(dir, name, ino))))
      return
    }
    const { ino } = stat
    this.#attributes(dir, name)
    must(sys.linkat(dir, name, this.#links, file), 'freeze')
    this.linked.add(ino)
    this.#done.add(file)
  }

  #keep(dir: number, name: string, ino: number): number {
    if (this.#isWhole) return -1
    const fd = must(sys.openat(dir, name, O.PATH | O.DIRECTORY | O.NOFOLLOW), 'freeze')
    this.#kept.set(ino, fd)
    return fd
  }

  // Of what #stat has.
  #attributes(dir: number, name: string): void {
    const stat = this.#stat
    const file = `attr-${stat.ino}`
    if (this.born.has(stat.ino) || this.#done.has(file)) return
    const xattrs: Record<string, string> = {}
    for (const key of listXattr(dir, name)) {
      const value = asOwner(dir, name, () => getXattr(dir, name, key))
      if (typeof value !== 'number') xattrs[key] = value.toString('base64')
    }
    const { mode, uid, gid, size, blocks, nlink, rdev, atime, atimeNsec, mtime, mtimeNsec } = stat
    const times = { atime, atimeNsec, mtime, mtimeNsec }
    const record = { mode, uid, gid, size, blocks, nlink, rdev, ...times, xattrs }
    this.#write(file, Buffer.from(JSON.stringify(record)))
    if ((mode & S.IFMT) === S.IFREG) this.#sizes.set(stat.ino, size)
  }

  // Of the regular file that #stat has.
  #content(dir: number, name: string, from: number, to: number): void {
    const { ino } = this.#stat
    if (this.born.has(ino)) return
    const size = this.#sizeOf(ino)
    const file = `data-${ino}`
    // What comes behind the end changes nothing that was there, but for the page that it shares.
    if (size === null || this.#done.has(file) || Math.floor(from / PAGE) * PAGE >= size) return
    const blocks = this.#blocksOf(ino, size)
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

  // Null for a small file.
  #blocksOf(ino: number, size: number): PreservedBlocks | null {
    if (size <= WHOLE) return null
    const known = this.#blocks.get(ino)
    if (known !== undefined) return known
    const blocks = new PreservedBlocks(this.#area, ino, size, this.#budget)
    if (this.#done.has(`map-${ino}`)) blocks.recall()
    this.#blocks.set(ino, blocks)
    return blocks
  }

  // How long a regular file was at the instant; null for what is none, and for one born since.
  #sizeOf(ino: number): number | null {
    const known = this.#sizes.get(ino)
    if (known !== undefined || !this.#done.has(`attr-${ino}`)) return known ?? null
    const { mode, size } = JSON.parse(this.#read(`attr-${ino}`)) as { mode: number; size: number }
    if ((mode & S.IFMT) !== S.IFREG) return null
    this.#sizes.set(ino, size)
    return size
  }

  #read(file: string): string {
    const fd = must(sys.openat(this.#area, file, O.RDONLY | O.NOFOLLOW), 'freeze')
    try {
      must(sys.stat(fd, '', this.#stat), 'freeze')
      const bytes = Buffer.alloc(this.#stat.size)
      return bytes.toString('utf8', 0, must(sys.pread(fd, bytes, bytes.length, 0), 'freeze'))
    } finally {
      sys.close(fd)
    }
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
    this.#onFailed(why)
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

const numberAfter = (kind: string, name: string): number[] =>
  name.startsWith(kind) ? [Number(name.slice(kind.length))] : []

/** O_PATH descriptors of those directories at and below `root` that have these inodes. Throws Errno. */
function directoriesBelow(root: number, wanted: ReadonlySet<number>): Map<number, number> {
  const found = new Map<number, number>()
  const visit = (dir: number) => {
    for (const { name, ino, type } of listDirectory(dir)) {
      if (type !== DT.DIR) continue
      const fd = sys.openat(dir, name, O.PATH | O.DIRECTORY | O.NOFOLLOW)
      if (fd < 0) continue
      // Before what may throw: whoever made the map closes what is in it.
      if (wanted.has(ino)) found.set(ino, fd)
      try {
        visit(fd)
      } finally {
        if (!wanted.has(ino)) sys.close(fd)
      }
    }
  }
  try {
    visit(root)
    return found
  } catch (err) {
    for (const fd of found.values()) sys.close(fd)
    throw err
  }
}
