// Numbers and times as people read them.
// Runs once: no user matters to it.

import t from 'tap'
import { ago, clock, plural, shellWord, size } from '../../lib/cli/words.ts'

t.test('sizes have three digits at most', async (t) => {
  const said = [0, 1, 999, 1000, 1024, 1536, 10_240, 102_400, 1 << 20, 5.5 * 2 ** 30].map(size)
  t.same(said, [
    '0 B',
    '1 B',
    '999 B',
    '0.98 KiB',
    '1 KiB',
    '1.5 KiB',
    '10 KiB',
    '100 KiB',
    '1 MiB',
    '5.5 GiB',
  ])
})

t.test('times are in words', async (t) => {
  const now = Date.UTC(2026, 0, 31, 12)
  const said = [0, 5, 40, 120, 3600, 86_400, 3 * 86_400, 8 * 86_400, 40 * 86_400, 800 * 86_400]
  t.same(
    said.map((seconds) => ago(now - seconds * 1000, now)),
    [
      'just now',
      'just now',
      '40 seconds ago',
      '2 minutes ago',
      '1 hour ago',
      'yesterday',
      '3 days ago',
      'last week',
      'last month',
      '2 years ago',
    ],
  )
})

t.test('a clock is local and sorts', async (t) => {
  t.match(clock(Date.now()), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/)
})

t.test('one is not many', async (t) => {
  t.same(
    [plural(1, 'file'), plural(2, 'file'), plural(0, 'entry', 'entries')],
    ['1 file', '2 files', '0 entries'],
  )
})

t.test('a word is quoted for the shell where it must be', async (t) => {
  t.equal(shellWord('app-1.0'), 'app-1.0')
  t.equal(shellWord('my app'), "'my app'")
  t.equal(shellWord("it's"), "'it'\\''s'")
})
