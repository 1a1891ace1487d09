// The cursor that reads the kernel's messages remembers names and slices; what it answers is what the bytes say.

import t from 'tap'
import { Cursor, ShortMessage } from '../../lib/base/cursor.ts'

const message = (...names: string[]) => Buffer.from(`${names.join('\0')}\0`, 'latin1')

t.test('names of one length and one last letter are told apart, also read again', (t) => {
  // Names that end alike share a place in what is remembered.
  const names = [
    'axb',
    'ayb',
    'axb',
    'b',
    '',
    'ayb',
    '\xe4\xffb',
    'x'.repeat(32),
    `y${'x'.repeat(31)}`,
  ]
  names.push('z'.repeat(33), 'x'.repeat(255), 'x'.repeat(32))
  const bytes = message(...names, ...names)
  const cursor = new Cursor(bytes)
  t.same(
    [...names, ...names].map(() => cursor.name()),
    [...names, ...names],
  )
  t.equal(cursor.left, 0)
  t.end()
})

t.test('a name without its end is short, wherever the buffer goes on', (t) => {
  const bytes = message('one', 'x'.repeat(60))
  const cursor = new Cursor(bytes)
  for (const end of [2, 3]) t.throws(() => cursor.reset(0, end).name(), ShortMessage, `${end}`)
  t.equal(cursor.reset(0, 4).name(), 'one')
  for (const end of [20, 40, 64])
    t.throws(() => cursor.reset(4, end).name(), ShortMessage, `${end}`)
  t.equal(cursor.reset(4, 65).name().length, 60)
  t.end()
})

t.test('a slice shows the bytes that stand there now, of the buffer that is read', (t) => {
  const cursor = new Cursor(Buffer.from('abcdef'))
  const slice = () => cursor.reset(1, 6).take(3).toString()
  t.equal(slice(), 'bcd')
  cursor.bytes[2] = 0x78
  t.equal(slice(), 'bxd')
  t.equal(cursor.reset(1, 6).take(4).toString(), 'bxde')
  t.equal(cursor.reset(2, 6).take(4).toString(), 'xdef')
  cursor.bytes = Buffer.from('ABCDEF')
  t.equal(slice(), 'BCD')
  t.end()
})
