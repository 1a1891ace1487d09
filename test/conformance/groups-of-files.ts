// Groups about what files are and hold: attributes, content, locks, programs.

import type { Groups } from './case.ts'
import { chmod } from './group-chmod.ts'
import { chown } from './group-chown.ts'
import { fallocate } from './group-fallocate.ts'
import { truncate } from './group-truncate.ts'
import { utimensat } from './group-utimensat.ts'

export const FILE_GROUPS: Groups = { chmod, chown, fallocate, truncate, utimensat }
