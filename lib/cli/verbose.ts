// What -v and -vv say of a failure beside its sentence.
//
// Rule: -v names causes, -vv the places in the program; nothing of it is said without being asked.

import { printable } from './output.ts'

/** How often the words ask for more; what follows `--` is another program's. */
export function verbosity(args: readonly string[]): number {
  const end = args.indexOf('--')
  const words = end === -1 ? args : args.slice(0, end)
  return words.reduce((sum, word) => {
    if (word === '--verbose') return sum + 1
    return /^-[qv]+$/.test(word) ? sum + word.split('v').length - 1 : sum
  }, 0)
}

/** Lines about what led to a failure. */
export function causesOf(failure: Error, verbosity: number): string[] {
  if (verbosity === 0) return []
  const lines: string[] = []
  for (let cause = failure.cause; cause instanceof Error; cause = cause.cause)
    lines.push(`because: ${printable(cause.message)}`)
  if (verbosity > 1)
    lines.push(
      ...(failure.stack ?? '')
        .split('\n')
        .slice(1)
        .map((line) => line.trim()),
    )
  return lines
}
