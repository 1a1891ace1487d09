// One subject's conformance as tests: a sentence for each group.

import type { Test } from 'tap'
import { compare, measure } from './compare.ts'
import { unknown } from './differs.ts'
import { GROUPS } from './groups.ts'
import type { Subject } from './subjects.ts'

/** Runs all groups on a subject; fails with each answer that is not a plain directory's. */
export async function conforms(t: Test, subject: Subject): Promise<void> {
  const { measure: measured, scores } = await measure(GROUPS)
  for (const { group, failures } of scores)
    t.same(failures, [], `plain directory: ${group} answers what is wanted`)
  for (const score of await compare(subject, GROUPS, measured)) {
    const words = `${subject.name}: ${score.checks} answers of ${score.group}`
    t.same(unknown(subject.name, score), [], `${words} are those of a plain directory`)
  }
}
