// One tree on disk that a view is made of: a sublayer, or the base. Everything in it is
// reached relative to directory descriptors, one name at a time, nothing followed.
//
//   path in the branch ──▶ descriptor (O_PATH, a bounded cache) ──▶ call with one name
//
// Rule: a writable branch is changed through lib/union alone, and each change asks
// `beforeChange` (before-change.ts) first. In a writable branch a thing lies at the same path as
// in the view; in a read-only one it may lie elsewhere (a redirect).

import { ERRNO, Errno } from '../base/errno.ts'
import { baseName, isWithin, joinPath, parentPath, type RelPath, ROOT } from '../base/path.ts'
import { type DirEntry, DT, listDirectory } from '../host/directory.ts'
import { Stat } from '../host/stat.ts'
import { AT_FDCWD, must, O, sys } from '../host/sys.ts'
import { getXattr } from '../host/xattr.ts'
import type { TreeIndex } from '../layer/index-file.ts'
import type { MarkPrefix } from '../layer/marks.ts'
import type { Ctimes } from './ctimes.ts'
import { diskIdentity, isInMemory, keepsAtime, listsAll } from './disks.ts'
import type { Freeze } from './freeze.ts'
import type { Journal } from './journal.ts'
import { KnownNames, OwnNames } from './known-names.ts'
import type { UnionLayer } from './layer.ts'
import { Room } from './room.ts'
import type { Unsettled } from './unsettled.ts'
import type { WrittenRoom } from './written-room.ts'

/** Descriptors kept for one branch. A request needs at most a handful at once. */
const MOST_DESCRIPTORS = 128

