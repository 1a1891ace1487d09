// How the source reads, as far as a program can tell: formatter, linter, sizes, headers.

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const project = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

const sources = ['lib', 'bin', 'test', 'bench'].flatMap((top) =>
  readdirSync(join(project, top), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => ({
      name: join(top, name),
      text: readFileSync(join(project, top, name), 'utf8'),
    })),
)

t.test('formatter and linter have nothing to say', async (t) => {
  const biome = join(project, 'node_modules/.bin/biome')
  const trees = ['lib', 'bin', 'test', 'bench', 'layers'].filter((name) =>
    existsSync(join(project, name)),
  )
  const check = spawnSync(
    biome,
    ['check', '--colors=off', '--max-diagnostics=40', '--config-path', 'test/biome.json', ...trees],
    { cwd: project, encoding: 'utf8' },
  )
  // Each complaint is headed by its file, place and rule, drawn out with a line.
  const complaints = `${check.stdout}${check.stderr}`
    .split('\n')
    .filter((line) => line.includes('━━'))
    .map((line) => line.replace(/[ ━]+$/, ''))
  t.same(complaints, [])
  t.equal(check.status, 0)
})

t.test('no file has more than 600 lines', async (t) => {
  const long = sources
    .map(({ name, text }) => ({ name, lines: text.split('\n').length }))
    .filter(({ lines }) => lines > 600)
  t.same(long, [])
})

t.test('every file opens with what it is', async (t) => {
  const bare = sources.filter(({ text }) => !/^(#!.*\n)?\/\/ \S/.test(text))
  t.same(
    bare.map(({ name }) => name),
    [],
  )
})

t.test('names of files are kebab-case', async (t) => {
  const odd = sources.filter(({ name }) => !/^[a-z0-9/.-]+(\.test)?\.ts$/.test(name))
  t.same(
    odd.map(({ name }) => name),
    [],
  )
})

t.test('no path of one machine stands in the sources', async (t) => {
  const paths = /\/(work|shared)\/(main|\w+)\b|\/home\/[a-z]+\//
  t.same(
    sources
      .filter(({ text, name }) => name !== 'test/style.test.ts' && paths.test(text))
      .map(({ name }) => name),
    [],
  )
})
