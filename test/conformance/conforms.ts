// One subject's conformance as tests: a sentence for each group.

import type { Test } from 'tap'
import type { Groups } from './case.ts'
import { compare, measure } from './compare.ts'
import { unknown } from './differs.ts'
import { GROUPS } from './groups.ts'
import type { Subject } from './subjects.ts'

const groups: Groups = Object.fromEntries(
  Object.entries(GROUPS).map(([name, cases]) => [name, cases.filter(({ long }) => !long)]),
)

/** Runs all groups, but not their long cases, on a subject; fails with each answer that is not a plain directory's. */
export async function conforms(t: Test, subject: Subject): Promise<void> {
  const { measure: measured, scores } = await measure(groups)
  for (const { group, failures } of scores)
    t.same(failures, [], `plain directory: ${group} answers what is wanted`)
  for (const score of await compare(subject, groups, measured)) {
    const words = `${subject.name}: ${score.checks} answers of ${score.group}`
    t.same(unknown(subject.name, score), [], `${words} are those of a plain directory`)
  }
}
