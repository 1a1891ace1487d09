// The kernel's table of mounts, as /proc/self/mountinfo shows it.
//
// Rule: reading it never touches a mounted filesystem, so it is safe also where a mount is
// dead or served by this very process. Paths are internal (bytes as latin1).

import { readFileSync } from 'node:fs'

export interface MountEntry {
  readonly mountPoint: string
  /** `ext4`, `fuse.svsfs`, … */
  readonly type: string
  readonly source: string
  /** Device of the filesystem: `major:minor`. The minor names it under /sys/fs/fuse/connections. */
  readonly device: string
  /** Options of the mount point and of the filesystem, joined by commas. */
  readonly options: string
}

/** All mounts of this process's namespace, oldest first. */
export function mountTable(): MountEntry[] {
  return readFileSync('/proc/self/mountinfo', 'latin1')
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
