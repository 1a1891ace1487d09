// Medians, and how sure they are: 95 % intervals by bootstrap.
//
//   rounds of samples ─▶ draw rounds, and samples in each, again and again ─▶ 400 medians ─▶ the middle 95 %
//
// Rule: samples of one round are kin (one mount, one moment), so rounds are drawn first; two
// subjects are compared over the same drawn rounds. The draws are the same in every run.

/** Samples of one thing: one list a round. A round in which it was not measured is empty. */
export type Rounds = readonly (readonly number[])[]

export interface Interval {
  readonly middle: number
  readonly low: number
  readonly high: number
}

const DRAWS = 400

/** Fewer samples than this say nothing of their spread. */
const FEWEST = 3

/** The median with its interval; null where nothing was measured. */
export function medianOf(rounds: Rounds): Interval | null {
  const measured = rounds.filter((samples) => samples.length > 0)
  if (measured.length === 0) return null
  const random = randomness()
  const draws = Array.from({ length: DRAWS }, () =>
    median(drawRounds(measured.length, random).flatMap((r) => drawSamples(measured[r]!, random))),
  )
  return around(median(measured.flat()), draws)
}

/** How many times the cost of `ours` is that of `theirs`: above 1, we are faster. */
export function ratioOf(ours: Rounds, theirs: Rounds): Interval | null {
  const both = ours.flatMap((samples, r) =>
    samples.length > 0 && (theirs[r]?.length ?? 0) > 0 ? [r] : [],
  )
  if (both.length === 0) return null
  const at = (rounds: Rounds, drawn: readonly number[], pick: (s: readonly number[]) => number[]) =>
    median(drawn.flatMap((r) => pick(rounds[both[r]!]!)))
  const random = randomness()
  const pick = (samples: readonly number[]) => drawSamples(samples, random)
  const draws = Array.from({ length: DRAWS }, () => {
    const drawn = drawRounds(both.length, random)
    return at(theirs, drawn, pick) / at(ours, drawn, pick)
  })
  const all = both.map((_, r) => r)
  return around(at(theirs, all, (s) => [...s]) / at(ours, all, (s) => [...s]), draws)
}

export type Verdict = 'ahead' | 'level' | 'behind' | 'too few'

/** What the interval of a ratio says. */
export function verdictOf(ratio: Interval, samples: number): Verdict {
  if (samples < FEWEST) return 'too few'
  if (ratio.low > 1) return 'ahead'
  return ratio.high < 1 ? 'behind' : 'level'
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)
}

function around(middle: number, draws: readonly number[]): Interval {
  const sorted = draws.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))]!
  return { middle, low: Math.min(middle, at(0.025)), high: Math.max(middle, at(0.975)) }
}

const drawRounds = (count: number, random: () => number) =>
  Array.from({ length: count }, () => Math.floor(random() * count))

const drawSamples = (samples: readonly number[], random: () => number) =>
  samples.map(() => samples[Math.floor(random() * samples.length)]!)

/** Numbers of [0, 1), the same at every start (a linear congruential sequence). */
function randomness(): () => number {
  let state = 20_000
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}
