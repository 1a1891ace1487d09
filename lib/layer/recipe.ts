// Recipes: the applications that svsfs knows how to make layers of, one folder each in layers/.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Failure } from '../base/failure.ts'
import { type Manifest, readManifest } from './manifest.ts'

const FILE = 'recipe.json'

/** The recipe called `name`. Throws SVS_RECIPE_NOT_FOUND with the names there are. */
export function loadRecipe(name: string): Manifest {
  // Held against the list, so that no name becomes a path that leads elsewhere.
  if (!recipeNames().includes(name)) {
    throw new Failure('SVS_RECIPE_NOT_FOUND', name, recipeNames().join(', '))
  }
  const path = join(recipesFolder(), name, FILE)
  return readManifest(parsed(path), path)
}

/** Names of all recipes, sorted. */
export function recipeNames(): string[] {
  const folder = recipesFolder()
  return readdirSync(folder)
    .filter((name) => existsSync(join(folder, name, FILE)))
    .sort()
}

function parsed(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (err) {
    if (!(err instanceof SyntaxError)) throw err
    throw new Failure('SVS_MANIFEST_INVALID', path, 'the whole', err.message, { cause: err })
  }
}

let found: string | null = null

// This file may run from the sources, from dist/ or from an installed package: the
// package's own package.json is above it in all of them.
function recipesFolder(): string {
  found ??= join(packageRoot(dirname(fileURLToPath(import.meta.url))), 'layers')
  return found
}

function packageRoot(from: string): string {
  for (let at = from; ; at = dirname(at)) {
    const path = join(at, 'package.json')
    if (existsSync(path) && nameIn(path) === 'svsfs') return at
    if (at === dirname(at)) throw new Error(`no package.json of svsfs above ${from}`)
  }
}

function nameIn(path: string): unknown {
  const data: unknown = JSON.parse(readFileSync(path, 'utf8'))
  return typeof data === 'object' && data !== null && 'name' in data ? data.name : null
}
