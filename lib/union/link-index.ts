// What a writable sublayer knows of the base's hard-linked files, in a directory beside it:
// the copy of one is found through each of the names that the base has for it.
//
//   rw/<n>.links/  c-<key>.<unseen>    hard link to the copy. `unseen`: names of the base that
//                                      are neither linked to it in the sublayer nor deleted there
//                  d-<key>.<deleted>   no copy: as many of the base's names are deleted here
//
//   key = disk, inode and birth of the base's file, so that an inode used again is another key
//
// The copy has the mark `origin` too, with key and link count: where the directory is missing
// (a restore put other files in place, and removed it) it is made again from the marks. What
// was deleted without a copy is then counted no more.
//
// Rule: an entry is made before the copy gets its first name, and goes when neither the
// sublayer nor the base has a name for the file.

import { ERRNO, Errno } from '../base/errno.ts'
import { listDirectory } from '../host/directory.ts'
import { removeTree } from '../host/remove-tree.ts'
import { AT_FDCWD, must, O, S, sys } from '../host/sys.ts'
import { type MarkPrefix, readMarks } from '../layer/marks.ts'
import { type WalkEntry, walk } from '../layer/walk.ts'

/** Which file of a base: its disk, inode and birth. */
export type OriginKey = string

/** The copy of a hard-linked file of the base. */
export interface Copy {
  readonly key: OriginKey
  /** Backing inode. */
  readonly ino: number
  /** Name in the directory of the index. */
  name: string
  /** Names of the base that are neither in the sublayer nor deleted there. */
  unseen: number
}

interface Deleted {
  name: string
  count: number
}

export class LinkIndex {
  readonly #path: string
  readonly #root: number
  readonly #prefix: MarkPrefix | null
  #dir = -1
  readonly #copies = new Map<OriginKey, Copy>()
  readonly #byInode = new Map<number, Copy>()
  readonly #deleted = new Map<OriginKey, Deleted>()

  /**
   * `root` is a descriptor of the sublayer. `mayBeCopy` says which of its inodes can have come
   * from a base at all. Throws Errno.
   */
  constructor(
    path: string,
    sublayer: { root: number; prefix: MarkPrefix | null },
    mayBeCopy: Iterable<number>,
  ) {
    this.#path = path
    this.#root = sublayer.root
    this.#prefix = sublayer.prefix
    this.refresh(mayBeCopy)
  }

