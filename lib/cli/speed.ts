// How fast work goes on, and how long it will take: from what it says of itself.
//
//   "compared 1200 names"          ─▶ 400 a second
//   "looked at 5 of 20 states"     ─▶ and 12 s left
//
// Rule: nothing is said of the first second.

export interface Step {
  readonly text: string
  /** How much is done, as the text counts it; null where it counts nothing. */
  readonly done: number | null
  readonly total: number | null
  /** A second. */
  readonly rate: number | null
  /** Seconds. */
  readonly left: number | null
}

const UNITS: Readonly<Record<string, number>> = {
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
}
const COUNTED = /^(\D*)(\d[\d.]*)(?: ([KMGT]iB)\b)?(?: of (\d[\d.]*)(?: ([KMGT]iB)\b)?)?/

export class Speed {
  #what = ''
  #begun = 0
  #first = 0

  of(text: string, now = Date.now()): Step {
    const [, what, count, unit = '', most, mostUnit = unit] = COUNTED.exec(text) ?? []
    if (what === undefined) return { text, done: null, total: null, rate: null, left: null }
    const done = Number(count) * (UNITS[unit] ?? 1)
    const total = most === undefined ? null : Number(most) * (UNITS[mostUnit] ?? 1)
    if (what !== this.#what || done < this.#first) {
      this.#what = what
      this.#begun = now
      this.#first = done
    }
    const seconds = (now - this.#begun) / 1000
    const rate = seconds < 1 || done === this.#first ? null : (done - this.#first) / seconds
    const left = rate === null || total === null ? null : Math.max(0, (total - done) / rate)
    return { text, done, total, rate, left }
  }
}

/** For people. */
export function speedWords({ text, rate, left }: Step): string {
  if (rate === null) return text
  const bytes = /\d (?:[KMGT]i)?B\b/.test(text)
  const fast = bytes ? `${rounded(rate / 2 ** 20)} MiB/s` : `${rounded(rate)}/s`
  return `${text}, ${fast}${left === null ? '' : `, ${clockWords(left)} left`}`
}

const rounded = (number: number): string =>
  number >= 10 ? String(Math.round(number)) : number.toPrecision(2)

function clockWords(seconds: number): string {
  const whole = Math.ceil(seconds)
  if (whole < 60) return `${whole} s`
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')} min`
}
