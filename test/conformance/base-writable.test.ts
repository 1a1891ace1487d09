// A base that is written answers calls as a plain directory does.

import t from 'tap'
import { conforms } from './conforms.ts'
import { baseWritable } from './subjects.ts'

await conforms(t, baseWritable, { at: 2, of: 4 })
