// The random exerciser: the same acts on a plain directory and on a subject, drawn from a seed,
// and shrunk to the fewest that still show a difference.
//
//   seed ─▶ lot of 25 runs ─▶ run: a fresh start directory, some dozens of acts
//        ─▶ lot of 25 runs        └─▶ differs? the acts are shrunk, each time on a fresh start
//           …                  └─▶ in the end: lower trees as they were, the same after a remount
//
// Rule: a failure says all that repeats it. A lot that fails is given up, the next one begun.

import fc from 'fast-check'
import type { Tree } from '../behaviour/draw.ts'
import { Arena } from './arena.ts'
import type { Pair } from './pair.ts'
import { Difference } from './pair.ts'
import { FILES, TREE } from './start-tree.ts'
import type { ExerciseSubject } from './subjects.ts'
import { fileActs, type Made, treeActs, type Vocabulary } from './vocabulary.ts'

export interface Extent {
  readonly seed: number
  readonly runs: number
  /** Ends it early: no lot is begun after so long. */
  readonly seconds?: number
}

export interface Outcome {
  readonly cases: number
  readonly acts: number
  readonly failures: readonly string[]
}

/** Names above all: a small tree of every kind, many names, descriptors that outlive them. */
export const exerciseTrees = (subject: ExerciseSubject, extent: Extent): Promise<Outcome> =>
  exercise(subject, extent, {
    word: 'trees',
    tree: TREE,
    acts: treeActs,
    most: 100,
    wholeEvery: 10,
  })

/** Bytes above all: few files, several descriptors and mappings of each, hundreds of acts. */
export const exerciseFiles = (subject: ExerciseSubject, extent: Extent): Promise<Outcome> =>
  exercise(subject, extent, {
    word: 'files',
    tree: FILES,
    acts: fileActs,
    most: 250,
    wholeEvery: 25,
  })

interface Plan {
  readonly word: string
  readonly tree: Tree
  readonly acts: Vocabulary
  /** Acts of one run, at most. */
  readonly most: number
  readonly wholeEvery: number
}

/** Runs that share a mount. */
const LOT = 25
/** Beyond what failing lots show, more would only take time. */
const MOST_FAILURES = 5

class MakeAct implements fc.Command<Pair, Pair> {
  readonly #made: Made

  constructor(made: Made) {
    this.#made = made
  }

  check(pair: Readonly<Pair>): boolean {
    return pair.can(this.#made)
  }

  run(pair: Pair): void {
    pair.perform(this.#made)
  }

  toString(): string {
    const { act, caller, umask } = this.#made
    const as = caller === null ? '' : ` as ${[caller.uid, caller.gid, ...caller.groups].join(':')}`
    return `${act.words}${as}${umask === 0o022 ? '' : ` umask ${umask.toString(8)}`}`
  }
}

async function exercise(subject: ExerciseSubject, extent: Extent, plan: Plan): Promise<Outcome> {
  const began = performance.now()
  const ends = began + (extent.seconds ?? Number.POSITIVE_INFINITY) * 1000
  const outcome = { cases: 0, acts: 0, failures: [] as string[] }
  for (let first = 0; first < extent.runs; first += LOT) {
    if (performance.now() > ends || outcome.failures.length >= MOST_FAILURES) break
    const seed = extent.seed + first
    const lot = new ExerciseLot(subject, plan, { seed, runs: Math.min(LOT, extent.runs - first) })
    const failure = await lot.run()
    outcome.cases += lot.cases
    outcome.acts += lot.acts
    if (failure !== null) outcome.failures.push(failure)
  }
  return outcome
}

class ExerciseLot {
  readonly #subject: ExerciseSubject
  readonly #plan: Plan
  readonly #extent: Extent
  cases = 0
  acts = 0

  constructor(subject: ExerciseSubject, plan: Plan, extent: Extent) {
    this.#subject = subject
    this.#plan = plan
    this.#extent = extent
  }

  /** Answers what failed, with all that repeats it; null where nothing did. */
  async run(): Promise<string | null> {
    const arena = this.#arena()
    try {
      const { seed, runs } = this.#extent
      const shrunk = await this.#check(arena, { seed, numRuns: runs }, false)
      if (shrunk !== null) return shrunk
      const wrong = await arena.check()
      for (const [run, lines] of wrong) return await this.#remounting(run, lines)
      return null
    } finally {
      await arena.close()
    }
  }

  #arena(): Arena {
    const { traits, subject, shows } = this.#subject
    const size = this.#extent.runs
    const tree = shows(this.#plan.tree)
    return new Arena(subject(tree), tree, {
      size,
      links: traits.has('links'),
    })
  }

  /** Repeats one run with a remount of its own at its end, so that it can be shrunk. */
  async #remounting(run: number, lines: readonly string[]): Promise<string> {
    const { seed } = this.#extent
    const said = [`${this.#name()} seed ${seed}, run ${run}:`, ...lines].join('\n')
    if (run < 0) return said
    const arena = this.#arena()
    try {
      const shrunk = await this.#check(arena, { seed, path: String(run), numRuns: run + 1 }, true)
      return `${said}\n${shrunk ?? '(not so when run alone)'}`
    } finally {
      await arena.close()
    }
  }

  async #check(
    arena: Arena,
    how: fc.Parameters<unknown>,
    remount: boolean,
  ): Promise<string | null> {
    const { traits } = this.#subject
    const { acts, most, wholeEvery } = this.#plan
    const commands = fc.commands([acts(traits).map((made) => new MakeAct(made))], {
      maxCommands: most,
      size: 'max',
    })
    const times = traits.has('times') ? fc.constantFrom(false, false, true) : fc.constant(false)
    const property = fc.asyncProperty(commands, times, async (list, watch) => {
      const pair = await arena.next({ traits, times: watch, wholeEvery })
      try {
        fc.modelRun(() => ({ model: pair, real: pair }), list)
        if (remount) await pair.remount()
        else pair.compareWhole()
      } finally {
        this.cases++
        this.acts += pair.made
        pair.close()
      }
    })
    const details = await fc.check(property, { ...(how as object), endOnFailure: false })
    if (!details.failed) return null
    return this.#report(details, remount)
  }

  #report(
    details: fc.RunDetails<[Iterable<fc.Command<Pair, Pair>>, boolean]>,
    remount: boolean,
  ): string {
    const [list, times] = details.counterexample ?? [[], false]
    const err = details.errorInstance
    const why =
      err instanceof Difference ? err.message : err instanceof Error ? err.stack : String(err)
    const way = /replayPath="(.*)"/.exec(String(list))?.[1] ?? ''
    const notes = `path ${details.counterexamplePath}, replayPath ${way}${times ? ', times watched' : ''}`
    return [
      `${this.#name()} seed ${details.seed}, ${notes}:`,
      ...[...list].map((command) => `  ${command}`),
      ...(remount ? ['  remount'] : []),
      String(why),
    ].join('\n')
  }

  #name(): string {
    return `${this.#subject.name}, ${this.#plan.word}:`
  }
}
