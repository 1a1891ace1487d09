// Two plain directories answer random acts alike: what proves the exerciser itself.

import t from 'tap'
import { exerciseAll } from './announce.ts'

await exerciseAll(t, [
  { subject: 'plain', trees: 5, files: 2 },
  { subject: 'overlayfs', trees: 0, files: 0 },
])
