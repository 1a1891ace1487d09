// The manual as pages: they are whole, and man(1) can show them.
// Runs once: no user matters to it.

import { spawnSync } from 'node:child_process'
import t from 'tap'
import { FAILURES } from '../../lib/base/failure.ts'
import { escaped, manPages } from '../../lib/cli/man.ts'
import { markdownPages } from '../../lib/cli/markdown.ts'
import { referencePages } from '../../lib/cli/reference.ts'

const groff = (input: string) =>
  spawnSync('groff', ['-k', '-man', '-ww', '-Tutf8', '-P-cbou'], { input, encoding: 'utf8' })
const without = { skip: groff('').error === undefined ? false : 'groff is not installed' }

t.test('groff has nothing to say against any page', without, async (t) => {
  const { stderr, status } = groff([...(await manPages()).values()].join(''))
  t.equal(stderr, '')
  t.equal(status, 0)
})

t.test('what stands in a page is shown as it is', without, async (t) => {
  const lines = [
    '.so /etc/passwd',
    "'quoted'",
    '\\fBbold\\fR',
    '--an-option',
    '~/x `y` ^z "q"',
    'ü → …',
  ]
  const { stdout } = groff(`.TH X 1\n.nf\n${lines.map(escaped).join('\n')}\n`)
  const shown = stdout.split('\n').map((line) => line.trim())
  t.same(shown.filter((line) => line !== '').slice(1, 7), lines)
})

t.test('every command has its page, with each of its options and examples', async (t) => {
  const pages = await manPages()
  const markdown = (await markdownPages()).get('reference.md') ?? ''
  const commands = await referencePages()
  t.same(
    [...pages.keys()].sort(),
    ['svsfs-errors.7', 'svsfs.1', ...commands.map(({ name }) => `svsfs-${name}.1`)].sort(),
  )
  for (const { name, entries } of commands) {
    const page = pages.get(`svsfs-${name}.1`) ?? ''
    const words = entries.flatMap(({ options, examples }) => [
      ...options.map(({ term }) => term),
      ...examples,
    ])
    t.same(
      words.filter((word) => !page.includes(escaped(word))),
      [],
      name,
    )
    t.same(
      words.filter((word) => !markdown.includes(word)),
      [],
      name,
    )
  }
  const errors = (await markdownPages()).get('errors.md') ?? ''
  for (const code of Object.keys(FAILURES)) if (!errors.includes(`\`${code}\``)) t.fail(code)
})
