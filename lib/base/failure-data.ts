// Failures that cross from one thread to another: a structured clone keeps an error's message
// and forgets its class.

import { Errno, errnoOf } from './errno.ts'
import { FAILURES, Failure, type FailureCode } from './failure.ts'

export interface FailureData {
  readonly message: string
  /** Code of a Failure, or null. */
  readonly code: string | null
  readonly hint: string | null
  /** Number of an Errno or of a system error of Node's, or null. */
  readonly errno: number | null
}

export function failureData(error: Error): FailureData {
  return {
    message: error.message,
    code: error instanceof Failure ? error.code : null,
    hint: error instanceof Failure ? error.hint : null,
    errno: errnoOf(error),
  }
}

/** The same error again, with its words. */
export function failureFrom({ message, code, hint, errno }: FailureData): Error {
  const isKnown = code !== null && code in FAILURES
  const error = isKnown
    ? new Failure(code as FailureCode)
    : errno !== null
      ? new Errno(errno)
      : new Failure('SVS_INTERNAL', message)
  if (isKnown || errno !== null) error.message = message
  if (error instanceof Failure) error.hint = hint
  return error
}
