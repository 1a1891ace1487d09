// Groups about what files are and hold: attributes, content, locks, programs.

import type { Groups } from './case.ts'
import { acls } from './group-acl.ts'
import { chmod } from './group-chmod.ts'
import { chown } from './group-chown.ts'
import { fallocate } from './group-fallocate.ts'
import { ioctl } from './group-ioctl.ts'
import { locks } from './group-locks.ts'
import { mmap } from './group-mmap.ts'
import { privileges } from './group-privileges.ts'
import { programs } from './group-programs.ts'
import { ranges } from './group-ranges.ts'
import { readwrite } from './group-readwrite.ts'
import { truncate } from './group-truncate.ts'
import { utimensat } from './group-utimensat.ts'
import { watch } from './group-watch.ts'
import { xattrs } from './group-xattr.ts'

export const FILE_GROUPS: Groups = {
  acls,
  chmod,
  chown,
  fallocate,
  ioctl,
  locks,
  mmap,
  privileges,
  programs,
  ranges,
  readwrite,
  truncate,
  utimensat,
  watch,
  xattrs,
}
