// Mounts of every kind answer random acts as a plain directory does. announce.ts says how to
// run it for longer, or one failure again.

import t from 'tap'
import { exerciseAll } from './announce.ts'

await exerciseAll(t, [
  { subject: 'one-layer', trees: 15, files: 5 },
  { subject: 'passthrough', trees: 8, files: 5 },
  { subject: 'three-layers', trees: 15, files: 5 },
  { subject: 'base-writable', trees: 8, files: 3 },
  { subject: 'forgetful', trees: 8, files: 3 },
  { subject: 'fuse-native', trees: 8, files: 0 },
])
