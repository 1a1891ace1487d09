// The remaining operations on bytes: allocation, copying ranges, and the disk's figures.

import { ERRNO, Errno, fail } from '../base/errno.ts'
import type { CopyRangeRequest, Job, Statfs } from '../fuse/filesystem.ts'
import { Stat } from '../host/stat.ts'
import { must, O, sys } from '../host/sys.ts'
import { keepMtime } from './attributes.ts'
import { beforeChange, preserveAhead } from './before-change.ts'
import { settleFirst } from './block-copy.ts'
import type { Branch } from './branch.ts'
import { writableOpen } from './files.ts'
import type { UnionNode } from './node.ts'
import type { View } from './view.ts'

/** Most that one request copies: others wait meanwhile, and whoever asked asks for the rest. */
const MOST_COPIED = 8 * 1024 * 1024

/** FALLOC_FL_COLLAPSE_RANGE: the one that makes a file shorter. */
const COLLAPSE = 8
/** The same, and FALLOC_FL_INSERT_RANGE: all that lies behind moves. */
const MOVES = COLLAPSE | 32

/** FALLOC_FL_PUNCH_HOLE, and what moves bytes: they need no room. */
const FREES = MOVES | 2

const stat = new Stat()

function sizeOf(fd: number): number {
  must(sys.stat(fd, '', stat), 'stat')
  return stat.size
}

/** Throws what a finished job ended with. */
export function checkJob(job: Job): void {
  if (job.error !== 0) throw new Errno(job.error, job.kind)
}

export function allocate(
  view: View,
  node: UnionNode,
  mode: number,
  offset: number,
  length: number,
): void {
  const open = writableOpen(view, node)
  // Whatever it does with holes, it does with true ones.
  settleFirst(node)
  const until = mode & MOVES ? Number.POSITIVE_INFINITY : offset + length
  preserveAhead(node.branch!, open.fd, offset, until)
  beforeChange(node.branch!, 'content', open.fd, '', node, offset, until)
  if ((mode & FREES) === 0)
    node.branch!.written?.takeRange(open.fd, offset, offset + length, view.opened)
  keepMtime(view, node.branch!, open.fd, () =>
    must(sys.fallocate(open.fd, mode, offset, length), 'fallocate'),
  )
  view.resized(node, mode & COLLAPSE ? sizeOf(open.fd) : null)
}

/** Copies a range between two open files; the kernel falls back to reading where it is refused. */
export function copyRange(
  view: View,
  from: UnionNode,
  to: UnionNode,
  request: CopyRangeRequest,
): number {
  const target = writableOpen(view, to)
  const source = from.open ?? fail('EBADF')
  // The kernel reads and writes instead.
  if (from.blocks !== null || to.blocks !== null) fail('EOPNOTSUPP')
  const { offset, toOffset } = request
  const length = Math.min(request.length, MOST_COPIED)
  preserveAhead(to.branch!, target.fd, toOffset, toOffset + length)
  beforeChange(to.branch!, 'content', target.fd, '', to, toOffset, toOffset + length)
  to.branch!.written?.takeRange(target.fd, toOffset, toOffset + length, view.opened)
  const copied = keepMtime(view, to.branch!, target.fd, () =>
    sys.copyFileRange(source.fd, offset, target.fd, toOffset, length),
  )
  if (copied === -ERRNO.EXDEV || copied === -ERRNO.EINVAL) fail('EOPNOTSUPP')
  must(copied, 'copy_file_range')
  view.changedBytes(to, toOffset, copied, false)
  return copied
}

// struct statfs64 of a 64-bit machine: type, bsize, blocks, bfree, bavail, files, ffree,
// fsid, namelen, frsize: eight bytes each.
export function statfs(fd: number, buffer: Buffer): Statfs {
  must(sys.fstatfs(fd, buffer), 'statfs')
  const word = (at: number) => Number(buffer.readBigUInt64LE(at * 8))
  return {
    bsize: word(1),
    blocks: word(2),
    bfree: word(3),
    bavail: word(4),
    files: word(5),
    ffree: word(6),
    namelen: word(8),
    frsize: word(9),
  }
}

/** The same of a branch, which may have less room than its disk. */
export function statfsOf({ root, written }: Branch, buffer: Buffer): Statfs {
  const disk = statfs(root, buffer)
  if (written === null) return disk
  const own = (bytes: number) => Math.floor(bytes / disk.bsize)
  // A disk in memory without a limit has no figures.
  const left = (blocks: number) =>
    disk.blocks === 0 ? own(written.free) : Math.min(blocks, own(written.free))
  const { bfree, bavail } = disk
  return { ...disk, blocks: own(written.limit), bfree: left(bfree), bavail: left(bavail) }
}

/** Writes everything of the disk that a directory lies on. */
export function flushTree(dir: number): void {
  const fd = must(sys.reopen(dir, O.RDONLY | O.DIRECTORY), 'syncfs')
  const done = sys.syncfs(fd)
  sys.close(fd)
  must(done, 'syncfs')
}
