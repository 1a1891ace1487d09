// An exercise as a test: its failures in full, its extent from the environment.
//
//   SEED=n            begins there (default: a fixed one for each file, and for each part)
//   RUNS=n            so many runs (default: few)
//   SUBJECT=words     only subjects whose key contains the words
//   EXERCISE=files    only that one: trees, files

import { tmpdir } from 'node:os'
import type { Test } from 'tap'
import { type Extent, exerciseFiles, exerciseTrees } from './exercise.ts'
import { type ExerciseSubject, SUBJECTS } from './subjects.ts'

const EXERCISES = { trees: exerciseTrees, files: exerciseFiles } as const

export interface Wish {
  readonly subject: keyof typeof SUBJECTS
  readonly trees: number
  readonly files: number
}

/** Runs each wish, as far as the environment lets it. `seed` is the default. */
export async function exerciseAll(t: Test, wishes: readonly Wish[], seed = 1): Promise<void> {
  // The measure is the disk that programs work on, not the memory that tests like.
  process.env.SVSFS_TEST_DIR ??= tmpdir()
  const { SEED, RUNS, SUBJECT = '', EXERCISE = '' } = process.env
  t.setTimeout(24 * 3600_000)
  for (const wish of wishes)
    for (const word of ['trees', 'files'] as const) {
      const runs = Number(RUNS ?? wish[word])
      if (!wish.subject.includes(SUBJECT) || !word.includes(EXERCISE) || runs === 0) continue
      const subject: ExerciseSubject = SUBJECTS[wish.subject]
      if (subject.needsRoot && process.geteuid?.() !== 0) continue
      await exercise(t, subject, word, { seed: Number(SEED ?? seed), runs })
    }
}

async function exercise(
  t: Test,
  subject: ExerciseSubject,
  word: keyof typeof EXERCISES,
  extent: Extent,
): Promise<void> {
  await t.test(
    `${subject.name}: random acts on ${word} do what they do on a plain directory`,
    async (t) => {
      const began = performance.now()
      const { cases, acts, failures } = await EXERCISES[word](subject, extent)
      const seconds = ((performance.now() - began) / 1000).toFixed(1)
      t.comment(`${cases} runs, ${acts} acts, ${seconds} s`)
      for (const failure of failures) {
        const [title = '', ...found] = failure.split('\n')
        t.fail(title, { found })
      }
      t.ok(acts > 0, 'acts were made')
    },
  )
}
