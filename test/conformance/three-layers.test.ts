// Layers over a base answer calls as a plain directory does; for an ordinary user, half as many.

import t from 'tap'
import { conforms } from './conforms.ts'
import { threeLayers } from './subjects.ts'

const of = process.geteuid?.() === 0 ? 4 : 8

await conforms(t, threeLayers, { at: 1, of })
