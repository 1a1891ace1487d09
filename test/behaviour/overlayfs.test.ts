// The kernel's overlayfs, over START cut into four branches, shows and does what a plain
// directory does: so the cut is right, and the format on disk is the kernel's.
//
// Needs root: it mounts overlayfs.

import t from 'tap'
import { overlayfs } from './subject-overlayfs.ts'
import { behavesLikePosix } from './suite.ts'

await behavesLikePosix(t, overlayfs)
