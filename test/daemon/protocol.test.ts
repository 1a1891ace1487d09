// Cutting a stream into lines, however it arrives.
// Runs once: no user matters to it.

import t from 'tap'
import { Lines } from '../../lib/daemon/protocol.ts'

function cut(limit: number, ...parts: (string | Buffer)[]) {
  const lines: string[] = []
  let tooLong = 0
  const cutter = new Lines(
    limit,
    (line) => lines.push(line),
    () => tooLong++,
  )
  for (const part of parts) cutter.push(Buffer.from(part as string))
  return { lines, tooLong }
}

t.test('lines come whole, however the stream was cut', async (t) => {
  t.same(cut(99, 'one\ntw', 'o', '\n\nthree\n', 'rest').lines, ['one', 'two', 'three'])
})

t.test('a character that was cut in two arrives whole', async (t) => {
  const bytes = Buffer.from('grün\n')
  t.same(cut(99, bytes.subarray(0, 3), bytes.subarray(3)).lines, ['grün'])
})

t.test('a line above the limit ends the stream once, and what came before it counts', async (t) => {
  const { lines, tooLong } = cut(10, 'short\n', 'x'.repeat(8), 'y'.repeat(8), '\nlater\n')
  t.same(lines, ['short'])
  t.equal(tooLong, 1)
})

t.test('a line of exactly the limit is no failure', async (t) => {
  t.same(cut(10, `${'x'.repeat(10)}\n`), { lines: ['x'.repeat(10)], tooLong: 0 })
})
