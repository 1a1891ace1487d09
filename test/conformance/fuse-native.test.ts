// The drop-in through fuse-native answers calls as a plain directory does, or as DIFFERS says.

import t from 'tap'
import { conforms } from './conforms.ts'
import { oneLayer } from './subjects.ts'

await conforms(t, oneLayer('fuse-native'), { at: 0, of: 12 })
