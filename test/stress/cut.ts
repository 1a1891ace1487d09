// Writes of which every instant leaves a known picture, to hold snapshots against.
//
//   step n   log     line n appended, closed
//            last    n, in a new file renamed over the old one
//            n-<n>   made; n-<n-4> removed
//
// Rule: one worker alone writes a cut, in this order. A consistent picture has the log at L,
// `last` at L or L-1, and the newest name at `last` or one before.

import assert from 'node:assert/strict'
import { O } from '../../lib/host/sys.ts'
import { has, names, put, text, using } from '../behaviour/act.ts'
import type { Place } from '../behaviour/place.ts'

const KEPT = 4

export function cutStep(place: Place, n: number): void {
  using(place.open('log', O.WRONLY | O.CREAT | O.APPEND, 0o644), (file) => file.write(`${n}\n`))
  put(place, 'last.new', `${n}`)
  place.rename('last.new', 'last')
  put(place, `n-${n}`, `${n}`)
  if (n > KEPT) place.unlink(`n-${n - KEPT}`)
}

/** The step that a picture shows as done, and the last one that it shows as begun. */
export function checkCut(place: Place): { done: number; begun: number } {
  const lines = has(place, 'log') ? text(place, 'log').split('\n').slice(0, -1) : []
  for (const [at, line] of lines.entries()) assert.equal(line, `${at + 1}`, 'the log has a gap')
  const begun = lines.length
  const last = has(place, 'last') ? Number(text(place, 'last')) : 0
  assert.ok(last === begun || last === begun - 1, `last is ${last}, and the log is at ${begun}`)
  const made = names(place, '')
    .filter((name) => name.startsWith('n-'))
    .map((name) => Number(name.slice(2)))
    .sort((a, b) => a - b)
  const newest = made.at(-1) ?? 0
  assert.ok(
    newest === last || newest === last - 1,
    `n-${newest} is the newest, and last is ${last}`,
  )
  for (const [at, n] of made.entries()) {
    assert.equal(n, newest - made.length + 1 + at, `there is a gap in n-*: ${made.join(' ')}`)
    if (n < newest) assert.equal(text(place, `n-${n}`), `${n}`)
  }
  const whole = Math.min(newest, KEPT)
  assert.ok(made.length === whole || made.length === whole + 1, `n-* are ${made.join(' ')}`)
  return { done: last, begun }
}
