// The lists of test files name files that there are, and the longest come first.

import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { LONGEST, ONCE, testFiles } from './parts.ts'

const project = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..')
const names = testFiles(project, []).map(({ name }) => name)

t.test('every name on the lists is that of a test file', async (t) => {
  t.same(
    LONGEST.filter((name) => !names.includes(name)),
    [],
  )
  t.same(
    ONCE.filter((beginning) => !names.some((name) => name.startsWith(beginning))),
    [],
  )
})

t.test('the longest files come first, each once; the others follow by name', async (t) => {
  t.same(names.slice(0, LONGEST.length), LONGEST)
  const others = names.slice(LONGEST.length)
  t.same(others, [...new Set(others)].sort())
})
