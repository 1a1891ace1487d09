// A layer's read-only tree, as states are laid over it: attributes, names and bytes by path.
//
// Its index (lib/layer/index-file.ts), where it is known, adds what the disk could not hold: inode
// numbers, and owners, modes and devices of an ordinary user's tree.
//
// Rule: nothing is followed, and nothing is changed. The descriptor of the last directory is
// kept, because its neighbours come next.

import { ERRNO } from '../base/errno.ts'
import { baseName, parentPath, type RelPath, shown } from '../base/path.ts'
import { listDirectory } from '../host/directory.ts'
import { asOwner } from '../host/own-rights.ts'
import { Stat } from '../host/stat.ts'
import { AT_FDCWD, must, O, sys } from '../host/sys.ts'
import { getXattr, listXattr } from '../host/xattr.ts'
import { isCarried } from '../layer/attributes.ts'
import { openIndex, type TreeIndex } from '../layer/index-file.ts'
import { type FileData, holesOf, readFull } from './file-data.ts'
import { kindOfMode } from './kinds.ts'
import type { Entry } from './records.ts'

/** The index of a read-only tree, and what is added to a position in it to make an inode number. */
export interface BelowIndex {
  readonly path: string
  readonly base: number
}

export interface BelowEntry {
  /** As a state would list it; its number is 0 without an index. */
  readonly entry: Entry
  /** Inode on the disk, for a file that has several names; else 0. */
  readonly links: number
}

const target = Buffer.alloc(4096)

/** One read-only tree, open until `close`. */
export class Below {
  readonly #root: number
  readonly #index: TreeIndex | null
  readonly #base: number
  readonly #stat = new Stat()
  #dir: { path: RelPath; fd: number } | null = null

  constructor(path: string, index: BelowIndex | null) {
    this.#root = must(sys.openat(AT_FDCWD, path, O.PATH | O.DIRECTORY), shown(path))
    this.#index = index === null ? null : openIndex(index.path, this.#root)
    this.#base = index?.base ?? 0
  }

  /** What lies at a path; null where nothing does. */
  look(path: RelPath): BelowEntry | null {
    const fd = this.#openName(path)
    if (fd === null) return null
    try {
      return this.#entryOf(fd, path)
    } finally {
      sys.close(fd)
    }
  }

  /** Names in a directory, in byte order. */
  list(path: RelPath): string[] {
    const fd = this.#openName(path)
    if (fd === null) return []
    try {
      const names = listDirectory(fd).map(({ name }) => name)
      return names.sort()
    } finally {
      sys.close(fd)
    }
  }

  /** The bytes of a regular file. Throws Errno where there is none. */
  open(path: RelPath): FileData & { readonly fd: number } {
    const found = this.#openName(path) ?? must(-ERRNO.ENOENT, shown(path))
    try {
      const fd = must(
        asOwner(found, '', () => sys.reopen(found, O.RDONLY)),
        shown(path),
      )
      must(sys.stat(fd, '', this.#stat), shown(path))
      const { size } = this.#stat
      return {
        fd,
        size,
        holes: holesOf(fd, size),
        read: (into, offset) => readFull(fd, into, offset),
        close: () => void sys.close(fd),
      }
    } finally {
      sys.close(found)
    }
  }

  close(): void {
    if (this.#dir !== null) sys.close(this.#dir.fd)
    this.#dir = null
    this.#index?.close()
    sys.close(this.#root)
  }

  #entryOf(fd: number, path: RelPath): BelowEntry | null {
    must(sys.stat(fd, '', this.#stat), shown(path))
    const { ino, nlink, size, atime, atimeNsec, mtime, mtimeNsec } = this.#stat
    const override = this.#index?.override(ino) ?? null
    const mode = override?.mode ?? this.#stat.mode
    const rdev = override?.rdev ?? this.#stat.rdev
    const kind = kindOfMode(mode)
    // Another tree's mark for "deleted" is nothing here.
    if (kind === undefined || (kind === 'char' && rdev === 0)) return null
    const { uid = this.#stat.uid, gid = this.#stat.gid } = override ?? {}
    const position = this.#index?.number(ino) ?? 0
    const number = position === 0 ? 0 : this.#base + position
    const times = { atime, atimeNsec, mtime, mtimeNsec }
    const entry: Entry = { path, kind, mode: mode & 0o7777, uid, gid, ...times, number }
    if (kind === 'file') entry.size = size
    if (kind === 'symlink')
      entry.target = target.latin1Slice(0, must(sys.readlinkat(fd, '', target), shown(path)))
    if (kind === 'char' || kind === 'block') entry.rdev = rdev
    const xattrs = carriedOf(fd)
    if (xattrs !== null) entry.xattrs = xattrs
    return { entry, links: kind !== 'dir' && nlink > 1 ? ino : 0 }
  }

  #openName(path: RelPath): number | null {
    const dir = path === '' ? this.#root : this.#enter(parentPath(path))
    if (dir === null) return null
    const fd = sys.openat(dir, path === '' ? '.' : baseName(path), O.PATH | O.NOFOLLOW)
    return fd === -ERRNO.ENOENT ? null : must(fd, shown(path))
  }

  #enter(path: RelPath): number | null {
    if (this.#dir?.path === path) return this.#dir.fd
    let fd = must(sys.openat(this.#root, '.', O.PATH | O.DIRECTORY), 'root')
    for (const name of path === '' ? [] : path.split('/')) {
      const next = sys.openat(fd, name, O.PATH | O.DIRECTORY | O.NOFOLLOW)
      sys.close(fd)
      if (next === -ERRNO.ENOENT || next === -ERRNO.ENOTDIR) return null
      fd = must(next, shown(path))
    }
    if (this.#dir !== null) sys.close(this.#dir.fd)
    this.#dir = { path, fd }
    return fd
  }
}

function carriedOf(fd: number): Record<string, string> | null {
  const names = listXattr(fd, '').filter(isCarried).sort()
  const found: Record<string, string> = {}
  for (const name of names) {
    const value = getXattr(fd, '', name)
    if (typeof value !== 'number') found[name] = value.toString('base64')
  }
  return Object.keys(found).length === 0 ? null : found
}
