// A directory of a tree by its path, one name after the other, following nothing.

import { must, O, sys } from '../host/sys.ts'

/** Descriptor (O_PATH) of the directory at `path` below `root`; '' is `root` again. Throws Errno. */
export function openBelow(root: number, path: string): number {
  const flags = O.PATH | O.DIRECTORY | O.NOFOLLOW
  let fd = must(sys.openat(root, '.', flags), path)
  for (const name of path.split('/').filter((part) => part !== '')) {
    const next = sys.openat(fd, name, flags)
    sys.close(fd)
    fd = must(next, path)
  }
  return fd
}
