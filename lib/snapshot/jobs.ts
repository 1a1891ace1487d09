// The jobs of a snapshot thread: what each takes and gives, in one table.
//
// Rule: jobs and results are plain data, because they cross to the thread; a job reaches the
// catalogue through its depot alone.

import { check, mend } from './check.ts'
import { copyOut } from './copy-out.ts'
import type { Depot } from './depot.ts'
import { diffNow, diffStates } from './diff.ts'
import { fileOut } from './file-out.ts'
import { pathChange } from './path-change.ts'
import { plan } from './plan.ts'
import { recode } from './recode.ts'
import { type Progress, scan } from './scan.ts'
import { build, stage } from './stage.ts'

/** Called often; whoever passes it on does so at intervals. */
export type Report = (progress: Progress) => void

export const JOBS = {
  scan,
  plan,
  stage,
  build,
  copyOut,
  check,
  mend,
  diffStates,
  diffNow,
  fileOut,
  pathChange,
  recode,
} as const satisfies Record<string, (job: never, depot: Depot, report: Report) => Promise<unknown>>

export type JobName = keyof typeof JOBS
export type JobOf<Name extends JobName> = Parameters<(typeof JOBS)[Name]>[0]
export type ResultOf<Name extends JobName> = Awaited<ReturnType<(typeof JOBS)[Name]>>
