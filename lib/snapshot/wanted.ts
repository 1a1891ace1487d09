// What a schema disliked, in our words: the field, and what is wanted of it.
//
//   priority must be a whole number
//
// Rule: the words of the schema library never reach a person; only messages that a schema of
// ours carries do.

import type { z } from 'zod'

type Issue = z.core.$ZodIssue

const KINDS: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
}

/** A clause about the first thing that is wrong. */
export function wantedBy(error: z.core.$ZodError): string {
  const issue = error.issues[0]
  if (issue === undefined) return 'it is not what it must be'
  const field = issue.path.length === 0 ? 'it' : issue.path.join('.')
  return `${field} ${wanted(issue)}`
}

function wanted(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${KINDS[issue.expected] ?? issue.expected}`
    case 'too_small':
      return bounded(issue.origin, 'least', Number(issue.minimum))
    case 'too_big':
      return bounded(issue.origin, 'most', Number(issue.maximum))
    case 'unrecognized_keys':
      return `must not hold ${issue.keys.join(', ')}`
    case 'invalid_value':
      return `must be one of ${issue.values.map(String).join(', ')}`
    default:
      // Ours begin like this; the library's own begin with "Invalid".
      return issue.message.startsWith('must ') ? issue.message : 'is not what it must be'
  }
}

function bounded(origin: string, end: 'least' | 'most', limit: number): string {
  if (origin === 'string' && end === 'least' && limit === 1) return 'must not be empty'
  const unit = origin === 'string' ? ' characters long' : origin === 'array' ? ' long' : ''
  return `must be at ${end} ${limit}${unit}`
}
