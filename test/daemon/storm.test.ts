// A daemon that is killed at random moments loses nothing that was answered, and leaves nothing
// half done. `SEED=n` begins elsewhere; `KILLS=n` says how often, some hundred for the long form.
// Needs root: the modes of files would bind the plain directory, and not root's store

import t from 'tap'
import { storeOf } from './store-of.ts'
import { Storm } from './storm.ts'

const seed = Number(process.env.SEED ?? 4711)
const kills = Number(process.env.KILLS ?? 5)

t.setTimeout(60_000 + kills * 30_000)

t.test(`killed ${kills} times, the store holds what was answered`, async (t) => {
  const storm = new Storm(await storeOf(t), seed)
  await storm.begin()
  for (let round = 0; round < kills; round++) {
    const wrong = await storm.round()
    t.same(wrong, [], `seed ${seed}, kill ${round + 1}`)
    if (wrong.length > 0) return
  }
})
