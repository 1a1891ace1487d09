// What a directory that shows a list tells of each name in it.

import type { Attr } from '../fuse/filesystem.ts'
import { TYPE_OF } from './kinds.ts'
import type { Entry } from './records.ts'

/** Bytes of a directory, which a list does not know. */
const DIRECTORY = 4096

/** Attributes of an entry of which so many names are shown. */
export function shownAttr(entry: Entry, names: number): Attr {
  const { kind, mode, uid, gid, atime, atimeNsec, mtime, mtimeNsec, number } = entry
  const isDir = kind === 'dir'
  const size = isDir ? DIRECTORY : (entry.size ?? entry.target?.length ?? 0)
  return {
    ino: number,
    size,
    blocks: Math.ceil(size / 512),
    atime,
    atimeNsec,
    mtime,
    mtimeNsec,
    ctime: mtime,
    ctimeNsec: mtimeNsec,
    mode: TYPE_OF[kind] | mode,
    nlink: isDir ? 2 : names,
    uid,
    gid,
    rdev: entry.rdev ?? 0,
    blksize: 4096,
  }
}
