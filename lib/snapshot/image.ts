// A writable sublayer as it was at one instant: every name with its attributes, and the
// bytes of its files, while the application goes on changing the live thing.
//
//   rw/<n>/           ─▶ ┐
//   frozen/<n>/       ─▶ ├─ image(): ImageEntry, in the order of a walk
//   rw/<n>.numbers    ─▶ ┘
//
// A layer that is not mounted has no preservation area: its image is its directory.
//
// Rule: nothing is followed, every step is relative to a descriptor, and the live thing
// is always looked at before the area is asked (area.ts).

import { ERRNO, Errno } from '../base/errno.ts'
import {
  baseName,
  isWithin,
  joinPath,
  parentPath,
  type RelPath,
  ROOT,
  shown,
} from '../base/path.ts'
import { type DirEntry, DT, listDirectory } from '../host/directory.ts'
import { asOwner } from '../host/own-rights.ts'
import { Stat } from '../host/stat.ts'
import { AT_FDCWD, must, O, S, sys } from '../host/sys.ts'
import { getXattr, listXattr } from '../host/xattr.ts'
import { isCarried } from '../layer/attributes.ts'
import {
  type BlocksMark,
  blocksAmong,
  canBeMetacopy,
  type MarkPrefix,
  type Marks,
  marksAmong,
} from '../layer/marks.ts'
import { FrozenArea } from './area.ts'
import type { FileData } from './file-data.ts'
import { frozenData } from './frozen-data.ts'
import { allowed, openBytes, openForReading, openName } from './image-open.ts'
import { kindOfMode } from './kinds.ts'
import { mergedData } from './merged-data.ts'
import { readNumbers } from './numbers.ts'
import type { PreservedNames } from './preserved-names.ts'
import type { Entry, EntryMarks, Kind } from './records.ts'
import type { Stamp } from './tree.ts'

/** Where a writable sublayer lies. Absolute paths, bytes as latin1 text. */
export interface ImageDirs {
  readonly rw: string
  /** The layer's read-only trees, top first. */
  readonly ro: readonly string[]
  /** The log of its inode numbers; null where it has none. */
  readonly numbers: string | null
  /** Preservation area of the freeze; null for a layer that is not mounted. */
  readonly area: string | null
  /** Where the freeze has its links; in the area by default. */
  readonly links?: string
}

/** One name of the image. Valid until the next step. */
export interface ImageEntry {
  /** Without `content`, which only reading tells. */
  readonly entry: Entry
  /** Inode on the disk. */
  readonly ino: number
  /** Null where the disk's own times are no longer those of the instant. */
  readonly stamp: Stamp | null
  /** Where the own read-only sublayer may have this name: what it hides or merges with. */
  readonly shownOver: RelPath | null
  /** Where its data or its merged directory lies there; null where nothing shows through. */
  readonly lower: RelPath | null
  /** Opens a regular file's bytes. */
  open(): FileData
}

export interface Image {
  /**
   * Every name, the root first as ''; of `parts`, only what lies at, below, and on the way to them.
   */
  entries(parts?: readonly RelPath[]): Generator<ImageEntry, void, void>
  /**
   * The name at a path, if it is there, and where `whole` all below it. Asked for one path after the
   * other, in the order of a walk: which name of a file is its first depends on those seen before.
   */
  visit(path: RelPath, whole: boolean): Generator<ImageEntry, void, void>
  /** Begins a walk by `visit` anew. */
  rewind(): void
  /** Throws SVS_FREEZE_FAILED where the image was not kept: ask it last. */
  check(): void
  close(): void
}

export function openImage(dirs: ImageDirs, prefix: MarkPrefix): Image {
  const root = must(sys.openat(AT_FDCWD, dirs.rw, O.RDONLY | O.DIRECTORY), shown(dirs.rw))
  const area = dirs.area === null ? null : new FrozenArea(dirs.area, dirs.links ?? null)
  const reader = new ImageReader(root, area, readNumbers(dirs.numbers), prefix, dirs.ro)
  return {
    entries: (parts) => reader.entries(parts),
    visit: (path, whole) => reader.visit(path, whole),
    rewind: () => reader.rewind(),
    check: () => area?.check(),
    close() {
      reader.rewind()
      area?.close()
      sys.close(root)
    },
  }
}

interface Level {
  readonly fd: number
  readonly path: RelPath
  readonly lower: RelPath | null
  readonly items: readonly DirEntry[]
  at: number
}

/** A directory on the way to a path that is visited. */
interface Reached {
  readonly fd: number
  readonly ino: number
  readonly path: RelPath
  readonly lower: RelPath | null
  /** What the area told of its names. */
  kept: PreservedNames | null
}

