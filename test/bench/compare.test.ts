// What the benchmark makes of samples: intervals, verdicts, and what became slower since a kept result.

import t from 'tap'
import { compare } from '../../bench/compare.ts'
import { plots } from '../../bench/plots.ts'
import { merged, type Results, VERSION } from '../../bench/results.ts'
import { medianOf, ratioOf, verdictOf } from '../../bench/statistics.ts'

const near = (middle: number): number[][] =>
  [0.98, 1, 1.03].map((round) => [0.97, 0.99, 1, 1.01, 1.02].map((one) => middle * round * one))

const resultsOf = (svsfs: number, peer: number): Results => ({
  version: VERSION,
  machine: 'a machine',
  kernel: '6.18',
  node: 'v20',
  runs: [{ date: 'today', rows: 1, rounds: 3, minutes: 1, load: 0, busy: 0 }],
  dataPath: 'cached',
  disks: { tmpfs: 'tmpfs' },
  amounts: { names: 1000, batches: 5, large: 256, random: 2000, tree: 5000 },
  subjects: [],
  missing: {},
  cells: {
    'tmpfs one 1': {
      lookup: {
        svsfs: { rounds: near(svsfs), cpu: [] },
        'fuse-overlayfs': { rounds: near(peer), cpu: [] },
      },
    },
  },
  measures: {},
})

/** Runs `compare` with its report kept from the test's own output. */
function quietly(work: () => number): { status: number; said: string } {
  const write = process.stdout.write
  let said = ''
  process.stdout.write = ((text: string) => {
    said += text
    return true
  }) as typeof process.stdout.write
  try {
    return { status: work(), said }
  } finally {
    process.stdout.write = write
  }
}

t.test('the interval of a median holds it, and is the same at every call', async (t) => {
  const found = medianOf(near(10))!
  t.ok(found.low <= found.middle && found.middle <= found.high)
  t.ok(found.low > 9 && found.high < 11, `${found.low}–${found.high}`)
  t.same(medianOf(near(10)), found)
  t.equal(medianOf([[], []]), null)
})

t.test(
  'who takes half as long is ahead, who takes twice as long behind, who takes as long level',
  async (t) => {
    t.equal(verdictOf(ratioOf(near(10), near(20))!, 15), 'ahead')
    t.equal(verdictOf(ratioOf(near(20), near(10))!, 15), 'behind')
    t.equal(verdictOf(ratioOf(near(10), near(10))!, 15), 'level')
    t.equal(verdictOf(ratioOf([[10]], [[20]])!, 1), 'too few', 'one sample says nothing')
  },
)

t.test('rounds in which one of the two was left out are not compared', async (t) => {
  t.equal(ratioOf([[10], []], [[], [20]]), null)
  t.equal(ratioOf([[10], [1]], [[20], []])!.middle, 2)
})

t.test('a machine half as fast has made nothing slower', async (t) => {
  const { status } = quietly(() => compare(resultsOf(20, 40), resultsOf(10, 20)))
  t.equal(status, 0)
})

t.test(
  'what takes longer, measured by the peer beside it, is named and ends with status 1',
  async (t) => {
    const { status, said } = quietly(() => compare(resultsOf(15, 20), resultsOf(10, 20)))
    t.equal(status, 1)
    t.match(said, /slower: lookup \(tmpfs one 1\)/)
  },
)

t.test('one sample is not enough to call something slower', async (t) => {
  const now = resultsOf(15, 20)
  now.cells['tmpfs one 1']!.lookup!.svsfs = { rounds: [[15]], cpu: [] }
  t.equal(quietly(() => compare(now, resultsOf(10, 20))).status, 0)
})

t.test('a result with no row of the kept one does not pass as compared', async (t) => {
  const { status } = quietly(() => compare({ ...resultsOf(10, 20), cells: {} }, resultsOf(10, 20)))
  t.equal(status, 1)
})

t.test('a later run replaces what it measured and leaves the rest', async (t) => {
  const kept = resultsOf(10, 20)
  kept.cells['disk free 1'] = { mkdir: { svsfs: { rounds: near(5), cpu: [] } } }
  const both = merged(kept, resultsOf(11, 20))
  t.same(Object.keys(both.cells), ['tmpfs one 1', 'disk free 1'])
  t.same(both.cells['tmpfs one 1'], resultsOf(11, 20).cells['tmpfs one 1'])
  t.equal(both.runs.length, 2)
})

t.test('the picture reaches as far as its ratios, and its ends are powers of ten', async (t) => {
  const ends = (svsfs: number, peer: number) => {
    const [picture] = Object.values(plots({ results: resultsOf(svsfs, peer), rows: {} }))
    const labels = [...picture!.matchAll(/>([\d.,]+)×</g)].map(([, label]) => label)
    return [labels[0], labels.at(-1)]
  }
  t.same(ends(10, 10), ['0.1', '10'])
  t.same(ends(500, 10), ['0.01', '10'], 'far behind')
  t.same(ends(10, 20_000), ['0.1', '10,000'], 'far ahead')
})
