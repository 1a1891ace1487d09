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

/** libfuse 2 speaks of paths and of no callers, and has no request for some calls. */
const FUSE_NATIVE: readonly Exception[] = [
  {
    line: /^ch(own|mod): ch(own|mod) of one name of a file|^after a remount: chown-.*(nlink|[ug]id) was/,
    why: 'the other names of a file show its change a second later',
  },
  {
    line: /^ch(own|mod): f(chown of files|chmod of a file opened)/,
    why: 'an unlinked file is renamed aside, and a removed directory is gone',
  },
  {
    line: /^after a remount: .*: mtime was \d+000000, is \d+000000$/,
    why: 'a directory that changed is shown a second later',
  },
  {
    line: /^chown: (setuid and setgid of a|root gives a|.* that is another's)/,
    why: 'a chown of nothing is no request, and who changes a group is not told',
  },
]

/** By the subject's name. */
export const DIFFERS: Readonly<Record<string, readonly Exception[]>> = {
  'one layer, fuse-native': FUSE_NATIVE,
}

/** The failures of a score that nobody knows of. */
export function unknown(subject: string, score: Score): readonly string[] {
  const known = DIFFERS[subject] ?? []
  return score.failures.filter((failure) => !known.some(({ line }) => line.test(failure)))
}