/** Attributes of one inode at the instant, from the disk or from the area. */
interface Found {
  mode: number
  uid: number
  gid: number
  size: number
  /** Of 512 bytes, that it took on the disk. */
  blocks: number
  nlink: number
  rdev: number
  atime: number
  atimeNsec: number
  mtime: number
  mtimeNsec: number
  xattrs: Map<string, Buffer>
  stamp: Stamp | null
}

const EVERYTHING = [ROOT]
const linkTarget = Buffer.alloc(4096)

class ImageReader {
  readonly #root: number
  readonly #area: FrozenArea | null
  readonly #numbers: ReadonlyMap<number, number>
  readonly #prefix: MarkPrefix
  readonly #ro: readonly string[]
  readonly #stat = new Stat()
  /** The descriptor that `#stat` tells of, and whether it is good for reading; -1 for none. */
  #looked = -1
  #readable = false
  /** First names of files that may have several, by inode. */
  readonly #firsts = new Map<number, RelPath>()
  /** The directories above the path visited last, the root first. */
  readonly #way: Reached[] = []

  constructor(
    root: number,
    area: FrozenArea | null,
    numbers: ReadonlyMap<number, number>,
    prefix: MarkPrefix,
    ro: readonly string[],
  ) {
    this.#ro = ro
    this.#root = root
    this.#area = area
    this.#numbers = numbers
    this.#prefix = prefix
  }

  *entries(parts: readonly RelPath[] = EVERYTHING): Generator<ImageEntry, void, void> {
    this.rewind()
    yield* this.#walk(this.#openRoot(), ROOT, ROOT, parts)
  }

