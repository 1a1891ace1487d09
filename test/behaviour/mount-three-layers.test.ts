// A mount of three layers of a store over a base.

import t from 'tap'
import { store } from './subject-mount.ts'
import { behavesLikePosix } from './suite.ts'

// Over the remount root compares every start directory, an ordinary user a share of them.
const compareEvery = process.geteuid?.() === 0 ? 1 : 3

await behavesLikePosix(t, store({ name: 'mount of three layers over a base', compareEvery }))
