// What rows of real work look at, made once and copied: a source tree, a repository, a database.
//
// Rule: the same at every run: contents come from a fixed sequence, commits have a fixed date.

import { appendFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { run } from '../processes.ts'

const WORDS = 'layer sublayer stack branch view mount whiteout snapshot entry archive'.split(' ')

const GIT_ENV = {
  GIT_AUTHOR_NAME: 'bench',
  GIT_AUTHOR_EMAIL: 'bench@localhost',
  GIT_COMMITTER_NAME: 'bench',
  GIT_COMMITTER_EMAIL: 'bench@localhost',
  GIT_AUTHOR_DATE: '2026-01-01T00:00:00Z',
  GIT_COMMITTER_DATE: '2026-01-01T00:00:00Z',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_SYSTEM: '/dev/null',
}

/** For every git command: no settings of this machine, and no writes where only a look is asked for. */
export const GIT: Record<string, string> = { ...GIT_ENV, GIT_OPTIONAL_LOCKS: '0' }

/** Paths of a source tree of so many files, as in a large project: 10 in a directory, four levels. */
const treePaths = (files: number) => Array.from({ length: files }, (_, i) => fileOf(i))

/** File number `i` of a source tree. */
export function fileOf(i: number): string {
  const dir = Math.floor(i / 10)
  return `part${dir % 7}/module${Math.floor(dir / 7) % 31}/unit${dir}/file${i}.txt`
}

/** Makes a source tree; files have 200 bytes to 12 KiB. */
function makeTree(dir: string, files: number): void {
  let state = 1
  const next = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
  const line = () => Array.from({ length: 8 }, () => WORDS[next(WORDS.length)]).join(' ')
  const lines = Array.from({ length: 200 }, line)
  for (const path of treePaths(files)) {
    const file = join(dir, path)
    mkdirSync(dirname(file), { recursive: true })
    const first = next(lines.length)
    const wanted = 3 + next(next(180) + 1)
    writeFileSync(
      file,
      `${path}\n${[...lines, ...lines].slice(first, first + wanted).join('\n')}\n`,
    )
  }
}

/** Makes a repository of that tree with two branches, `main` and `other`; every eighth file differs. */
async function makeRepository(dir: string, files: number): Promise<void> {
  mkdirSync(dir, { recursive: true })
  const git = (...words: string[]) => run(['git', ...words], { cwd: dir, env: GIT_ENV })
  await git('init', '-q', '-b', 'main')
  await git('config', 'gc.auto', '0')
  makeTree(dir, files)
  await git('add', '.')
  await git('commit', '-q', '-m', 'all of it')
  await git('checkout', '-q', '-b', 'other')
  treePaths(files).forEach((path, i) => {
    if (i % 16 === 0) appendFileSync(join(dir, path), 'one more line\n')
    if (i % 16 === 8) rmSync(join(dir, path))
  })
  await git('add', '-A')
  await git('commit', '-q', '-m', 'changed')
  await git('checkout', '-q', 'main')
  await git('repack', '-q', '-a', '-d')
}

/** Makes each thing once, and copies it wherever it is wanted. */
export class Templates {
  readonly #dir: string
  readonly #made = new Map<string, Promise<unknown>>()

  constructor(dir: string) {
    this.#dir = dir
  }

  /** Brings a copy of what `make` makes to a path. */
  async copy(
    name: string,
    to: string,
    make: (dir: string) => Promise<unknown> | unknown,
  ): Promise<void> {
    await run(['cp', '-a', await this.once(name, make), to])
  }

  /** Makes it where that did not happen yet, and answers where it lies. */
  async once(name: string, make: (dir: string) => Promise<unknown> | unknown): Promise<string> {
    const template = join(this.#dir, name)
    if (!this.#made.has(name)) {
      mkdirSync(this.#dir, { recursive: true })
      this.#made.set(name, Promise.resolve(make(template)))
    }
    await this.#made.get(name)
    return template
  }

  tree(to: string, files: number): Promise<void> {
    return this.copy(`tree-${files}`, to, (dir) => makeTree(dir, files))
  }

  repository(to: string, files: number): Promise<void> {
    return this.copy(`repository-${files}`, to, (dir) => makeRepository(dir, files))
  }

  /** Where the repository lies that is copied. */
  repositoryOnce(files: number): Promise<string> {
    return this.once(`repository-${files}`, (dir) => makeRepository(dir, files))
  }
}
