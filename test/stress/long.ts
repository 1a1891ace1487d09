// npm run stress -- [--minutes 10] [--seed N] [--workers 8]: the stress of the tests at length, in
// rounds of a minute, each with a store and a seed of its own.
//
// Rule: the first round that fails ends it, and its seed is in the message.

import { parseArgs } from 'node:util'
import { storeOf } from '../daemon/store-of.ts'
import { stress } from './stress.ts'

const ROUND = 60

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    workers: { type: 'string', default: '8' },
  },
})

async function round(seed: number, seconds: number): Promise<void> {
  let close = async (): Promise<void> => {}
  const place = await storeOf({
    teardown(act) {
      close = act
    },
  })
  const say = (line: string) => console.log(`seed ${seed}: ${line}`)
  // Ctrl-C: what is mounted goes with the round, which fails by that.
  const interrupted = () => void close()
  process.once('SIGINT', interrupted)
  try {
    const workers = Number(values.workers)
    const { acts, turns, snapshots } = await stress(place, { seed, seconds, workers, say })
    say(`passed: ${acts} acts, ${turns} turns of layers, ${snapshots} snapshots`)
  } finally {
    process.off('SIGINT', interrupted)
    await close()
  }
}

const ends = Date.now() + Number(values.minutes) * 60_000
for (let seed = Number(values.seed); Date.now() < ends; seed++) {
  const left = (ends - Date.now()) / 1000
  await round(seed, Math.min(ROUND, Math.max(10, left)))
}
