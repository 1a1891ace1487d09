// Which test files there are, and which part each belongs to.
//
//   root part   every file, run as root
//   user part   every file but those with a line `// Needs root: why` in their header,
//               run as an ordinary user
//
// Rule: a file is listed by its source, so that what a deleted test left in dist/ is not run.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

export interface TestFile {
  /** Below test/, without its ending: `union/rename`. */
  readonly name: string
  /** The compiled file, relative to the project. */
  readonly script: string
  /** Why only root can run it; null where anybody can. */
  readonly needsRoot: string | null
}

/** All test files of the project at `root`, by name. `only` keeps the names that contain one of its words. */
export function testFiles(root: string, only: readonly string[]): TestFile[] {
  const files: TestFile[] = []
  for (const entry of readdirSync(join(root, 'test'), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.test.ts')) continue
    const source = join(entry.parentPath, entry.name)
    const name = relative(join(root, 'test'), source).replace(/\.test\.ts$/, '')
    if (only.length > 0 && !only.some((word) => name.includes(word))) continue
    const script = join('dist', 'test', `${name}.test.js`)
    if (!existsSync(join(root, script))) throw new Error(`not built: ${script} (npm run build)`)
    files.push({ name, script, needsRoot: rootReason(readFileSync(source, 'utf8')) })
  }
  return files.sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** What the header says after `Needs root:`; the header is the comment that opens the file. */
function rootReason(source: string): string | null {
  const header = source.split('\n\n', 1)[0] ?? ''
  return /^\/\/ Needs root: (.+)$/m.exec(header)?.[1] ?? null
}
