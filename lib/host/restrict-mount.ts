// nosuid, nodev, noexec, noatime of one mount point, set after mounting.
//
// A remount with MS_BIND changes the mount point's own flags and never asks the filesystem.
// Root's alone: fusermount3 sets nosuid and nodev on an ordinary user's mounts by itself.

import { Errno } from '../base/errno.ts'
import { shown } from '../base/path.ts'
import { errno, libc } from './libc.ts'

// linux/mount.h
const FLAGS = { nosuid: 2, nodev: 4, noexec: 8, noatime: 1024 } as const
const MS_REMOUNT = 32
const MS_BIND = 4096

export type MountFlag = keyof typeof FLAGS

/** Throws Errno. `mountPoint` is internal (bytes as latin1). */
export function restrictMount(mountPoint: string, flags: readonly MountFlag[]): void {
  if (process.geteuid?.() !== 0) return
  const bits = flags.reduce((sum, flag) => sum | FLAGS[flag], MS_REMOUNT | MS_BIND)
  const target = Buffer.from(`${mountPoint}\0`, 'latin1')
  const nothing = Buffer.from('\0')
  if (libc.mount(nothing, target, nothing, bits, null) < 0)
    throw new Errno(errno(), `remount ${shown(mountPoint)}`)
}
