// The comparison: every case in every variant of a subject, answer by answer against a plain
// directory, then the whole view again after a remount, and the trees below untouched.
//
//   case ─▶ plain directory ─▶ answers ┐
//        ─▶ subject, new    ─▶ answers ├─▶ alike? one check an answer
//        ─▶ subject, below  ─▶ answers ┘
//
// Rule: the plain directory is the measure; where a case says what the answer must be, it is
// measured too.

import { mkdirSync } from 'node:fs'
import { removeTree } from '../../lib/host/remove-tree.ts'
import { AT_FDCWD } from '../../lib/host/sys.ts'
import { RealPlace } from '../behaviour/real-place.ts'
import { compareTrees, seeTree } from '../behaviour/walk.ts'
import type { Case, Groups } from './case.ts'
import { type Mountable, plain, type Subject, type Variant } from './subjects.ts'
import { type Answer, Trial } from './trial.ts'

/** How one group went in one subject: checks are answers. */
export interface Score {
  readonly group: string
  readonly checks: number
  readonly passed: number
  /** One line for each check that failed. */
  readonly failures: readonly string[]
}

/** What the plain directory answered: by group and title. */
export type Measure = ReadonlyMap<Case, readonly Answer[]>

/** Runs the cases in a plain directory. Its score counts the answers that are wanted. */
export async function measure(groups: Groups): Promise<{ measure: Measure; scores: Score[] }> {
  const found = new Map<Case, readonly Answer[]>()
  const runs = await runAll(plain, groups)
  for (const run of runs.runs) found.set(run.case, run.answers)
  const scores = score(groups, runs.runs, (run) =>
    run.answers.map(({ words, got, wanted }) =>
      wanted === null || wanted === got ? null : `${words} = ${got}, not ${wanted}`,
    ),
  )
  return { measure: found, scores }
}

/** Runs the cases in a subject, and compares. Two more rows: after a remount, and what lies below. */
export async function compare(
  subject: Subject,
  groups: Groups,
  measured: Measure,
): Promise<Score[]> {
  const { runs, after, below } = await runAll(subject, groups)
  const scores = score(groups, runs, (run) =>
    differences(measured.get(run.case) ?? [], run.answers),
  )
  return [...scores, whole('after a remount', after), whole('below', below)]
}

interface Run {
  readonly case: Case
  readonly group: string
  readonly variant: Variant
  readonly start: string
  readonly answers: readonly Answer[]
}

type Planned = Omit<Run, 'answers'>

interface Runs {
  readonly runs: readonly Run[]
  /** What a remount changed in the view; what changed in the trees below. */
  readonly after: Compared
  readonly below: Compared
}

interface Compared {
  readonly names: number
  readonly differences: readonly string[]
}

async function runAll(subject: Subject, groups: Groups): Promise<Runs> {
  const mountable = subject.make()
  try {
    const planned = plan(subject, groups).filter((each) => begin(mountable, each))
    const before = seeLowers(mountable)
    const top = await mountable.mount()
    try {
      const runs = planned.map((each) => ({ ...each, answers: answersOf(top, each) }))
      if (subject === plain) return { runs, after: NOTHING, below: NOTHING }
      const shown = seeAt(top)
      await mountable.umount()
      const shownAfter = seeAt(await mountable.mount())
      const changed = compareTrees(shown, shownAfter, subject.changeable)
      await mountable.umount()
      const touched = subject.writesBelow ? [] : compareTrees(before, seeLowers(mountable))
      return {
        runs,
        after: { names: shown.size, differences: changed },
        below: { names: subject.writesBelow ? 0 : before.size, differences: touched },
      }
    } finally {
      await mountable.umount()
    }
  } finally {
    mountable.remove()
  }
}

const NOTHING: Compared = { names: 0, differences: [] }

function plan(subject: Subject, groups: Groups): Planned[] {
  const root = process.geteuid?.() === 0
  return Object.entries(groups).flatMap(([group, cases]) =>
    cases
      .filter((each) => root || !each.needs?.includes('root'))
      .flatMap((each, i) => {
        // What nothing is made for begins the same everywhere.
        const variants = each.given === undefined ? subject.variants.slice(0, 1) : subject.variants
        return variants.map((variant) => {
          const start = `${group.replaceAll(/\W/g, '-')}-${i}-${variant}`
          return { case: each, group, variant, start }
        })
      }),
  )
}

/** Makes what a case begins with, where that lies below. False where it cannot lie there. */
function begin(mountable: Mountable, { case: { given }, variant, start }: Planned): boolean {
  const lower = mountable.lower[variant]
  if (lower === undefined) return true
  const at = `${lower}/${start}`
  mkdirSync(at)
  withPlace(at, (place) => given?.(place))
  // What its owner may not read cannot be imported into a layer.
  if (variant !== mountable.imported || !holdsHidden(at)) return true
  removeTree(AT_FDCWD, at)
  return false
}

const holdsHidden = (path: string): boolean =>
  [...seeAt(path).values()].some(({ kind, content }) => kind === 'unknown' || content === 'hidden')

function answersOf(top: string, run: Planned): readonly Answer[] {
  const at = `${top}/${run.start}`
  if (run.variant === 'new') mkdirSync(at)
  return withPlace(at, (place) => {
    if (run.variant === 'new') run.case.given?.(place)
    const trial = new Trial(place)
    try {
      run.case.trial(trial)
    } catch (cause) {
      const where = `${run.group}: ${run.case.title} (${run.variant})`
      const words = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
      trial.answers.push({ words: `${where} broke off`, got: words, wanted: 'an end' })
    }
    return trial.answers
  })
}

/** A place for the length of some work, under the usual umask. */
function withPlace<T>(at: string, work: (place: RealPlace) => T): T {
  const place = new RealPlace(at)
  try {
    return place.umask(0o022, () => work(place))
  } finally {
    place.close()
  }
}

const seeAt = (path: string) => withPlace(path, (place) => seeTree(place))

const seeLowers = (mountable: Mountable) =>
  new Map(
    Object.entries(mountable.lower).flatMap(([variant, path]) =>
      [...seeAt(path)].map(([name, seen]) => [`${variant}: ${name}`, seen] as const),
    ),
  )

/** For each answer of the measure: null where it is alike, else what differs. */
function differences(expected: readonly Answer[], got: readonly Answer[]): (string | null)[] {
  const count = Math.max(expected.length, got.length)
  return Array.from({ length: count }, (_, i) => {
    const [want, is] = [expected[i], got[i]]
    if (want?.words === is?.words && want?.got === is?.got) return null
    const say = (answer?: Answer) => (answer ? `${answer.words} = ${answer.got}` : 'nothing')
    return want?.words === is?.words
      ? `${say(is)}, not ${want?.got}`
      : `${say(is)}, not ${say(want)}`
  })
}

function score(
  groups: Groups,
  runs: readonly Run[],
  judge: (run: Run) => (string | null)[],
): Score[] {
  return Object.keys(groups).map((group) => {
    const judged = runs
      .filter((run) => run.group === group)
      .map((run) => ({ run, found: judge(run) }))
    const checks = judged.reduce((sum, { found }) => sum + found.length, 0)
    const failures = judged.flatMap(({ run, found }) =>
      found
        .filter((line) => line !== null)
        .map((line) => `${group}: ${run.case.title} (${run.variant}): ${line}`),
    )
    return { group, checks, passed: checks - failures.length, failures }
  })
}

const whole = (group: string, { names, differences }: Compared): Score => ({
  group,
  checks: names,
  passed: Math.max(0, names - differences.length),
  failures: differences.map((line) => `${group}: ${line}`),
})
