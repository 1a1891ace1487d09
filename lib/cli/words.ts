// Numbers and times as people read them.

export { plural, size } from '../daemon/text.ts'

/** A word as a shell takes it: quoted where it must be. */
export const shellWord = (word: string): string =>
  /^[\w.+,%-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`

const STEPS: readonly (readonly [unit: string, seconds: number, one: readonly [string, string]])[] =
  [
    ['year', 365 * 86_400, ['last year', 'next year']],
    ['month', 30 * 86_400, ['last month', 'next month']],
    ['week', 7 * 86_400, ['last week', 'next week']],
    ['day', 86_400, ['yesterday', 'tomorrow']],
    ['hour', 3600, ['1 hour ago', 'in 1 hour']],
    ['minute', 60, ['1 minute ago', 'in 1 minute']],
  ]

/** `3 days ago`, `yesterday`, `just now`. Milliseconds since 1970. */
export function ago(time: number, now = Date.now()): string {
  const seconds = Math.round((time - now) / 1000)
  // Not by Intl.RelativeTimeFormat, which takes longer to load than a command to run.
  const far = (count: number, unit: string) =>
    count < 0 ? `${-count} ${unit}s ago` : `in ${count} ${unit}s`
  for (const [unit, length, [last, next]] of STEPS) {
    if (Math.abs(seconds) < length) continue
    const count = Math.round(seconds / length)
    if (Math.abs(count) > 1) return far(count, unit)
    return count < 0 ? last : next
  }
  return Math.abs(seconds) < 10 ? 'just now' : far(seconds, 'second')
}

/** `2026-01-31 17:05:09`, in local time. */
export function clock(time: number): string {
  const date = new Date(time)
  const two = (number: number) => String(number).padStart(2, '0')
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-')
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')}`
}
