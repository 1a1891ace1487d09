// Puts the program into one file, so that a command starts in half the time: `npm run build`.
//
//   lib/**.ts, packages ─▶ dist/whole/svsfs.cjs ─▶ some commands are run ─▶ svsfs.cjs.compiled
//                          (esbuild)                                        (what V8 made of it)
//
// Rule: what cannot lie in it stays where it is: libraries of machine code, threads, and dist/lib for whoever
// builds with the compiler alone. bin/svsfs.ts takes the file only while it is newer than the compiler's work.

import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Script } from 'node:vm'
import { build, type Plugin } from 'esbuild'
import type { main, perform } from '../lib/cli/main.ts'

const project = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const folder = join(project, 'dist', 'whole')
const target = join(folder, 'svsfs.cjs')

/** Where a module finds what lies beside it: in dist/lib, as if it ran from there. */
const places: Plugin = {
  name: 'places',
  setup: (bundle) => {
    bundle.onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const made = join('..', relative(project, path).replace(/ts$/, 'js'))
      const file = `require('node:path').join(__dirname, ${JSON.stringify(made)})`
      const contents = readFileSync(path, 'utf8')
        .replaceAll('import.meta.url', `require('node:url').pathToFileURL(${file}).href`)
        .replaceAll('import.meta.dirname', `require('node:path').dirname(${file})`)
      return { contents, loader: 'ts' }
    })
    // Its words in sixty languages, of which none is asked for.
    bundle.onLoad({ filter: /zod\/v4\/locales\/index\.js$/ }, () => ({ contents: '' }))
    // It looks for its library beside itself.
    bundle.onResolve({ filter: /^\.\/binding$/ }, ({ importer }) =>
      importer.includes('classic-level')
        ? { path: 'classic-level/binding.js', external: true }
        : null,
    )
  },
}

async function bundle(): Promise<void> {
  mkdirSync(folder, { recursive: true })
  await build({
    stdin: {
      contents: "export { main, perform } from './lib/cli/main.ts'",
      resolveDir: project,
      loader: 'ts',
    },
    bundle: true,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    // Names stay: they are what a person reads where something failed.
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    external: ['koffi', 'fuse-native'],
    // Its other form asks for its parts by a name that nobody sees.
    alias: { 'jsonc-parser': 'jsonc-parser/lib/esm/main.js' },
    supported: { 'dynamic-import': false },
    plugins: [places],
    logLevel: 'warning',
    outfile: `${target}.new`,
  })
  // Of one byte a character, so that it is read fast.
  const text = readFileSync(`${target}.new`, 'utf8').replace(
    /[^\0-\x7f]/g,
    (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  writeFileSync(`${target}.new`, text)
  renameSync(`${target}.new`, target)
}

/** Runs what most commands need, so that V8 has compiled it, and keeps that. */
async function warm(): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'svsfs-build-'))
  const wrapped = `(function (exports, require, module, __filename, __dirname) {${readFileSync(target, 'latin1')}\n})`
  const script = new Script(wrapped, { filename: target })
  const whole = { exports: {} as { main: typeof main; perform: typeof perform } }
  script.runInThisContext()(whole.exports, createRequire(target), whole, target, folder)
  const unheard = ['stdout', 'stderr'].map((name) => silence(process[name as 'stdout']))
  try {
    const store = ['--store', join(dir, 'store')]
    const words = [
      '--help',
      'layer create a --empty',
      'status',
      'snapshot a',
      'snapshots',
      'layer nonsense',
    ]
    for (const line of words)
      await whole.exports.perform([process.execPath, target, ...line.split(' '), ...store])
  } finally {
    for (const giveBack of unheard) giveBack()
    rmSync(dir, { recursive: true, force: true })
  }
  writeFileSync(`${target}.compiled.new`, script.createCachedData())
  renameSync(`${target}.compiled.new`, `${target}.compiled`)
}

function silence(stream: NodeJS.WriteStream): () => void {
  const { write } = stream
  stream.write = ((...said: unknown[]) => {
    const done = said.at(-1)
    if (typeof done === 'function') done()
    return true
  }) as typeof write
  return () => {
    stream.write = write
  }
}

rmSync(`${target}.compiled`, { force: true })
await bundle()
await warm()
process.exit(0)
