// Numbers and times as people read them.

export { plural, size } from '../daemon/text.ts'

/** A word as a shell takes it: quoted where it must be. */
export const shellWord = (word: string): string =>
  /^[\w.+,%-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`

const STEPS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ['year', 365 * 86_400],
  ['month', 30 * 86_400],
  ['week', 7 * 86_400],
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
]

let relative: Intl.RelativeTimeFormat | null = null

/** `3 days ago`, `yesterday`, `just now`. Milliseconds since 1970. */
export function ago(time: number, now = Date.now()): string {
  // Made when it is needed: it costs more than the rest of a command.
  relative ??= new Intl.RelativeTimeFormat('en', { numeric: 'auto' })
  const seconds = Math.round((time - now) / 1000)
  for (const [unit, length] of STEPS) {
    if (Math.abs(seconds) >= length) return relative.format(Math.round(seconds / length), unit)
  }
  return Math.abs(seconds) < 10 ? 'just now' : relative.format(seconds, 'second')
}

/** `2026-01-31 17:05:09`, in local time. */
export function clock(time: number): string {
  const date = new Date(time)
  const two = (number: number) => String(number).padStart(2, '0')
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-')
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')}`
}
