// Every act of the union, with a call by which it changes the disk failing, or being the last of a
// process that is killed. Of seven calls one is tried; `EVERY=1` tries each call with each fault,
// `ACT=words` the acts whose title has these words.

import t from 'tap'
import { ACTS } from './acts.ts'
import { EveryCall } from './every-call.ts'

t.setTimeout(3_600_000)

const wanted = ACTS.filter(({ title }) => title.includes(process.env.ACT ?? ''))
const share = process.env.EVERY === '1' ? 0 : process.env.ACT === undefined ? 7 : 1

for (const shape of ['layers', 'drop-in'] as const) {
  await t.test(`${shape}: killed or failing at a call, an act is done or undone`, async (t) => {
    const every = new EveryCall(shape)
    t.teardown(() => every.close())
    await every.draw()
    for (const act of wanted) {
      if (act.layered && shape === 'drop-in') continue
      t.same(every.try(act, share), [], act.title)
    }
  })
}