  rewind(): void {
    this.#firsts.clear()
    for (const { fd } of this.#way.splice(0)) sys.close(fd)
  }

  *visit(path: RelPath, whole: boolean): Generator<ImageEntry, void, void> {
    const parts = whole ? EVERYTHING : []
    if (path === '') return yield* this.#walk(this.#openRoot(), ROOT, ROOT, parts)
    const dir = this.#reach(parentPath(path))
    const found = dir === null ? null : this.#openNamed(dir, baseName(path))
    if (found === null) return
    const over = dir!.lower === null ? null : joinPath(dir!.lower, baseName(path))
    yield* this.#walk(found.fd, path, over, parts, found.ino)
  }

  #openRoot(): number {
    return must(sys.openat(this.#root, '.', O.PATH | O.DIRECTORY), 'root')
  }

  // Null where no directory is there.
  #reach(path: RelPath): Reached | null {
    while (this.#way.length > 0 && !isWithin(path, this.#way.at(-1)!.path))
      sys.close(this.#way.pop()!.fd)
    if (this.#way.length === 0) this.#way.push(this.#enter(this.#openRoot(), null, ROOT, ROOT)!)
    for (let dir = this.#way.at(-1)!; dir.path !== path; dir = this.#way.at(-1)!) {
      const rest = path.slice(dir.path === '' ? 0 : dir.path.length + 1)
      const name = rest.split('/', 1)[0]!
      const found = this.#openNamed(dir, name)
      if (found === null) return null
      const over = dir.lower === null ? null : joinPath(dir.lower, name)
      const next = this.#enter(found.fd, found.ino, joinPath(dir.path, name), over)
      if (next === null) return null
      this.#way.push(next)
    }
    return this.#way.at(-1)!
  }

  // Takes the descriptor, which is of what had this inode, or stands for it.
  #enter(
    fd: number,
    known: number | null,
    path: RelPath,
    shownOver: RelPath | null,
  ): Reached | null {
    try {
      named(sys.stat(fd, '', this.#stat), path)
      const { mode } = this.#stat
      const ino = known ?? this.#stat.ino
      if ((mode & S.IFMT) === S.IFDIR) {
        const marks = marksAmong(this.#look(fd, ino).xattrs, this.#prefix)
        const lower = lowerOf(marks, shownOver)
        return { fd, ino, path, lower, kept: null }
      }
    } catch (err) {
      sys.close(fd)
      throw err
    }
    sys.close(fd)
    return null
  }

  // What a name meant at the instant: the live one is looked up first, then the area is asked.
  #openNamed(dir: Reached, name: string): { fd: number; ino: number | null } | null {
    const fd = openName(dir.fd, name)
    dir.kept = this.#area?.names(dir.ino, dir.kept) ?? null
    const was = dir.kept?.find(name)
    if (was === undefined) return fd < 0 ? null : { fd, ino: null }
    if (fd >= 0) {
      must(sys.stat(fd, '', this.#stat), name)
      if (this.#stat.ino === was?.ino) return { fd, ino: null }
      sys.close(fd)
    }
    return was === null || this.#area === null
      ? null
      : { fd: this.#area.lost(was.ino, name), ino: was.ino }
  }

  // Takes the descriptor. Without `parts`, the one name alone.
  *#walk(
    fd: number,
    path: RelPath,
    shownOver: RelPath | null,
    parts: readonly RelPath[],
    known: number | null = null,
  ): Generator<ImageEntry, void, void> {
    const levels: Level[] = []
    try {
      yield* this.#visit(fd, path, shownOver, parts.length > 0 ? levels : null, known)
      while (levels.length > 0) {
        const here = levels.at(-1)!
        const item = here.items[here.at++]
        if (item === undefined) {
          sys.close(here.fd)
          levels.pop()
          continue
        }
        const path = joinPath(here.path, item.name)
        if (!parts.some((part) => isWithin(path, part) || isWithin(part, path))) continue
        const child = this.#openChild(here.fd, item)
        if (child === null) continue
        const lower = here.lower === null ? null : joinPath(here.lower, item.name)
        yield* this.#visit(child, path, lower, levels, item.ino)
      }
    } finally {
      for (const { fd } of levels) sys.close(fd)
    }
  }

  // Yields the name behind a descriptor, which is closed, or kept by a new level (null: by none), or
  // by who reads it.
  *#visit(
    fd: number,
    path: RelPath,
    shownOver: RelPath | null,
    levels: Level[] | null,
    known: number | null = null,
  ): Generator<ImageEntry, void, void> {
    let kept = false
    let readable = this.#looked === fd && this.#readable
    try {
      if (this.#looked !== fd) named(sys.stat(fd, '', this.#stat), path)
      this.#looked = -1
      // What stands for a directory that is gone has another inode.
      const ino = this.#area === null ? this.#stat.ino : (known ?? this.#stat.ino)
      const found = this.#look(fd, ino)
      const marks = marksAmong(found.xattrs, this.#prefix)
      const lower = lowerOf(marks, shownOver)
      const own = () => this.#open(fd, ino, found.size)
      const blocks = marks?.metacopy === true ? blocksAmong(found.xattrs, this.#prefix) : null
      if (marks?.metacopy === true) marks.metacopy = isBare(found, blocks, own)
      const merged = blocks !== null && marks?.metacopy === false
      const open = () => {
        if (merged) return mergedData(own(), blocks, this.#ro, lower)
        if (!readable) return own()
        // It is the reader's from here on.
        readable = false
        kept = true
        return frozenData(fd, this.#area, ino, found.size)
      }
      if (marks !== null && marks.renamed !== null) marks.redirect = lower
      const entry = this.#entryOf(fd, path, ino, found, marks)
      yield { entry, ino, stamp: found.stamp, shownOver, lower, open }
      if (entry.kind !== 'dir' || levels === null) return
      levels.push({ fd, path, lower, items: this.#list(fd, ino), at: 0 })
      kept = true
    } finally {
      if (!kept) sys.close(fd)
    }
  }

  #list(fd: number, ino: number): readonly DirEntry[] {
    const live = allowed(fd, 0o500, () => listUnlessRemoved(fd))
    const items = this.#area?.names(ino)?.over(live) ?? live
    return items.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
  }

  // Null for a name that vanished although nothing preserves the sublayer.
  #openChild(dir: number, item: DirEntry): number | null {
    const bytes = item.type === DT.REG ? openBytes(dir, item.name) : -1
    const fd = bytes < 0 ? openName(dir, item.name) : bytes
    if (fd >= 0) {
      must(sys.stat(fd, '', this.#stat), item.name)
      const isKind = item.type === DT.UNKNOWN || this.#stat.mode >> 12 === item.type
      const isIt = this.#stat.ino === item.ino && isKind
      this.#looked = fd
      this.#readable = bytes >= 0 && isIt
      if (isIt || this.#area === null) return fd
      sys.close(fd)
      this.#looked = -1
    }
    return this.#area?.lost(item.ino, item.name) ?? null
  }

  #look(fd: number, ino: number): Found {
    const live = lookLive(fd, this.#stat)
    const kept = this.#area?.attributes(ino)
    if (kept === undefined || kept === null) return live
    const xattrs = new Map<string, Buffer>()
    for (const [name, value] of Object.entries(kept.xattrs))
      xattrs.set(name, Buffer.from(value, 'base64'))
    return { ...kept, xattrs, stamp: null }
  }

  #entryOf(fd: number, path: RelPath, ino: number, found: Found, marks: Marks | null): Entry {
    const { mode, uid, gid, atime, atimeNsec, mtime, mtimeNsec, xattrs } = found
    const kind = kindOf(found, path)
    const times = { atime, atimeNsec, mtime, mtimeNsec }
    const number = this.#numbers.get(ino) ?? 0
    const entry: Entry = { path, kind, mode: mode & 0o7777, uid, gid, ...times, number }
    if (kind === 'file') entry.size = found.size
    if (kind === 'symlink') entry.target = readTarget(fd)
    if (kind === 'char' || kind === 'block') entry.rdev = found.rdev
    const carried = [...xattrs].filter(([name]) => isCarried(name))
    if (carried.length > 0) entry.xattrs = encodeXattrs(carried)
    const set = marks === null ? undefined : setMarks(marks, kind === 'dir')
    if (set !== undefined) entry.marks = set
    const first = kind === 'dir' ? undefined : this.#firstName(ino, found.nlink, path)
    if (first !== undefined) entry.link = first
    else if (kind !== 'dir' && found.nlink > 1) entry.linked = true
    return entry
  }

  // A file whose second name was lost since has a third one in the area, so its count stays over 1.
  #firstName(ino: number, nlink: number, path: RelPath): RelPath | undefined {
    if (nlink < 2) return undefined
    const first = this.#firsts.get(ino)
    if (first === undefined) this.#firsts.set(ino, path)
    return first
  }

  #open(fd: number, ino: number, size: number): FileData {
    return frozenData(openForReading(fd), this.#area, ino, size)
  }
}

// Where in the own read-only sublayer lies what has these marks, and would lie at `over` without them.
function lowerOf(marks: Marks | null, over: RelPath | null): RelPath | null {
  if (marks === null) return over
  const { redirect, renamed, opaque } = marks
  if (redirect !== null || opaque) return redirect
  return renamed === null || over === null ? over : joinPath(parentPath(over), renamed)
}

// Whether a file's bytes lie below, all of them, as its mark says. An unsettled file is one of which
// nothing was changed. While one of several names is being filled its bytes are those below: also where
// it has some already; and one that a crash left filled with its mark is a file like any other.
function isBare(found: Found, blocks: BlocksMark | null, own: () => FileData): boolean {
  if (blocks === null) return canBeMetacopy(found)
  return blocks.valid === blocks.size && found.size === blocks.size && !hasData(own())
}

function hasData(file: FileData): boolean {
  file.close()
  return file.size > 0 && !(file.holes[0] === 0 && file.holes[1] === file.size)
}

// A removed directory was empty then: what it had at the instant is in the area, or was nothing.
function listUnlessRemoved(fd: number): DirEntry[] {
  try {
    return listDirectory(fd)
  } catch (err) {
    if (err instanceof Errno && err.number === ERRNO.ENOENT) return []
    throw err
  }
}

function lookLive(fd: number, stat: Stat): Found {
  const { mode, uid, gid, size, blocks, nlink, rdev } = stat
  const { atime, atimeNsec, mtime, mtimeNsec } = stat
  const stamp = { ino: stat.ino, ctime: stat.ctime, ctimeNsec: stat.ctimeNsec }
  const xattrs = new Map<string, Buffer>()
  for (const name of listXattr(fd, '')) {
    const value = asOwner(fd, '', () => getXattr(fd, '', name))
    if (typeof value !== 'number') xattrs.set(name, value)
  }
  const times = { atime, atimeNsec, mtime, mtimeNsec }
  return { mode, uid, gid, size, blocks, nlink, rdev, ...times, xattrs, stamp }
}

function kindOf({ mode, rdev }: Found, path: RelPath): Kind {
  const kind = kindOfMode(mode)
  if (kind === undefined) throw new Error(`${shown(path)} has no known type`)
  return kind === 'char' && rdev === 0 ? 'whiteout' : kind
}

function readTarget(fd: number): string {
  const length = must(sys.readlinkat(fd, '', linkTarget), 'readlink')
  return linkTarget.latin1Slice(0, length)
}

function encodeXattrs(found: readonly [string, Buffer][]): Record<string, string> {
  const sorted = [...found].sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(sorted.map(([name, value]) => [name, value.toString('base64')]))
}

function setMarks(marks: Marks, isDir: boolean): EntryMarks | undefined {
  const set: EntryMarks = {}
  if (marks.opaque) set.opaque = true
  if (marks.redirect !== null && (isDir || marks.metacopy)) set.redirect = marks.redirect
  if (marks.metacopy) set.metacopy = true
  if (marks.veil) set.veil = true
  if (marks.base !== null) set.base = marks.base
  if (marks.origin !== null && !isDir) set.origin = marks.origin
  return Object.keys(set).length === 0 ? undefined : set
}

// As `must`; what it was is only told where it failed, as that takes longer than the call.
const named = (value: number, path: string): number =>
  value < 0 ? must(value, shown(path)) : value
