// Groups about what files are and hold: attributes, content, locks, programs.

import type { Groups } from './case.ts'
import { acls } from './group-acl.ts'
import { chmod } from './group-chmod.ts'
import { chown } from './group-chown.ts'
import { fallocate } from './group-fallocate.ts'
import { privileges } from './group-privileges.ts'
import { readwrite } from './group-readwrite.ts'
import { truncate } from './group-truncate.ts'
import { utimensat } from './group-utimensat.ts'
import { xattrs } from './group-xattr.ts'

export const FILE_GROUPS: Groups = {
  acls,
  chmod,
  chown,
  fallocate,
  privileges,
  readwrite,
  truncate,
  utimensat,
  xattrs,
}
