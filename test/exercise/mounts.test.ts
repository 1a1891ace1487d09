// Mounts of every kind answer random acts as a plain directory does. announce.ts says how to
// run it for longer, or one failure again.

import t from 'tap'
import { exerciseAll } from './announce.ts'

await exerciseAll(t, [
  { subject: 'one-layer', trees: 8, files: 3 },
  { subject: 'passthrough', trees: 5, files: 3 },
  { subject: 'three-layers', trees: 8, files: 3 },
  { subject: 'base-writable', trees: 5, files: 2 },
  { subject: 'forgetful', trees: 5, files: 2 },
  { subject: 'fuse-native', trees: 4, files: 0 },
])
