// A failure in the words that cross the socket, and back.
//
// Rule: codes, sentences and exit statuses come from the FAILURES table, on both ends.

import type { z } from 'zod'
import { FAILURES, Failure, type FailureCode } from '../base/failure.ts'
import { wantedBy } from '../snapshot/wanted.ts'
import type { ErrorWords } from './protocol.ts'

/** What a person is told of anything that was thrown. */
export function errorWords(err: unknown): ErrorWords {
  const { code, message, hint, exit } = err instanceof Failure ? err : asFailure(err)
  return { code, message, hint, exit }
}

/** Whether something failed because the disk has no room. */
export const isDiskFull = (err: unknown): boolean => errorWords(err).code === 'SVS_DISK_FULL'

/** The failure that `words` tell of; of an unknown code (a newer daemon's) the text is kept. */
export function failureOf(words: ErrorWords): Failure {
  if (!Object.hasOwn(FAILURES, words.code)) return new Failure('SVS_INTERNAL', words.message)
  const failure = new Failure(words.code as FailureCode)
  failure.message = words.message
  failure.hint = words.hint ?? null
  return failure
}

function asFailure(err: unknown): Failure {
  const { code, path } = (err ?? {}) as NodeJS.ErrnoException
  const message = plainWords(err instanceof Error ? err.message : String(err))
  const cause = { cause: err }
  if (code === 'ENOSPC' || code === 'EDQUOT') return new Failure('SVS_DISK_FULL', message, cause)
  if (code === 'EACCES' || code === 'EPERM') return new Failure('SVS_FORBIDDEN', message, cause)
  if (code === 'ENOENT' && path !== undefined) return new Failure('SVS_PATH_NOT_FOUND', path, cause)
  return new Failure('SVS_INTERNAL', message, cause)
}

/** `/a/b: permission denied (open, EACCES)`: what Node says the other way round. */
function plainWords(message: string): string {
  const [, code, why, call, from, to] =
    /^(E[A-Z0-9]+): (.*?), (\w+)(?: '(.*?)'(?: -> '(.*)')?)?$/s.exec(message) ?? []
  if (code === undefined) return message
  const where = from === undefined ? '' : `${to === undefined ? from : `${from} to ${to}`}: `
  return `${where}${why} (${call}, ${code})`
}

/** Parameters as the schema wants them; SVS_BAD_REQUEST names the field it disliked. */
export function checked<T>(schema: z.ZodType<T>, what: string, value: unknown): T {
  const read = schema.safeParse(value)
  if (read.success) return read.data
  throw new Failure('SVS_BAD_REQUEST', what, wantedBy(read.error))
}
