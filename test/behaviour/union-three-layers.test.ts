// The union of three layers over a base, in this process, under a kernel that forgets every
// node at once.

import t from 'tap'
import { drawThreeLayers } from './stacks.ts'
import { union } from './subject-union.ts'
import { behavesLikePosix } from './suite.ts'

await behavesLikePosix(
  t,
  union({ name: 'union of three layers over a base', forgetful: true, draw: drawThreeLayers }),
)
