// A plain directory behaves as every behaviour says: the proof of the suite.

import t from 'tap'
import { plain } from './subject-plain.ts'
import { behavesLikePosix } from './suite.ts'

await behavesLikePosix(t, plain)
