// The union without a mount answers random acts as a plain directory does, also under a kernel
// that forgets every node at once. announce.ts says how to run it for longer.
// Needs root: the modes of files would bind the plain directory, and not the union without a kernel

import t from 'tap'
import { exerciseAll } from './announce.ts'

await exerciseAll(t, [
  { subject: 'union-one-layer', trees: 12, files: 0 },
  { subject: 'union-three-layers', trees: 12, files: 0 },
])
