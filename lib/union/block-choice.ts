// Whether large files of a branch are worth having in blocks: asked of its disk, once.
//
//   fit       a hole stays one until that very page is written, and the disk says where they are
//   shares    FICLONE: then the copy of a whole file costs nothing, and blocks are not used
//
// Rule: what cannot be tried (a full disk) counts as "no", and is tried again.

import { ERRNO } from '../base/errno.ts'
import { nextData, nextHole } from '../host/copy.ts'
import { O, sys } from '../host/sys.ts'
import { BLOCK } from './block-map.ts'
import type { Branch } from './branch.ts'

/** As large as the files that it is for: memory disks take larger pages for them. */
const TRIAL = 1024 * 1024 * 1024
const AT = TRIAL / 2 + 3 * BLOCK

/** `temp`: a name that is free in `work`. */
export function isFitForBlocks(rw: Branch, work: number, temp: string): boolean {
  rw.fitForBlocks ??= withTemp(work, temp, (fd) => {
    if (sys.ftruncate(fd, TRIAL) < 0) return null
    const written = sys.pwrite(fd, Buffer.alloc(BLOCK, 1), BLOCK, AT)
    if (written !== BLOCK) return null
    return nextData(fd, 0, TRIAL) === AT && nextHole(fd, AT, TRIAL) === AT + BLOCK
  })
  return rw.fitForBlocks === true
}

/** True where a file can share its bytes with one of another branch, which `open` opens. */
export function canClone(
  rw: Branch,
  work: number,
  temp: string,
  from: Branch,
  open: () => number,
): boolean {
  const known = rw.clones.get(from)
  if (known !== undefined) return known
  const source = open()
  try {
    const can = withTemp(work, temp, (fd) => {
      const done = sys.clone(fd, source)
      return done === -ERRNO.ENOSPC || done === -ERRNO.EDQUOT ? null : done === 0
    })
    if (can !== null) rw.clones.set(from, can)
    return can === true
  } finally {
    sys.close(source)
  }
}

function withTemp<T>(work: number, temp: string, use: (fd: number) => T | null): T | null {
  const fd = sys.openat(work, temp, O.RDWR | O.CREAT | O.EXCL, 0o600)
  if (fd < 0) return null
  try {
    return use(fd)
  } finally {
    sys.close(fd)
    sys.unlinkat(work, temp)
  }
}
