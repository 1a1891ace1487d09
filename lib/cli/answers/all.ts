// The shape of all that `--json` prints: what each command answers, how a failure is told.
//
//   {"ok":true,"data":…}                                           data: by the command's words, below
//   {"ok":false,"error":{"code","message","hint","exit"}}
//   {"progress":{"text","done","total","rate","left"}}             before them, with --progress
//
// Rule: a command in the table (table.ts) has its answer here, with every field; test/cli/answers.test.ts runs all
// of them. Nothing that a command does loads this file, so that it costs no time: tests and docs do.

import { z } from 'zod'
import type { Step } from '../speed.ts'
import { HOSTS } from './hosts.ts'
import { LAYERS } from './layers.ts'
import { MOUNTS } from './mounts.ts'
import { PLACES } from './places.ts'
import { count, of, text } from './shapes.ts'
import { STATES } from './states.ts'
import { UPKEEP } from './upkeep.ts'

/** By the words of the command: `layer create`. */
export const ANSWERS: Readonly<Record<string, z.ZodType>> = {
  ...HOSTS,
  ...LAYERS,
  ...MOUNTS,
  ...PLACES,
  ...STATES,
  ...UPKEEP,
}

/** The same for other programs, as JSON Schema. */
export const schemaOf = (command: string): unknown => z.toJSONSchema(ANSWERS[command]!)

/** What a command prints that has done what it was asked. */
export const answered = (data: z.ZodType): z.ZodType =>
  z.strictObject({ ok: z.literal(true), data })

/** What stands before that, a line for each step, with --progress. */
export const PROGRESS = of<{ progress: Step }>()(
  z.strictObject({
    progress: z.strictObject({
      text,
      done: z.number().nullable(),
      total: z.number().nullable(),
      rate: z.number().nullable(),
      left: z.number().nullable(),
    }),
  }),
)

/** What any command prints that has not. */
export const FAILED = z.strictObject({
  ok: z.literal(false),
  error: z.strictObject({
    code: z.string().regex(/^SVS_[A-Z_]+$/),
    message: z.string().min(1),
    hint: text.nullable(),
    exit: count.min(1),
  }),
})