  /** Reads the directory again: a restore may have removed it. */
  refresh(mayBeCopy: Iterable<number>): void {
    this.close()
    this.#copies.clear()
    this.#byInode.clear()
    this.#deleted.clear()
    const dir = sys.openat(AT_FDCWD, this.#path, O.RDONLY | O.DIRECTORY | O.NOFOLLOW)
    if (dir === -ERRNO.ENOENT) {
      this.#rebuild(new Set(mayBeCopy))
      return
    }
    this.#dir = must(dir, 'link index')
    for (const { name, ino } of listDirectory(this.#dir)) this.#read(name, ino)
  }

  close(): void {
    if (this.#dir !== -1) sys.close(this.#dir)
    this.#dir = -1
  }

  /** True where it knows of nothing: the common case, asked before a key is made. */
  get isEmpty(): boolean {
    return this.#copies.size === 0 && this.#deleted.size === 0
  }

  copyOf(key: OriginKey): Copy | undefined {
    return this.#copies.get(key)
  }

  /** The copy that this inode of the sublayer is. */
  byInode(ino: number): Copy | undefined {
    return this.#byInode.get(ino)
  }

  /** How many names of a file of the base are deleted here, where it has no copy here. */
  deletedOf(key: OriginKey): number {
    return this.#deleted.get(key)?.count ?? 0
  }

  /** Where a copy is reached whatever names it has. */
  locate(copy: Copy): { dir: number; name: string } {
    return { dir: this.#dir, name: copy.name }
  }

  /** Takes a file, about to get its name in the sublayer, as a copy. Throws Errno. */
  add(key: OriginKey, ino: number, names: number, dir: number, name: string): Copy {
    const old = this.#copies.get(key)
    if (old !== undefined) this.drop(old)
    const deleted = this.#deleted.get(key)
    const unseen = Math.max(names, 0)
    const copy = { key, ino, name: `c-${key}.${unseen}`, unseen }
    const into = this.#made()
    must(sys.linkat(dir, name, into, copy.name), 'link index')
    if (deleted !== undefined) this.#forget(key, deleted)
    this.#put(copy)
    return copy
  }

  /** Some of the base's names of a copy are in the sublayer now, or deleted there. */
  seen(copy: Copy, count: number): void {
    copy.unseen = Math.max(copy.unseen - count, 0)
    const name = `c-${copy.key}.${copy.unseen}`
    // A count that the disk could not take is too high after the next start, no more.
    if (sys.renameat(this.#dir, copy.name, this.#dir, name) >= 0) copy.name = name
  }

  /** One of the base's names of a file without a copy was deleted here. */
  countDeleted(key: OriginKey): void {
    const into = this.#made()
    const before = this.#deleted.get(key)
    const count = (before?.count ?? 0) + 1
    const name = `d-${key}.${count}`
    const done =
      before === undefined
        ? sys.mknodat(into, name, S.IFREG | 0o600, 0)
        : sys.renameat(into, before.name, into, name)
    if (done >= 0) this.#deleted.set(key, { name, count })
  }

  /** Nobody has a name for the copy any more, or another layer took it. */
  drop(copy: Copy): void {
    sys.unlinkat(this.#dir, copy.name)
    this.#copies.delete(copy.key)
    this.#byInode.delete(copy.ino)
  }

  #forget(key: OriginKey, { name }: Deleted): void {
    sys.unlinkat(this.#dir, name)
    this.#deleted.delete(key)
  }

  #put(copy: Copy): void {
    this.#copies.set(copy.key, copy)
    this.#byInode.set(copy.ino, copy)
  }

  #read(name: string, ino: number): void {
    const [, kind, key, number] = /^([cd])-(.+)\.(\d+)$/.exec(name) ?? []
    if (key === undefined) return
    if (kind === 'c') this.#put({ key, ino, name, unseen: Number(number) })
    else this.#deleted.set(key, { name, count: Number(number) })
  }

  #made(path = this.#path): number {
    if (this.#dir !== -1) return this.#dir
    const done = sys.mkdirat(AT_FDCWD, path, 0o700)
    if (done < 0 && done !== -ERRNO.EEXIST) throw new Errno(-done, 'link index')
    const flags = O.RDONLY | O.DIRECTORY | O.NOFOLLOW
    this.#dir = must(sys.openat(AT_FDCWD, path, flags), 'link index')
    return this.#dir
  }

  // Built under another name: one that a crash left half done is not taken for all.
  #rebuild(candidates: ReadonlySet<number>): void {
    if (this.#prefix === null || candidates.size === 0) return
    const path = `${this.#path}.new`
    removeTree(AT_FDCWD, path)
    this.#made(path)
    // An ordinary user's sublayer may hold what the user cannot look into: nobody meets its names.
    const open = ({ stat }: WalkEntry) =>
      this.#prefix === 'trusted' || (stat.mode & 0o500) === 0o500
    for (const { dir, name, stat } of walk(this.#root, open)) {
      if ((stat.mode & S.IFMT) === S.IFDIR || !candidates.has(stat.ino)) continue
      const copy = this.#byInode.get(stat.ino) ?? this.#remade(dir, name, stat.ino)
      if (copy !== null) this.seen(copy, 1)
    }
    must(sys.renameat(AT_FDCWD, path, AT_FDCWD, this.#path), 'link index')
  }

  #remade(dir: number, name: string, ino: number): Copy | null {
    const [key, names] = readMarks(dir, name, this.#prefix!)?.origin?.split('/') ?? []
    if (key === undefined || names === undefined || this.#copies.has(key)) return null
    return this.add(key, ino, Number(names), dir, name)
  }
}
