// The drop-in mount of one layer with several read-only trees.

import t from 'tap'
import { dropIn } from './subject-mount.ts'
import { behavesLikePosix } from './suite.ts'

await behavesLikePosix(t, dropIn({ name: 'mount of one layer', compareEvery: 2, compareFrom: 1 }))
