// All groups of cases, by the calls that they are about.

import type { Groups } from './case.ts'
import { mkdir } from './group-mkdir.ts'
import { FILE_GROUPS } from './groups-of-files.ts'

export const GROUPS: Groups = { mkdir, ...FILE_GROUPS }
