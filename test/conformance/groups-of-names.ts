// Groups of cases about names: making, removing and moving them, and walking along them.

import type { Groups } from './case.ts'
import { chdir } from './group-chdir.ts'
import { endings } from './group-endings.ts'
import { link } from './group-link.ts'
import { making } from './group-making.ts'
import { mkdir } from './group-mkdir.ts'
import { names } from './group-names.ts'
import { open } from './group-open.ts'
import { openRights } from './group-open-rights.ts'
import { paths } from './group-paths.ts'
import { rename } from './group-rename.ts'
import { rights } from './group-rights.ts'
import { sticky } from './group-sticky.ts'
import { symlink } from './group-symlink.ts'
import { unlink } from './group-unlink.ts'

export const NAME_GROUPS: Groups = {
  making,
  mkdir,
  unlink,
  link,
  symlink,
  rename,
  open,
  'open: rights': openRights,
  'chdir and access': chdir,
  names,
  paths,
  endings,
  rights,
  sticky,
}
