// Which way imports run: only to one's own folder or to a lower rank, so that any folder can
// be read with nothing above it in mind.
//
//   7 bin   6 cli web   5 daemon   4 run deploy archive repository   3 union snapshot   2 fuse layer   1 host contents   0 base

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const project = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

const RANK: Readonly<Record<string, number>> = {
  'lib/base': 0,
  'lib/host': 1,
  'lib/contents': 1,
  'lib/fuse': 2,
  'lib/layer': 2,
  'lib/union': 3,
  'lib/snapshot': 3,
  'lib/archive': 4,
  'lib/run': 4,
  'lib/deploy': 4,
  'lib/repository': 4,
  'lib/daemon': 5,
  'lib/cli': 6,
  'lib/web': 6,
  bin: 7,
}

interface Import {
  readonly file: string
  readonly folder: string
  readonly target: string
}

/** `lib/union` for `lib/union/a/b.ts`, `bin` for `bin/svsfs.ts`. */
function folderOf(path: string): string {
  const [top, next] = path.split('/')
  return top === 'lib' ? `lib/${next}` : (top ?? '')
}

/** Every import of lib and bin: static, of types, re-exported, or made at run time. */
function importsOf(top: string): Import[] {
  return readdirSync(join(project, top), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(top, name))
    .flatMap((file) => {
      const source = readFileSync(join(project, file), 'utf8')
      const named = /^(?:import|export)\b[^'"`;]*?\bfrom\s+['"]([^'"]+)['"]/gm
      const bare = /^import\s+['"]([^'"]+)['"]/gm
      const called =
        /\b(?:import|require|require\.resolve|import\.meta\.resolve)\(\s*['"`]([^'"`]+)['"`]/g
      const url = /\bnew URL\(\s*['"`](\.[^'"`]+)['"`]\s*,\s*import\.meta\.url/g
      return [named, bare, called, url].flatMap((pattern) =>
        [...source.matchAll(pattern)].map((found) => ({
          file,
          folder: folderOf(file),
          target: found[1] ?? '',
        })),
      )
    })
}

const imports = [...importsOf('lib'), ...importsOf('bin')]
const within = imports
  .filter(({ target }) => target.startsWith('.'))
  .map((one) => ({ ...one, path: normalize(join(dirname(one.file), one.target)) }))
const outside = imports.filter(({ target }) => !target.startsWith('.'))

const line = (one: Import) => `${one.file} imports ${one.target}`

t.test('every folder of lib has a rank', async (t) => {
  t.ok(imports.length > 50, 'imports were found at all')
  t.same(
    [...new Set(imports.map(({ folder }) => folder))].filter((name) => !(name in RANK)),
    [],
  )
})

t.test('imports stay in their folder or go to a lower rank', async (t) => {
  const wrong = within.filter(({ folder, path }) => {
    const target = folderOf(path)
    if (target === folder) return false
    return !((RANK[target] ?? 99) < (RANK[folder] ?? -1))
  })
  t.same(wrong.map(line), [])
})

t.test('nothing in lib or bin imports a test or a benchmark', async (t) => {
  t.same(within.filter(({ path }) => /^(test|bench)\//.test(path)).map(line), [])
})

t.test('lib/base needs nothing but Node', async (t) => {
  const wrong = outside.filter(
    ({ folder, target }) => folder === 'lib/base' && !target.startsWith('node:'),
  )
  t.same(wrong.map(line), [])
})

t.test('only lib/host speaks to libc', async (t) => {
  const wrong = outside.filter(({ folder, target }) => folder !== 'lib/host' && target === 'koffi')
  t.same(wrong.map(line), [])
})

t.test('bin calls the command line and nothing else', async (t) => {
  const wrong = within.filter(
    ({ folder, path }) => folder === 'bin' && folderOf(path) !== 'lib/cli',
  )
  t.same(wrong.map(line), [])
})

t.test('what lib imports from npm is a dependency in package.json', async (t) => {
  const manifest = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
    optionalDependencies: Record<string, string>
  }
  const known = { ...manifest.dependencies, ...manifest.optionalDependencies }
  const packageOf = (target: string) =>
    target
      .split('/')
      .slice(0, target.startsWith('@') ? 2 : 1)
      .join('/')
  const wrong = outside.filter(
    ({ target }) => !target.startsWith('node:') && !(packageOf(target) in known),
  )
  t.same(wrong.map(line), [])
})
