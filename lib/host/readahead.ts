// How far the kernel reads ahead in the files of a mount of ours.
//
// Its 128 KiB are made for disks. A request costs the same whatever it carries, so larger ones move
// more bytes in the same time: 512 KiB reads half as fast again as 128 (one large file, caller and
// daemon on one core), and 1 MiB no faster. Programs that read at random are not read ahead for.
//
// Rule: what the kernel agreed on with a mount (INIT) only lowers this, so it is set afterwards. Only
// root may; whoever may not has a slower mount.

import { writeFileSync } from 'node:fs'
import { errnoOf } from '../base/errno.ts'
import { mountAt } from './mount-table.ts'

const KIB = 512

/** Sets it for the mount at exactly this place; nothing happens where that cannot be. */
export function readAhead(mountPoint: string): void {
  const device = mountAt(mountPoint)?.device
  if (device === undefined) return
  try {
    writeFileSync(`/sys/class/bdi/${device}/read_ahead_kb`, `${KIB}`)
  } catch (err) {
    // No right to, no /sys, or one that may only be read.
    if (errnoOf(err) === null) throw err
  }
}
