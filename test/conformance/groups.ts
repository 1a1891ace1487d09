// All groups of cases, by the calls that they are about.

import type { Groups } from './case.ts'
import { chmod } from './group-chmod.ts'
import { chown } from './group-chown.ts'
import { mkdir } from './group-mkdir.ts'

export const GROUPS: Groups = { mkdir, chmod, chown }
