// The same drop-in with passthrough answers calls as a plain directory does.
//
// Needs root: an ordinary user's files are not passed through.

import t from 'tap'
import { conforms } from './conforms.ts'
import { oneLayer } from './subjects.ts'

await conforms(t, oneLayer('direct', 'passthrough'), { at: 3, of: 4 })
