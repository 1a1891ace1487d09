// Layers over a base answer calls as a plain directory does.

import t from 'tap'
import { conforms } from './conforms.ts'
import { threeLayers } from './subjects.ts'

await conforms(t, threeLayers, { at: 1, of: 4 })
