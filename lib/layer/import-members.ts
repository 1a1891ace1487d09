// What a file of a source truly is, and how much of it the disk can hold for us.
//
// Root's disk holds all of it. An ordinary user's holds files of that user alone: a foreign
// owner, a device, a mode that would shut its owner out become an override, and the file on the
// disk stays readable, so that the union can serve it.

import { parentPath, type RelPath, ROOT, shown } from '../base/path.ts'
import { Stat } from '../host/stat.ts'
import { must, S, sys } from '../host/sys.ts'
import { listXattr, removeXattr } from '../host/xattr.ts'
import { Breath } from './breath.ts'
import type { Imported } from './import.ts'
import type { Override } from './layer.ts'
import { isMarkName, isWhiteout } from './marks.ts'
import { openBelow } from './open-below.ts'
import { type WalkEntry, walk } from './walk.ts'

/** The attributes that a file has where it comes from; `mode` with the type bits. */
export interface Truth {
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly rdev: number
  readonly atime: number
  readonly atimeNsec: number
  readonly mtime: number
  readonly mtimeNsec: number
}

/** What an archive said of each of its names. */
export type Members = Map<RelPath, Truth>

export function truthOf(stat: Stat): Truth {
  const { mode, uid, gid, rdev, atime, atimeNsec, mtime, mtimeNsec } = stat
  return { mode, uid, gid, rdev, atime, atimeNsec, mtime, mtimeNsec }
}

/** A directory that an archive implies but does not describe: the same in every import. */
export const IMPLIED: Truth = {
  mode: S.IFDIR | 0o755,
  uid: 0,
  gid: 0,
  rdev: 0,
  atime: 0,
  atimeNsec: 0,
  mtime: 0,
  mtimeNsec: 0,
}

const AS_IT_IS = 0xffff_ffff

const found = new Stat()

/**
 * Gives a file of ours its true owner and mode, as far as we may; '' means `dir` itself. What is
 * missing comes back as an override, null where nothing is. Throws Errno.
 */
export function hold(
  dir: number,
  name: string,
  truth: Truth,
  privileged: boolean,
): Override | null {
  const isLink = (truth.mode & S.IFMT) === S.IFLNK
  if (privileged) {
    must(sys.chownat(dir, name, truth.uid, truth.gid), name)
    // After the owner: a change of owner clears the setuid and setgid bits.
    if (!isLink) changeMode(dir, name, truth.mode)
    return null
  }
  must(sys.stat(dir, name, found), name)
  if (found.gid !== truth.gid) {
    // Allowed for a group that the user is in; otherwise the record says whose it was.
    sys.chownat(dir, name, AS_IT_IS, truth.gid)
    must(sys.stat(dir, name, found), name)
  }
  const override: { -readonly [Field in keyof Override]: Override[Field] } = {}
  if (found.uid !== truth.uid) override.uid = truth.uid
  if (found.gid !== truth.gid) override.gid = truth.gid
  const mode = isLink ? truth.mode : heldMode(truth.mode, override)
  if (!isLink) changeMode(dir, name, mode)
  if (mode !== truth.mode) override.mode = truth.mode
  if (isDevice(truth.mode)) override.rdev = truth.rdev
  return Object.keys(override).length === 0 ? null : override
}

// The mode on an ordinary user's disk: readable by its owner, and without the right to run as
// an owner that it does not have there.
function heldMode(mode: number, { uid, gid }: Override): number {
  if (isDevice(mode)) return S.IFREG | 0o600
  const isDirectory = (mode & S.IFMT) === S.IFDIR
  let held = mode | (isDirectory ? 0o700 : 0o400)
  if (uid !== undefined && !isDirectory) held &= ~S.ISUID
  if (gid !== undefined && !isDirectory) held &= ~S.ISGID
  return held
}

const isDevice = (mode: number): boolean =>
  (mode & S.IFMT) === S.IFCHR || (mode & S.IFMT) === S.IFBLK

function changeMode(dir: number, name: string, mode: number): void {
  must(sys.chmodat(dir, name, mode & 0o7777), name)
}

/**
 * Finishes a tree that tar unpacked: owners and modes that were not held become overrides, devices
 * that could not be made get their stand-in, marks that came with attributes are taken off, and
 * directories get their times, which unpacking into them changed. `standIns`: the stand-ins are not
 * there yet. Throws Errno.
 */
export async function settle(
  root: number,
  members: Members,
  privileged: boolean,
  standIns = !privileged,
): Promise<Imported> {
  const overrides = new Map<RelPath, Override>()
  const warnings: string[] = []
  const breath = new Breath()
  if (!privileged) {
    for (const _ of walk(root, openUp)) await breath.taken()
    if (standIns) standInForDevices(root, members)
  }
  for (const entry of walk(root)) {
    await breath.taken()
    if (privileged && isWhiteout(entry.stat)) {
      must(sys.unlinkat(entry.dir, entry.name), entry.path)
      warnings.push(`${shown(entry.path)}: is a mark of deletion (device 0/0): left out`)
      continue
    }
    takeMarksOff(entry, warnings)
    const override = settleEntry(entry, members, privileged)
    if (override !== null) overrides.set(entry.path, override)
  }
  return { overrides, warnings }
}

function settleEntry(entry: WalkEntry, members: Members, privileged: boolean): Override | null {
  const { dir, name, path, stat } = entry
  const isDirectory = (stat.mode & S.IFMT) === S.IFDIR
  const truth = members.get(path) ?? (isDirectory ? IMPLIED : truthOf(stat))
  // Root's tar has set everything but what merging and implied directories need.
  const override = privileged && !isDirectory ? null : hold(dir, name, truth, privileged)
  if (isDirectory || isDevice(truth.mode)) {
    const { atime, atimeNsec, mtime, mtimeNsec } = truth
    must(sys.utimensat(dir, name, atime, atimeNsec, mtime, mtimeNsec), path)
  }
  return override
}

function openUp({ dir, name, stat }: WalkEntry): boolean {
  if ((stat.mode & 0o700) !== 0o700) changeMode(dir, name, stat.mode | 0o700)
  return true
}

/** Makes the files that stand for devices which an ordinary user cannot make. Throws Errno. */
export function standInForDevices(root: number, members: Members): void {
  for (const [path, { mode }] of members) {
    if (!isDevice(mode) || path === ROOT) continue
    const parent = openBelow(root, parentPath(path))
    try {
      must(sys.mknodat(parent, path.slice(path.lastIndexOf('/') + 1), S.IFREG | 0o600, 0), path)
    } finally {
      sys.close(parent)
    }
  }
}

function takeMarksOff({ dir, name, path }: WalkEntry, warnings: string[]): void {
  for (const attribute of listXattr(dir, name).filter(isMarkName)) {
    must(removeXattr(dir, name, attribute), path)
    warnings.push(`${shown(path)}: attribute ${attribute} is a mark: left out`)
  }
}
