// The drop-in of one layer answers calls as a plain directory does.

import t from 'tap'
import { conforms } from './conforms.ts'
import { oneLayer } from './subjects.ts'

await conforms(t, oneLayer(), { at: 0, of: 4 })
