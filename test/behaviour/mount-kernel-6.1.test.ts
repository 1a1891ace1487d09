// The same mount on a kernel that offers no more than Debian 12's own, 6.1.

import t from 'tap'
import { store } from './subject-mount.ts'
import { behavesLikePosix } from './suite.ts'

await behavesLikePosix(t, store({ name: 'mount on Linux 6.1', kernelCap: '6.1', compareEvery: 4 }))
