// Copying a directory into a new tree, with everything that a file has.
//
// Rule: both sides are reached by descriptors of directories, nothing is followed, and a
// directory gets its mode, attributes and times when its last name was made.

import { ERRNO, errnoName } from '../base/errno.ts'
import { isWithin, parentPath, type RelPath, shown } from '../base/path.ts'
import { copyData } from '../host/copy.ts'
import { libcDevice, Stat } from '../host/stat.ts'
import { AT_FDCWD, must, O, S, sys } from '../host/sys.ts'
import { getXattr, listXattr, setXattr } from '../host/xattr.ts'
import { isCarried } from './attributes.ts'
import { Breath, goOn } from './breath.ts'
import type { Imported } from './import.ts'
import { hold, type Truth, truthOf } from './import-members.ts'
import type { Override } from './layer.ts'
import { isMarkName, isWhiteout } from './marks.ts'
import { openBelow } from './open-below.ts'
import { type WalkEntry, walk } from './walk.ts'

interface Copying {
  readonly privileged: boolean
  readonly target: number
  /** Directories under way, the root first. */
  readonly open: OpenDirectory[]
  /** First path of each hard-linked file, by its inode in the source. */
  readonly linked: Map<string, RelPath>
  readonly overrides: Map<RelPath, Override>
  readonly warn: (path: RelPath, text: string) => void
}

/** What remains to be given to a file once its content is there. */
interface Unfinished {
  readonly path: RelPath
  readonly truth: Truth
  readonly attributes: readonly Attribute[]
}

interface OpenDirectory extends Unfinished {
  readonly fd: number
}

interface Attribute {
  readonly name: string
  readonly value: Buffer
}

/**
 * Copies what the directory `source` holds, and its own attributes, to the empty directory
 * `target`. Stays on the source's disk: what is mounted inside it is left out. Throws Errno.
 */
export async function copyDirectory(
  source: number,
  target: number,
  { privileged, leaveOut }: { privileged: boolean; leaveOut: readonly string[] },
): Promise<Imported> {
  const warnings: string[] = []
  const copying: Copying = {
    privileged,
    target,
    open: [],
    linked: new Map(),
    overrides: new Map(),
    warn: (path, text) => warnings.push(`${shown(path)}: ${text}`),
  }
  const breath = new Breath()
  const wanted = chooser(source, leaveOut, copying)
  try {
    for (const entry of walk(source, wanted)) {
      closeUpTo(copying, entry.path)
      copyEntry(copying, entry)
      await breath.taken()
    }
    closeUpTo(copying, null)
  } finally {
    for (const { fd } of copying.open) sys.close(fd)
  }
  return { overrides: copying.overrides, warnings }
}

// Which directories are entered: those of the source's own disk that are not to be left out.
function chooser(
  source: number,
  leaveOut: readonly string[],
  { warn }: Copying,
): (entry: WalkEntry) => boolean {
  const stat = new Stat()
  const excluded = new Set<string>()
  for (const path of leaveOut) {
    if (sys.stat(AT_FDCWD, path, stat) >= 0) excluded.add(identity(stat))
  }
  must(sys.stat(source, '', stat), 'stat')
  const { dev } = stat
  return (entry) => {
    if (entry.stat.dev === dev && !excluded.has(identity(entry.stat))) return true
    warn(entry.path, 'another disk, or the store itself, is there: left empty')
    return false
  }
}

const identity = ({ dev, ino }: Stat): string => `${dev}:${ino}`

function copyEntry(copying: Copying, entry: WalkEntry): void {
  const { path, stat } = entry
  if (isWhiteout(stat)) {
    copying.warn(path, 'is a mark of deletion (device 0/0): left out')
    return
  }
  if ((stat.mode & S.IFMT) === S.IFDIR) {
    openDirectory(copying, entry)
    return
  }
  if (stat.nlink > 1 && linkToCopy(copying, entry)) return
  const parent = copying.open.at(-1)!.fd
  const truth = truthOf(stat)
  make(copying, parent, entry, truth)
  finish(copying, parent, entry.name, { path, truth, attributes: readAttributes(copying, entry) })
}

function openDirectory(copying: Copying, entry: WalkEntry): void {
  const { path, stat } = entry
  const attributes = readAttributes(copying, entry)
  const truth = truthOf(stat)
  const parent = copying.open.at(-1)?.fd
  if (parent !== undefined) must(sys.mkdirat(parent, entry.name, 0o700), path)
  // The root is opened again as `.`, so that each level may be closed alike.
  const fd = must(
    sys.openat(parent ?? copying.target, entry.name || '.', O.RDONLY | O.DIRECTORY | O.NOFOLLOW),
    path,
  )
  copying.open.push({ path, fd, truth, attributes })
}

