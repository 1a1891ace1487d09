// All rows, in the order in which they run and are shown.

import { BYTES } from './bytes.ts'
import { CHANGES } from './changes.ts'
import { NAMES } from './names.ts'
import { NEW_DAEMON } from './new-daemon.ts'
import type { Row } from './row.ts'
import { SERVERS } from './servers.ts'
import { REAL_WORK } from './work.ts'

export const ROWS: Readonly<Record<string, Row>> = {
  ...NAMES,
  ...CHANGES,
  ...BYTES,
  ...REAL_WORK,
  ...SERVERS,
  ...NEW_DAEMON,
}
