// All groups of cases, by the calls that they are about.

import type { Groups } from './case.ts'
import { FILE_GROUPS } from './groups-of-files.ts'
import { NAME_GROUPS } from './groups-of-names.ts'

export const GROUPS: Groups = { ...NAME_GROUPS, ...FILE_GROUPS }
