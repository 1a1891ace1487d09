// What a store asks of its disk, tried in a throw-away directory when the store is made.
//
// Rule: a disk that cannot hold one of our marks is refused here, by name, and not found out
// later when a deletion is lost.

import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from '../base/failure.ts'
import { bytesOf } from '../base/path.ts'
import { Stat } from '../host/stat.ts'
import { AT_FDCWD, must, O, RENAME_EXCHANGE, S, sys } from '../host/sys.ts'
import { getXattr, setXattr } from '../host/xattr.ts'
import { type MarkPrefix, ownPrefix } from '../layer/marks.ts'

/** What the disk must do, in words, with the trial that returns whether it does. */
const TRIALS: readonly (readonly [string, (dir: number, prefix: MarkPrefix) => boolean])[] = [
  ['character devices 0/0 (the mark of a deleted file)', holdsWhiteout],
  ['extended attributes of directories (the mark of a hidden directory)', holdsMark],
  ['times in nanoseconds', holdsNanoseconds],
  ['exchanging two names in one step', exchanges],
  ['locks of whole files', locks],
]

/** Fails with SVS_DISK_UNFIT, naming everything that the disk under `root` lacks. */
export function probeDisk(root: string): void {
  const lacking = lackingOn(root)
  if (lacking.length > 0) throw new Failure('SVS_DISK_UNFIT', root, lacking.join(', '))
}

/** What the disk under a directory lacks, in words; nothing of the trials stays there. */
export const lackingOn = (root: string): string[] =>
  inThrowAway(root, (dir) =>
    TRIALS.filter(([, trial]) => !trial(dir, ownPrefix())).map(([what]) => what),
  )

/** True where files can share their blocks: copies cost no room and no time. */
export const sharesBlocks = (root: string): boolean => inThrowAway(root, clones)

function inThrowAway<T>(root: string, act: (dir: number) => T): T {
  const place = mkdtempSync(join(root, 'probe-'))
  const dir = must(sys.openat(AT_FDCWD, bytesOf(place), O.RDONLY | O.DIRECTORY), 'open')
  try {
    return act(dir)
  } finally {
    sys.close(dir)
    rmSync(place, { recursive: true, force: true })
  }
}

function holdsWhiteout(dir: number): boolean {
  return sys.mknodat(dir, 'whiteout', S.IFCHR, 0) >= 0
}

function holdsMark(dir: number, prefix: MarkPrefix): boolean {
  must(sys.mkdirat(dir, 'marked', 0o700), 'mkdir')
  const attribute = `${prefix}.svsfs.probe`
  if (setXattr(dir, 'marked', attribute, Buffer.from('y')) < 0) return false
  const value = getXattr(dir, 'marked', attribute)
  return typeof value !== 'number' && value.toString() === 'y'
}

const PROBED_NSEC = 123_456_789

function holdsNanoseconds(dir: number): boolean {
  must(sys.mkdirat(dir, 'timed', 0o700), 'mkdir')
  must(sys.utimensat(dir, 'timed', 1, 0, 1, PROBED_NSEC), 'utimensat')
  const stat = new Stat()
  must(sys.stat(dir, 'timed', stat), 'statx')
  return stat.mtimeNsec === PROBED_NSEC
}

function exchanges(dir: number): boolean {
  must(sys.mkdirat(dir, 'one', 0o700), 'mkdir')
  must(sys.mkdirat(dir, 'two', 0o700), 'mkdir')
  return sys.renameat(dir, 'one', dir, 'two', RENAME_EXCHANGE) >= 0
}

function locks(dir: number): boolean {
  const fd = must(sys.openat(dir, 'lock', O.RDWR | O.CREAT, 0o600), 'open')
  const locked = sys.flock(fd, 2 | 4)
  sys.close(fd)
  return locked >= 0
}

function clones(dir: number): boolean {
  const flags = O.RDWR | O.CREAT
  const from = must(sys.openat(dir, 'from', flags, 0o600), 'open')
  const to = must(sys.openat(dir, 'to', flags, 0o600), 'open')
  const cloned = sys.clone(to, from)
  sys.close(from)
  sys.close(to)
  return cloned >= 0
}
