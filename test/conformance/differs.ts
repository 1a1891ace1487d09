// Answers that are known to be other than a plain directory's, with the reason: by subject, by
// what the failed check says. README.md tells users of those of svsfs.
//
// Rule: an exception names what differs, and no more.

import type { Score } from './compare.ts'

export interface Exception {
  /** Matched against the line of a failed check. */
  readonly line: RegExp
  readonly why: string
}

/** What the kernel's FUSE does before svsfs is asked. */
const FUSE: readonly Exception[] = [
  {
    line: /^fallocate: fallocate of mode (8|32) /,
    why: 'FUSE has no FALLOC_FL_COLLAPSE_RANGE and no FALLOC_FL_INSERT_RANGE: EOPNOTSUPP',
  },
  {
    line: /^fallocate: fallocate moves mtime .* = "f: mtime ctime", not "f: none"$/,
    why: 'tmpfs moves no times where it has nothing to do',
  },
  {
    line: /^acls: chmod of an ACL of what a mode says .* = "[fd]: (ctime|none)", not/,
    why: 'the kernel moves ctime also where an ACL is taken away that is not there',
  },
  {
    line: /^ioctl: ioctl FS_IOC_(GETFLAGS|GETVERSION|FSGETXATTR|FIEMAP) .* = (ENOTTY|EOPNOTSUPP), not/,
    why: "flags of ext4 and where blocks lie are the disk's own matter: lsattr(1) and filefrag(8) see none",
  },
  {
    line: /^ioctl: a file handle finds .* unlinked = "CONTENT", not ESTALE$/,
    why: 'the kernel finds a removed file by its handle until it drops it from its cache',
  },
  {
    line: /^mmap: a shared mapping .* = "f: mtime ctime", not "f: none"$/,
    why: 'tmpfs moves no times where a mapping is written',
  },
  {
    line: /^readwrite: offsets before.* = 4611686018427387904, not EINVAL$/,
    why: 'a file of FUSE may be longer than the disk allows: EFBIG comes when pages are written back',
  },
  {
    line: /^privileges: setuid and setgid after (zeroing|punching|fallocate|copy_file).* = file \d?[67]\d\d /,
    why: 'tmpfs leaves setuid and setgid where ext4 does not',
  },
  {
    line: /^privileges: capabilities after (writing a mapping|zeroing)/,
    why: 'writing back the pages of a mapping takes the capabilities; tmpfs keeps them over zeroing',
  },
  {
    line: /^truncate: truncate to the size that a file has moves its times/,
    why: 'the kernel keeps the times of files, and moves none where the size stays',
  },
  {
    line: /^utimensat: each moment on a file .*: times of n = "(15032385535000000000|-2147483648000000000) /,
    why: 'a moment that the disk cannot hold is cut to its range once the file leaves the cache',
  },
]

/** Who has a file open for reading before its first change keeps the old one. */
const PASSED: readonly Exception[] = [
  {
    line: /^unlink: a file open to read .* \(below\): open again( to cut)? = ESTALE/,
    why: 'what is passed through to a reader is never opened for writing',
  },
  {
    line: /^unlink: a file open to read .* \(below\): /,
    why: 'and so is not cut to nothing by the call before',
  },
  {
    line: /^(truncate: other descriptors see a cut at once|readwrite: a file without a name .*) \(below\): #1\./,
    why: 'a reader of what lies below goes on with that',
  },
  {
    line: /^mmap: a mapping for reading sees what another writes later \(below\): (after|and then) = /,
    why: 'and so does who has it mapped',
  },
  {
    line: /^locks: (flock by descriptor, also over a copy-up|record locks .* over a copy-up|leases).* \(below\): /,
    why: 'and has locks on that',
  },
]

/**
 * By the subject's name. The kernel's overlayfs is there to compare with; what libfuse 2 cannot
 * is named by behaviour (test/behaviour/mount-fuse-native.test.ts).
 */
export const DIFFERS: Readonly<Record<string, readonly Exception[]>> = {
  'plain directory': [],
  'one layer': FUSE,
  'one layer, passthrough': [...FUSE, ...PASSED],
  'layers over a base': FUSE,
  'writable base': FUSE,
}

/** The failures of a score that nobody knows of. Subjects without a list are shown, not judged. */
export function unknown(subject: string, score: Score): readonly string[] {
  const known = DIFFERS[subject]
  if (known === undefined) return []
  return score.failures.filter((failure) => !known.some(({ line }) => line.test(failure)))
}
