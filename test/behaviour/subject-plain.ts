// The plain directory: START as it is drawn. It proves the behaviours themselves.

import { drawAt, makeGround, removeGround } from './ground.ts'
import { RealPlace } from './real-place.ts'
import { START } from './start.ts'
import type { Subject } from './suite.ts'

export const plain: Subject = {
  name: 'plain directory',
  differs: {},
  async make(starts) {
    const root = makeGround()
    for (const start of starts) drawAt(root, start, START)
    return {
      place: (start) => new RealPlace(`${root}/${start}`),
      remount: null,
      lowers: [],
      close: async () => removeGround(root),
    }
  },
}
