// What is printed for people cannot steer their terminal.
// Runs once: no user matters to it.

import t from 'tap'
import { printable } from '../../lib/cli/output.ts'

t.test('control characters and turns of direction are made visible', async (t) => {
  t.equal(printable('a\x1b[31mb\nc\u202ed\u0085e'), 'a\ufffd[31mb\ufffdc\ufffdd\ufffde')
  t.equal(printable('grün 日本'), 'grün 日本')
})
