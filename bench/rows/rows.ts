// All rows, in the order in which they run and are shown.

import { BYTES } from './bytes.ts'
import { CHANGES } from './changes.ts'
import { NAMES } from './names.ts'
import type { Row } from './row.ts'

export const ROWS: Readonly<Record<string, Row>> = { ...NAMES, ...CHANGES, ...BYTES }