// Ends the directories that `path` does not lie in: from now on nothing changes in them.
function closeUpTo(copying: Copying, path: RelPath | null): void {
  for (;;) {
    const last = copying.open.at(-1)
    if (last === undefined || (path !== null && isWithin(path, last.path))) return
    finish(copying, last.fd, '', last)
    copying.open.pop()
    sys.close(last.fd)
  }
}

function linkToCopy(copying: Copying, { path, name, stat }: WalkEntry): boolean {
  const file = identity(stat)
  const first = copying.linked.get(file)
  if (first === undefined) {
    copying.linked.set(file, path)
    return false
  }
  const parent = openBelow(copying.target, parentPath(first))
  try {
    const at = first.slice(first.lastIndexOf('/') + 1)
    must(sys.linkat(parent, at, copying.open.at(-1)!.fd, name), path)
  } finally {
    sys.close(parent)
  }
  const override = copying.overrides.get(first)
  if (override !== undefined) copying.overrides.set(path, override)
  return true
}

/** Makes the file with its content; what an ordinary user cannot make becomes an empty file. */
function make(copying: Copying, parent: number, entry: WalkEntry, { mode, rdev }: Truth): void {
  const { path, name } = entry
  switch (mode & S.IFMT) {
    case S.IFREG:
      copyFile(parent, entry)
      break
    case S.IFLNK:
      must(sys.symlinkat(targetOf(entry), parent, name), path)
      break
    case S.IFBLK:
    case S.IFCHR:
      if (copying.privileged) must(sys.mknodat(parent, name, mode, libcDevice(rdev)), path)
      else must(sys.mknodat(parent, name, S.IFREG | 0o600, 0), path)
      break
    default:
      must(sys.mknodat(parent, name, (mode & S.IFMT) | 0o600, 0), path)
  }
}

function copyFile(parent: number, { dir, name, path, stat }: WalkEntry): void {
  const from = must(sys.openat(dir, name, O.RDONLY | O.NOFOLLOW | O.NONBLOCK), path)
  try {
    const to = must(sys.openat(parent, name, O.WRONLY | O.CREAT | O.EXCL, 0o600), path)
    try {
      copyData(from, to, stat.size, goOn)
    } finally {
      sys.close(to)
    }
  } finally {
    sys.close(from)
  }
}

const text = Buffer.alloc(4096)

const targetOf = ({ dir, name, path }: WalkEntry): string =>
  text.latin1Slice(0, must(sys.readlinkat(dir, name, text), path))

function readAttributes(copying: Copying, { dir, name, path }: WalkEntry): readonly Attribute[] {
  const attributes: Attribute[] = []
  for (const attribute of listXattr(dir, name)) {
    if (isMarkName(attribute)) copying.warn(path, `attribute ${attribute} is a mark: left out`)
    if (!isCarried(attribute)) continue
    const value = getXattr(dir, name, attribute)
    if (typeof value !== 'number') attributes.push({ name: attribute, value })
  }
  return attributes
}

// Root sets attributes after the owner, whose change clears capabilities. A user sets them before
// the mode, which may forbid it.
function finish(copying: Copying, dir: number, name: string, file: Unfinished): void {
  if (!copying.privileged) setAttributes(copying, dir, name, file)
  const override = hold(dir, name, file.truth, copying.privileged)
  if (override !== null) copying.overrides.set(file.path, override)
  if (copying.privileged) setAttributes(copying, dir, name, file)
  setTimes(dir, name, file.truth)
}

// What the disk or the caller's rights cannot hold is said, and left out.
function setAttributes(
  { warn, privileged }: Copying,
  dir: number,
  name: string,
  { path, attributes }: Unfinished,
): void {
  for (const { name: attribute, value } of attributes) {
    const done = setXattr(dir, name, attribute, value)
    if (done >= 0) continue
    const tolerated = done === -ERRNO.EOPNOTSUPP || (!privileged && done === -ERRNO.EPERM)
    if (!tolerated) must(done, `${path}: ${attribute}`)
    warn(path, `attribute ${attribute} cannot be kept (${errnoName(-done)})`)
  }
}

function setTimes(dir: number, name: string, { atime, atimeNsec, mtime, mtimeNsec }: Truth): void {
  must(sys.utimensat(dir, name, atime, atimeNsec, mtime, mtimeNsec), 'utimensat')
}
