// Names of layers, manifests and recipes.
// Runs once: it asks nothing of the system

import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { layerName } from '../../lib/layer/layer.ts'
import { absolute, commandOf, readManifest } from '../../lib/layer/manifest.ts'
import { loadRecipe, recipeNames } from '../../lib/layer/recipe.ts'

t.test('a layer may have any name that is no path, option or reference', async (t) => {
  for (const name of ['a', 'firefox', 'My Editor', 'größe', 'x'.repeat(64), 'a.b', 'a-b_c+d']) {
    t.equal(layerName(name), name)
  }
  const bad = [
    '',
    '.',
    '..',
    'a..b',
    '.hidden',
    '-option',
    'a/b',
    'a@b',
    'a:b',
    'x'.repeat(65),
    'ö'.repeat(33),
    'a\nb',
    'a\0b',
    '\x1b[31m',
    'a\u2028b',
    '\ud800',
    // What Node makes of arguments that are not UTF-8.
    '\ufffd\ufffd',
  ]
  for (const name of bad) {
    t.throws(() => layerName(name), { code: 'SVS_NAME_INVALID', exit: 10 })
  }
})

const SMALLEST = { name: 'a', summary: 'An application', home: 'srv/a' }

t.test('a manifest needs a name, a summary and a home', async (t) => {
  t.match(readManifest(SMALLEST, 'here'), { packages: [], excludes: [], commands: {}, env: {} })
  for (const field of Object.keys(SMALLEST)) {
    const without = Object.fromEntries(Object.entries(SMALLEST).filter(([key]) => key !== field))
    t.throws(() => readManifest(without, 'here'), {
      code: 'SVS_MANIFEST_INVALID',
      message: new RegExp(`here: ${field} `),
    })
  }
})

t.test('what a manifest must not say is named by its field', async (t) => {
  const wrong: Record<string, object> = {
    exclude: { ...SMALLEST, exclude: [] },
    'packages.0': { ...SMALLEST, packages: ['--option'] },
    'excludes.1': { ...SMALLEST, excludes: ['fine/**', '../escape'] },
    home: { ...SMALLEST, home: '/srv/../../etc' },
    name: { ...SMALLEST, name: '../name' },
    'commands.default': { ...SMALLEST, commands: { default: [] } },
    env: { ...SMALLEST, env: { 'A=B': 'x' } },
    'the whole': { data: 1 },
  }
  for (const [field, data] of Object.entries(wrong)) {
    const given = field === 'the whole' ? 'text' : data
    t.throws(
      () => readManifest(given, 'here'),
      { code: 'SVS_MANIFEST_INVALID', message: new RegExp(field.replace('.', '\\.')) },
      field,
    )
  }
})

t.test('a command has its places filled in', async (t) => {
  const manifest = readManifest(
    { ...SMALLEST, profile: '/data', commands: { default: ['a', '--in={profile}', '{home}/x'] } },
    'here',
  )
  t.same(commandOf(manifest), ['a', '--in=/data', '/srv/a/x'])
  t.equal(commandOf(manifest, 'headless'), null)
  t.equal(commandOf(manifest, 'constructor'), null)
  t.equal(absolute('srv/a'), '/srv/a')
})

t.test('every folder of layers/ is a recipe that loads', async (t) => {
  const folders = readdirSync(join(projectRoot(), 'layers'), { withFileTypes: true }).filter(
    (entry) => entry.isDirectory(),
  )
  t.same(recipeNames(), folders.map(({ name }) => name).sort())
  for (const name of recipeNames()) {
    const recipe = loadRecipe(name)
    t.equal(recipe.name, name)
    t.ok(recipe.packages.length > 0)
  }
  t.match(commandOf(loadRecipe('firefox'), 'headless'), ['firefox-esr', '--headless', /^--/])
})

t.test('a recipe that is not there is named, with those that are', async (t) => {
  for (const name of ['chrome', '..', '../lib', 'firefox/', '']) {
    t.throws(() => loadRecipe(name), {
      code: 'SVS_RECIPE_NOT_FOUND',
      message: /firefox, git, sqlite3/,
    })
  }
})

function projectRoot(): string {
  let at = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(at, 'package.json'))) at = dirname(at)
  return at
}
