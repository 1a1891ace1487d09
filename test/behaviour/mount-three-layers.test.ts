// A mount of three layers of a store over a base.

import t from 'tap'
import { store } from './subject-mount.ts'
import { behavesLikePosix } from './suite.ts'

// Over the remount root compares every other start directory, and those between on the mount of one
// layer; an ordinary user a share of them.
const compareEvery = process.geteuid?.() === 0 ? 2 : 4

await behavesLikePosix(t, store({ name: 'mount of three layers over a base', compareEvery }))