/** What names of attributes begin with. */
const SPACES = ['user.', 'security.', 'trusted.'] as const

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
  /** True where its disk sets access times. */
  readonly keepsAtime: boolean
  readonly #inMemory: boolean
  /** Of a published tree: answers names and attributes without the disk. */
  readonly index: TreeIndex | null
  readonly room: Room
  /** Added to a position of the index to make an inode number; 0 where the disk's own are shown. */
  readonly numberBase: number
  /** Of a writable branch: times that the disk cannot hold. */
  readonly ctimes: Ctimes | null
  /** Of a writable branch that holds marks: the files of which it has the changed blocks alone. */
  readonly unsettled: Unsettled | null

  // Mutable below, by the union's thread alone.

  /** The layer it belongs to: set when the layer is made. */
  layer!: UnionLayer
  /** Preservation areas that must see what was, before it changes. */
  readonly freezes: Freeze[] = []
  /** What changed since each state; null before the first. */
  journal: Journal | null = null
  /** Paths served by this process: a walk into one would wait for itself. */
  blocked: ReadonlySet<string> | null = null
  /** Changes of a writable branch so far, each counted before it is made (`beforeChange`), a restore after. */
  changes = 0
  /** Those among them by which a name comes, goes, or means another thing. */
  nameChanges = 0
  /** Of a writable branch that nobody else changes. */
  readonly own: OwnNames | null
  readonly #fds = new Map<string, number>()
  readonly #paths = new Map<number, RelPath>()
  /** The descriptor asked for last, -1 for none: a request, and often the next, asks again. */
  #lastFd = -1
  #lastPath = ''
  /** What the disks are that it spans, by device. */
  readonly #disks = new Map<number, string>()
  #links: ReadonlyMap<number, readonly RelPath[]> | null = null
  /** By SPACES: whether its disk has such attributes. */
  readonly #spaces = new Map<string, boolean>()
  /** null where names may come, where a list may lack some, and where the index knows them. */
  readonly #names: KnownNames | null
  /** Where what is written to it counts against a limit of its own; null elsewhere. */
  written: WrittenRoom | null = null
  closed = false
  /** Whether its disk is fit for blocks; null until that was tried (block-choice.ts). */
  fitForBlocks: boolean | null = null
  /** Branches by whether a file of theirs can share its bytes with one of this. */
  readonly clones = new WeakMap<Branch, boolean>()

  constructor(options: {
    path: string
    root: number
    writable: boolean
    foreign: boolean
    prefix: MarkPrefix | null
    index: TreeIndex | null
    numberBase?: number
    ctimes?: Ctimes | null
    unsettled?: Unsettled | null
  }) {
    this.path = options.path
    this.root = options.root
    this.writable = options.writable
    this.foreign = options.foreign
    this.prefix = options.prefix
    this.index = options.index
    this.room = new Room(this.root)
    this.numberBase = options.numberBase ?? 0
    this.ctimes = options.ctimes ?? null
    this.unsettled = options.unsettled ?? null
    const stat = new Stat()
    must(sys.stat(this.root, '', stat), 'branch')
    this.dev = stat.dev
    this.#disks.set(stat.dev, diskIdentity(this.root, stat.dev))
    this.keepsAtime = keepsAtime(this.root)
    this.#inMemory = isInMemory(this.root)
    const stays = !this.writable && !this.foreign && this.index === null && listsAll(this.root)
    this.#names = stays ? new KnownNames(this.dev) : null
    this.own = this.writable && !this.foreign ? new OwnNames(this) : null
  }

  /** What the disk of a device is, which the branch was seen to have a part on. */
  diskOf(dev: number): string {
    return this.#disks.get(dev) ?? `dev${dev}`
  }

  // A disk that is mounted inside.
  #meet(dir: number, name: string, dev: number): void {
    if (this.#disks.has(dev)) return
    const fd = sys.openat(dir, name, O.PATH | O.NOFOLLOW)
    if (fd < 0) return
    this.#disks.set(dev, diskIdentity(fd, dev))
    sys.close(fd)
  }

  /** Descriptor of a directory of the branch: valid until the request ends. Throws Errno. */
  dirFd(path: RelPath): number {
    const fd = this.#find(path)
    return must(fd < 0 ? this.asDamage(fd) : fd, 'open directory')
  }

  /** Of a call on what was found: EIO where the index has what its tree has lost. */
  asDamage(errno: number): number {
    return errno === -ERRNO.ENOENT && this.index !== null ? -ERRNO.EIO : errno
  }

  /** Path of a directory by a descriptor that `dirFd` gave, while that is valid. */
  pathOf(fd: number): RelPath | undefined {
    return fd === this.root ? ROOT : this.#paths.get(fd)
  }

  /** As `dirFd`, or the negative errno. */
  #find(path: RelPath): number {
    if (path === '') return this.root
    if (this.#lastFd !== -1 && path === this.#lastPath) return this.#lastFd
    const known = this.#fds.get(path)
    if (known !== undefined) {
      this.#fds.delete(path)
      this.#fds.set(path, known)
    }
    const fd = known ?? this.#open(path)
    if (fd < 0) return fd
    if (known === undefined) this.#keep(path, fd)
    this.#lastFd = fd
    this.#lastPath = path
    return fd
  }

  // From the nearest known parent down. What lies between is not kept: a path of a thousand names
  // would push out what its own request still uses.
  #open(path: RelPath): number {
    const names: string[] = []
    let at = path
    let known: number | undefined
    while (known === undefined) {
      names.push(baseName(at))
      at = parentPath(at)
      known = at === '' ? this.root : this.#fds.get(at)
    }
    let fd = known
    for (const name of names.reverse()) {
      const next = sys.openat(fd, name, O.PATH | O.DIRECTORY | O.NOFOLLOW)
      if (fd !== known) sys.close(fd)
      if (next < 0) return next
      fd = next
    }
    return fd
  }

  /** Attributes of a name in a directory. False when one of them is absent. Throws Errno otherwise. */
  peek(dir: RelPath, name: string, into: Stat): boolean {
    if (this.index !== null && name !== '') return peekIndex(this.index, dir, name, into)
    if (this.blocked !== null && this.#isBlocked(dir, name)) return false
    if (name !== '' && (this.#names ?? this.own)?.lacks(dir, name)) return false
    const fd = this.#find(dir)
    const done = fd < 0 ? fd : sys.stat(fd, name, into)
    if (done >= 0) {
      if (into.dev !== this.dev) this.#meet(fd, name, into.dev)
      return true
    }
    if (done !== -ERRNO.ENOENT && done !== -ERRNO.ENOTDIR) throw new Errno(-done, 'stat')
    if (fd >= 0) this.#names?.wasAbsent(dir, fd)
    return false
  }

  /**
   * Attributes of what is to be copied: the disk's, but for the access time that programs see.
   * Throws Errno.
   */
  statSource(dir: number, name: string, into: Stat): void {
    const done = sys.stat(dir, name, into)
    must(done < 0 ? this.asDamage(done) : done, 'copy up')
    this.index?.showAccess(into)
  }

  /** A program accessed what has this number in the index. */
  accessed(number: number): void {
    if (this.keepsAtime && number !== 0) this.index!.accessed(number)
  }

  /** True where a file of it, open as `fd`, has no disk to be flushed to. A disk may be mounted inside. */
  needsNoFlush(fd: number): boolean {
    return this.#inMemory && isInMemory(fd)
  }

  /** True where the disk takes attributes of such a name: then one that is not there is absent. */
  takesAttribute(name: string): boolean {
    const space = SPACES.find((one) => name.startsWith(one) && name !== one)
    if (space === undefined) return false
    const known = this.#spaces.get(space)
    if (known !== undefined) return known
    const takes = getXattr(this.root, '', `${space}svsfs-none`) === -ERRNO.ENODATA
    this.#spaces.set(space, takes)
    return takes
  }

  /**
   * All names of a file that has several, or null where they are not known: in a writable
   * branch, and in the base. Where there is no index the tree, which does not change, is
   * listed once for it; whoever uses a name looks whether the file there is the same.
   */
  linkNames(ino: number): readonly RelPath[] | null {
    if (this.index !== null) return this.index.names(ino)
    if (this.writable || this.foreign) return null
    this.#links ??= this.#listLinks()
    return this.#links.get(ino) ?? null
  }

  /** True where a name of a hard-linked file is the path or lies below it. */
  linkedWithin(path: RelPath): boolean {
    if (this.index !== null) return this.index.linkedWithin(path)
    if (this.writable || this.foreign) return false
    this.#links ??= this.#listLinks()
    for (const names of this.#links.values()) {
      if (names.some((name) => isWithin(name, path))) return true
    }
    return false
  }

  // By the inode numbers that directories list: without a stat of any file.
  #listLinks(): ReadonlyMap<number, readonly RelPath[]> {
    const names = new Map<number, RelPath[]>()
    const directories: RelPath[] = [ROOT]
    for (let dir = directories.pop(); dir !== undefined; dir = directories.pop()) {
      for (const { name, ino, type } of this.#listAllowed(dir)) {
        const path = joinPath(dir, name)
        if (type === DT.DIR) directories.push(path)
        else if (names.get(ino)?.push(path) === undefined) names.set(ino, [path])
      }
    }
    return new Map([...names].filter(([, several]) => several.length > 1))
  }

  // An ordinary user's tree may hold what the user cannot look into: nobody meets its names.
  #listAllowed(dir: RelPath): DirEntry[] {
    try {
      return listDirectory(this.dirFd(dir))
    } catch (err) {
      if (err instanceof Errno && err.code === 'EACCES') return []
      throw err
    }
  }

  /** Forgets descriptors at and below a path: it was moved or removed. */
  moved(path: RelPath): void {
    const below = `${path}/`
    this.#lastFd = -1
    for (const [known, fd] of this.#fds) {
      if (known !== path && !known.startsWith(below)) continue
      this.#fds.delete(known)
      this.#paths.delete(fd)
      sys.close(fd)
    }
  }

  close(): void {
    this.closed = true
    this.unsettled?.close()
    this.ctimes?.close()
    this.index?.close()
    for (const fd of this.#fds.values()) sys.close(fd)
    this.#fds.clear()
    this.#paths.clear()
    this.#lastFd = -1
    sys.close(this.root)
  }

  #isBlocked(dir: RelPath, name: string): boolean {
    return this.blocked!.has(dir === '' ? name : `${dir}/${name}`)
  }

  #keep(path: RelPath, fd: number): void {
    if (this.#fds.size >= MOST_DESCRIPTORS) {
      const [oldest, old] = this.#fds.entries().next().value!
      this.#fds.delete(oldest)
      this.#paths.delete(old)
      sys.close(old)
    }
    this.#fds.set(path, fd)
    this.#paths.set(fd, path)
  }
}

function peekIndex(index: TreeIndex, dir: RelPath, name: string, into: Stat): boolean {
  const tables = index.tablesAt(dir)
  const number = tables.child(tables.directory(dir), name)
  if (number === 0) return false
  tables.fill(number, into)
  return true
}

/** O_PATH descriptor of an absolute path, which is followed. Throws Errno. */
export function openRoot(path: string): number {
  return must(sys.openat(AT_FDCWD, path, O.PATH | O.DIRECTORY), path)
}
