// What a directory lists, as getdents64(2) gives it.

import { ERRNO } from '../base/errno.ts'
import { must, O, sys } from './sys.ts'

/** Kinds of linux/dirent.h, which are the mode's type bits shifted by 12. */
export const DT = {
  UNKNOWN: 0,
  FIFO: 1,
  CHR: 2,
  DIR: 4,
  BLK: 6,
  REG: 8,
  LNK: 10,
  SOCK: 12,
} as const

export interface DirEntry {
  /** Bytes as latin1 text. */
  readonly name: string
  /** Inode number on the backing disk. */
  readonly ino: number
  /** One of DT. */
  readonly type: number
}

const block = Buffer.alloc(64 * 1024)

/**
 * All entries but `.` and `..`, in the disk's order. `name` '' lists `dir` itself. Only where a
 * program asked for them (`access`) is the access time moved. With more than `most` entries, not all
 * of them. Throws Errno.
 */
export function listDirectory(
  dir: number,
  name = '',
  access = false,
  most = Number.POSITIVE_INFINITY,
): DirEntry[] {
  const quiet = access ? 0 : O.NOATIME
  let fd = open(dir, name, quiet)
  // Another's directory: only its owner may read it unnoticed.
  if (fd === -ERRNO.EPERM) fd = open(dir, name, 0)
  must(fd, 'opendir')
  try {
    const entries: DirEntry[] = []
    for (;;) {
      if (!nextEntries(fd, entries) || entries.length > most) return entries
    }
  } finally {
    sys.close(fd)
  }
}

/** A descriptor to list a directory by and by, for the caller to close; or the negative errno. */
export function openListing(dir: number): number {
  const fd = open(dir, '', O.NOATIME)
  return fd === -ERRNO.EPERM ? open(dir, '', 0) : fd
}

/**
 * Appends the next entries but `.` and `..`, as they fit into so many bytes. False at the end. Throws Errno.
 */
export function nextEntries(fd: number, into: DirEntry[], bytes = block.length): boolean {
  const length = must(
    sys.getdents(fd, bytes === block.length ? block : block.subarray(0, bytes)),
    'getdents',
  )
  readBlock(length, into)
  return length > 0
}

function open(dir: number, name: string, quiet: number): number {
  const flags = O.RDONLY | O.DIRECTORY | quiet
  if (name !== '') return sys.openat(dir, name, flags | O.NOFOLLOW)
  const fd = sys.openat(dir, '.', flags)
  // A directory that may be read, but not searched, has no `.` to be found in it.
  return fd === -ERRNO.EACCES ? sys.reopen(dir, flags) : fd
}

// struct linux_dirent64: ino u64, offset s64, record length u16, type u8, name with NUL
function readBlock(length: number, into: DirEntry[]): void {
  for (let at = 0; at < length; at += block.readUInt16LE(at + 16)) {
    const end = block.indexOf(0, at + 19)
    const name = block.latin1Slice(at + 19, end)
    if (name === '.' || name === '..') continue
    const ino = block.readUInt32LE(at) + block.readUInt32LE(at + 4) * 0x1_0000_0000
    into.push({ name, ino, type: block[at + 18]! })
  }
}
