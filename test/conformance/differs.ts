// Answers that are known to be other than a plain directory's, with the reason: by subject, by
// what the failed check says. README.md tells users of those of svsfs.
//
// Rule: an exception names exactly what differs; one that nothing matches is itself a failure.

import type { Score } from './compare.ts'

export interface Exception {
  /** Matched against the line of a failed check. */
  readonly line: RegExp
  readonly why: string
}

/** By the subject's name. */
export const DIFFERS: Readonly<Record<string, readonly Exception[]>> = {}

/** The failures of a score that nobody knows of. */
export function unknown(subject: string, score: Score): readonly string[] {
  const known = DIFFERS[subject] ?? []
  return score.failures.filter((failure) => !known.some(({ line }) => line.test(failure)))
}
