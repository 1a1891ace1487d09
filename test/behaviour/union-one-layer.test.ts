// The union of one layer with three read-only trees, in this process.

import t from 'tap'
import { drawOneLayer } from './stacks.ts'
import { union } from './subject-union.ts'
import { behavesLikePosix } from './suite.ts'

await behavesLikePosix(
  t,
  union({ name: 'union of one layer', forgetful: false, draw: drawOneLayer }),
)
