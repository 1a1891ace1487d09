// A mount of three layers of a store over a base.

import t from 'tap'
import { store } from './subject-mount.ts'
import { behavesLikePosix } from './suite.ts'

await behavesLikePosix(t, store({ name: 'mount of three layers over a base' }))
