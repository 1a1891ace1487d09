// Differences line by line and setting by setting, as svsfs diff --patch prints them.

import t from 'tap'
import { createColors } from '../../lib/cli/colors.ts'
import { contentLines, readOne } from '../../lib/cli/contents.ts'
import { textDifference } from '../../lib/cli/text-diff.ts'
import type { DifferenceLine, SideLine } from '../../lib/daemon/diff-methods.ts'

const plain = createColors(false)

const side = (text: string | Buffer): SideLine => {
  const bytes = Buffer.from(text as string)
  return { kind: 'file', size: bytes.length, bytes: bytes.toString('base64') }
}

const changed = (before: SideLine | null, after: SideLine | null): DifferenceLine => ({
  path: '/f',
  mark: before === null ? 'A' : after === null ? 'D' : 'M',
  before,
  after,
})

t.test('lines that differ are told with those around them', async (t) => {
  const before = side('a\nb\nc\nd\ne\nf\n')
  t.same(textDifference(changed(before, side('a\nb\nc\nd\nE\nf\n')), plain), [
    '@@ -2,5 +2,5 @@',
    ' b',
    ' c',
    ' d',
    '-e',
    '+E',
    ' f',
  ])
  t.same(textDifference(changed(null, side('new\n')), plain), ['@@ -0,0 +1,1 @@', '+new'])
  t.same(textDifference({ ...changed(before, before), mark: 'attr' }, plain), [])
  const painted = textDifference(changed(side('x\n'), side('y\n')), createColors(true))
  t.same(painted, ['\x1b[36m@@ -1,1 +1,1 @@\x1b[0m', '\x1b[31m-x\x1b[0m', '\x1b[32m+y\x1b[0m'])
})

t.test('what is no text is named, and nothing steers the terminal', async (t) => {
  const text = side('text\n')
  for (const other of [Buffer.from([0, 1]), Buffer.from([0xff, 0xfe])])
    t.match(textDifference(changed(text, side(other)), plain), [
      /not text: 5 B -> 2 B, 5 bytes differ/,
    ])
  const large: SideLine = { kind: 'file', size: 9e9 }
  t.match(textDifference(changed(text, large), plain), [/too large/])
  t.same(textDifference(changed(text, { kind: 'symlink', size: 0 }), plain), [])
  const [, line] = textDifference(changed(null, side('\x1b[2J\u202e\n')), plain)
  t.equal(line, '+\ufffd[2J\ufffd')
})

t.test(
  'settings are told by their keys, as text where that is wanted or all there is',
  async (t) => {
    const change = (before: string | null, after: string | null, path = '/prefs.js') => ({
      ...changed(before === null ? null : side(before), after === null ? null : side(after)),
      path,
    })
    const lines = async (one: DifferenceLine, text = false, back = false) => {
      return contentLines(text ? one : await readOne(one, '', 0), plain, back)
    }
    const pref = (value: string) => `user_pref("home", ${value});\nuser_pref("other", 1);\n`
    const one = change(pref('"a"'), pref('"\\u001b[2J → "').replace('other', 'new'))
    t.same(await lines(one), ['  home: a → "\\u001b[2J → "', '  - other: 1', '  + new: 1'])
    t.match(await lines(one, false, true), [/^ {2}home: .* → a$/, '  + other: 1', '  - new: 1'])
    t.match(await lines(one, true), ['@@ -1,2 +1,2 @@', /^-user_pref/])
    t.same(await lines(change(pref('1'), pref('"1"'))), ['  home: 1 → "1"'])
    t.same(await lines(change(null, pref('true'))), ['  + home: true', '  + other: 1'])
    t.match(await lines(change('{"a":1}', '{"a":', '/a.json')), [/^@@/, '-{"a":1}'])
    t.match(await lines(change('{"a":1}', '{ "a": 1 }', '/a.json')), [/^@@/])
  },
)
