// The union answers random changes as a plain directory does, and shows the same after a
// remount. `SEED=n` in the environment repeats one run; `SEEDS=n` makes that many from
// there.
// Needs root: the modes of files would bind the plain directory, and not the union without a kernel

import t from 'tap'
import { drawAt, makeGround, removeGround } from './ground.ts'
import { InProcessPlace } from './in-process-place.ts'
import { actAlike, treesDiffer } from './random.ts'
import { RealPlace } from './real-place.ts'
import { type DrawnStack, drawOneLayer, drawThreeLayers } from './stacks.ts'
import { START } from './start.ts'
import { serve } from './subject-union.ts'

const first = Number(process.env.SEED ?? 1000)
const count = Number(process.env.SEEDS ?? (process.env.SEED === undefined ? 25 : 1))
const seeds = Array.from({ length: count }, (_, i) => first + i)
const ACTS = 120

async function actsAlike(
  draw: (root: string, starts: readonly string[]) => DrawnStack | Promise<DrawnStack>,
): Promise<string[]> {
  const root = makeGround()
  try {
    const starts = seeds.map((seed) => `s${seed}`)
    const { spec } = await draw(root, starts)
    for (const start of starts) drawAt(root, `plain-${start}`, START)
    let served = serve(spec, false)
    for (const seed of seeds) {
      const plain = new RealPlace(`${root}/plain-s${seed}`)
      const differences = actAlike(plain, new InProcessPlace(served.kernel, `s${seed}`), seed, ACTS)
      plain.close()
      if (differences.length > 0) return differences
    }
    served.end()
    served = serve(spec, false)
    for (const seed of seeds) {
      const plain = new RealPlace(`${root}/plain-s${seed}`)
      const differences = treesDiffer(plain, new InProcessPlace(served.kernel, `s${seed}`))
      plain.close()
      if (differences.length > 0) return [`seed ${seed}, after a remount`, ...differences]
    }
    served.end()
    return []
  } finally {
    removeGround(root)
  }
}

t.setTimeout(300_000)

await t.test('one layer answers random changes as a plain directory does', async (t) => {
  t.same(await actsAlike(drawOneLayer), [])
})

await t.test(
  'three layers over a base answer random changes as a plain directory does',
  async (t) => {
    t.same(await actsAlike(drawThreeLayers), [])
  },
)
