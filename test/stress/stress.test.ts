// Eight processes act at random on a mount of three layers while layers come and go: it stays
// what they believe. `SEED=n` repeats a run, `SECONDS=n` makes it longer; `npm run stress` is
// the long form.

import t from 'tap'
import { storeOf } from '../daemon/store-of.ts'
import { stress } from './stress.ts'

const seed = Number(process.env.SEED ?? 1)
const seconds = Number(process.env.SECONDS ?? 12)

t.setTimeout(0)

await t.test(
  'a mount under load is what the processes believe, whatever goes on beside',
  async (t) => {
    const place = await storeOf(t)
    const { acts, turns, snapshots } = await stress(place, {
      seed,
      seconds,
      workers: 8,
      say: (line) => t.comment(line),
    })
    t.ok(
      acts > 0 && turns > 0 && snapshots > 0,
      `${acts} acts, ${turns} turns, ${snapshots} snapshots`,
    )
  },
)
