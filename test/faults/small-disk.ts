// Small disks for tests, which can be filled to the last byte or the last inode.
//
//   const disk = smallDisk(t, 'ext4', at)      mounted at `at`, gone with the test
//   const filling = fill(at, 'blocks')         … and what makes room again: filling.remove()

import { execFileSync } from 'node:child_process'
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  rmSync,
  truncateSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'

const MIB = 1024 * 1024
const SIZE = 24 * MIB
/** Inodes of a disk that is made to run out of them. */
const INODES = 1200

export type DiskType = 'tmpfs' | 'ext4'
export type Scarce = 'blocks' | 'inodes'

/** Mounts an empty disk at a directory, which is made. Needs root. */
export function mountSmallDisk(type: DiskType, at: string, scarce: Scarce, size = SIZE): void {
  mkdirSync(at)
  if (type === 'tmpfs') {
    const limit = scarce === 'blocks' ? `size=${size}` : `size=${4 * size},nr_inodes=${INODES}`
    execFileSync('mount', ['-t', 'tmpfs', '-o', limit, 'svsfs-test', at])
    return
  }
  const image = `${at}.img`
  closeSync(openSync(image, 'w'))
  truncateSync(image, scarce === 'blocks' ? size : 4 * size)
  const inodes = scarce === 'inodes' ? ['-N', String(INODES)] : []
  execFileSync('mkfs.ext4', ['-q', '-F', '-m', '0', '-b', '4096', ...inodes, image])
  execFileSync('mount', ['-o', 'loop,errors=remount-ro', image, at])
}

export function unmountSmallDisk(at: string): void {
  execFileSync('umount', ['-l', at])
  rmSync(`${at}.img`, { force: true })
}

export interface Filling {
  /** Takes what has become free since. */
  again(): void
  /** Makes room. */
  remove(): void
}

/** Takes all of one kind of room that a disk has, with files in `at`/fill. */
export function fill(at: string, scarce: Scarce): Filling {
  const dir = join(at, 'fill')
  mkdirSync(dir)
  let count = 0
  const again = () => {
    while (scarce === 'inodes' && fits(() => closeSync(openSync(join(dir, `${count}`), 'wx'))))
      count += 1
    if (scarce === 'inodes') return
    const fd = openSync(join(dir, 'bytes'), 'a')
    for (let piece = MIB; piece >= 1; piece = piece === 1 ? 0 : Math.ceil(piece / 16))
      while (fits(() => writeSync(fd, Buffer.alloc(piece, 1)) === piece || full()));
    closeSync(fd)
  }
  again()
  return {
    again,
    remove() {
      if (scarce === 'blocks') {
        const fd = openSync(join(dir, 'bytes'), 'r+')
        ftruncateSync(fd, 0)
        closeSync(fd)
      }
      rmSync(dir, { recursive: true })
    },
  }
}

function full(): never {
  throw Object.assign(new Error('a part was written'), { code: 'ENOSPC' })
}

function fits(act: () => unknown): boolean {
  try {
    act()
    return true
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ENOSPC') throw err
    return false
  }
}
