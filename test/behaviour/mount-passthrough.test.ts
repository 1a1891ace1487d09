// The drop-in mount of one layer, whose files the kernel reads and writes past the daemon.
//
// Needs root: an ordinary user's files are not passed through.

import t from 'tap'
import { dropIn } from './subject-mount.ts'
import { behavesLikePosix } from './suite.ts'

const KEEPS = 'who had it open for reading before its first change keeps the old file'

await behavesLikePosix(
  t,
  dropIn({
    name: 'mount with passthrough',
    dataPath: 'passthrough',
    compareEvery: 3,
    differs: {
      'a file opened for reading sees what is written after its rename': KEEPS,
      'a file written after the rename of its directory is changed in the new place': KEEPS,
      'an open file sees a write through another hard link': KEEPS,
    },
  }),
)
