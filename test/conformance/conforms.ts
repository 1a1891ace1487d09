// One subject's conformance as tests: a sentence for each group.
//
// Rule: a test takes a share of the cases, each subject another one, so that all files together
// take each case about once; `npm run conformance` takes all.

import type { Test } from 'tap'
import type { Groups } from './case.ts'
import { compare, measure } from './compare.ts'
import { unknown } from './differs.ts'
import { GROUPS } from './groups.ts'
import type { Subject } from './subjects.ts'

/** Of every `of` cases the one at `at`. */
export interface Share {
  readonly at: number
  readonly of: number
}

/** Runs a share of all groups on a subject; fails with each answer that is not a plain directory's. */
export async function conforms(t: Test, subject: Subject, share: Share): Promise<void> {
  const groups = shareOf(share)
  const { measure: measured, scores } = await measure(groups)
  for (const { group, failures } of scores)
    t.same(failures, [], `plain directory: ${group} answers what is wanted`)
  for (const score of await compare(subject, groups, measured)) {
    const words = `${subject.name}: ${score.checks} answers of ${score.group}`
    t.same(unknown(subject.name, score), [], `${words} are those of a plain directory`)
  }
}

function shareOf({ at, of }: Share): Groups {
  return Object.fromEntries(
    Object.entries(GROUPS).map(([name, cases]) => [
      name,
      cases.filter(({ long }) => !long).filter((_, i) => i % of === at),
    ]),
  )
}
