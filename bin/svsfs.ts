#!/usr/bin/env node
// The program: everything is in lib/cli.
//
//   whole/svsfs.cjs     all of it in one file, beside what V8 made of that (test/bundle.ts)
//   lib/cli/main.js     where there is no such file, or an older one than this
//
// Rule: imports nothing that is not needed: a module of Node's that is imported is loaded with all that it has.

import type { main } from '../lib/cli/main.ts'

const fs = process.getBuiltinModule('node:fs')
const { createRequire } = process.getBuiltinModule('node:module')
const { dirname, join } = process.getBuiltinModule('node:path')
const { Script } = process.getBuiltinModule('node:vm')

type Whole = { main: typeof main }

const here = import.meta.dirname
const whole = join(here, '..', 'whole', 'svsfs.cjs')

/** The compiler writes this file anew whenever it writes any. */
function isCurrent(): boolean {
  const made = fs.statSync(whole, { throwIfNoEntry: false })
  return made !== undefined && made.mtimeMs >= fs.statSync(join(here, 'svsfs.js')).mtimeMs
}

function load(): Whole {
  const script = new Script(
    `(function (exports, require, module, __filename, __dirname) {${fs.readFileSync(whole, 'latin1')}\n})`,
    // V8 refuses what another version of it made, and compiles.
    { filename: whole, cachedData: compiled() },
  )
  const loaded = { exports: {} }
  const run = script.runInThisContext() as (...names: unknown[]) => void
  run(loaded.exports, createRequire(whole), loaded, whole, dirname(whole))
  return loaded.exports as Whole
}

function compiled(): Buffer | undefined {
  try {
    return fs.readFileSync(`${whole}.compiled`)
  } catch {
    return undefined
  }
}

const program: Whole = isCurrent() ? load() : await import('../lib/cli/main.ts')
await program.main(process.argv)
