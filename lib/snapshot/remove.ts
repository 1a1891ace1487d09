// Removing a tree that svsfs made itself (a stage, what a restore took away), of any depth.
//
// Rule: nothing is followed: every name is removed relative to its directory's descriptor.

import { ERRNO } from '../base/errno.ts'
import { shown } from '../base/path.ts'
import { DT, listDirectory } from '../host/directory.ts'
import { AT_FDCWD, AT_REMOVEDIR, must, O, sys } from '../host/sys.ts'

/** Removes a directory with all that lies in it; an absent one is fine. Throws Errno. */
export function removeTree(path: string): void {
  removeDirectory(AT_FDCWD, path)
}

function removeDirectory(parent: number, name: string): void {
  const fd = openWritable(parent, name)
  if (fd === null) return
  try {
    for (const entry of listDirectory(fd)) {
      if (entry.type === DT.DIR) removeDirectory(fd, entry.name)
      else must(sys.unlinkat(fd, entry.name), shown(entry.name))
    }
  } finally {
    sys.close(fd)
  }
  must(sys.unlinkat(parent, name, AT_REMOVEDIR), shown(name))
}

// An ordinary user's own directories may forbid even their owner to empty them.
function openWritable(parent: number, name: string): number | null {
  const path = sys.openat(parent, name, O.PATH | O.DIRECTORY | O.NOFOLLOW)
  if (path === -ERRNO.ENOENT) return null
  must(path, shown(name))
  try {
    if (process.geteuid?.() !== 0) must(sys.chmodFd(path, 0o700), shown(name))
    return must(sys.openat(path, '.', O.RDONLY | O.DIRECTORY), shown(name))
  } finally {
    sys.close(path)
  }
}
