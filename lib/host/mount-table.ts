// The kernel's table of mounts, as /proc/self/mountinfo shows it.
//
// Rule: reading it never touches a mounted filesystem, so it is safe also where a mount is
// dead or served by this very process. Paths are internal (bytes as latin1).

import { readFileSync } from 'node:fs'

export interface MountEntry {
  /** As `mnt_id` in /proc/PID/fdinfo names it. */
  readonly id: string
  /** The directory of the filesystem that is seen there. */
  readonly root: string
  readonly mountPoint: string
  /** `ext4`, `fuse.svsfs`, … */
  readonly type: string
  readonly source: string
  /** Device of the filesystem: `major:minor`. The minor names it under /sys/fs/fuse/connections. */
  readonly device: string
  /** Options of the mount point and of the filesystem, joined by commas. */
  readonly options: string
}

/** All mounts of a process's namespace, oldest first, by the paths that it knows them by. */
export function mountTable(pid = 'self'): MountEntry[] {
  return readFileSync(`/proc/${pid}/mountinfo`, 'latin1')
    .split('\n')
    .filter((line) => line !== '')
    .map(readLine)
}

/** The mount on top at exactly this place, or null. */
export function mountAt(mountPoint: string): MountEntry | null {
  return mountTable().findLast((entry) => entry.mountPoint === mountPoint) ?? null
}

// id parent major:minor root mountpoint options [tags…] - type source options
function readLine(line: string): MountEntry {
  const [place = '', filesystem = ''] = line.split(' - ', 2)
  const before = place.split(' ')
  const after = filesystem.split(' ')
  return {
    id: before[0] ?? '',
    root: unescaped(before[3] ?? ''),
    mountPoint: unescaped(before[4] ?? ''),
    device: before[2] ?? '',
    type: after[0] ?? '',
    source: unescaped(after[1] ?? ''),
    options: [before[5], after[2]].filter((text) => text !== undefined && text !== '').join(','),
  }
}

// The kernel writes space, tab, newline, backslash and `#` as three octal digits.
const unescaped = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)))
