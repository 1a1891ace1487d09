// Two real profiles: Firefox as it ends its first session, and its second, over pages of its own.

import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { run } from '../processes.ts'
import { FIREFOX, firefoxCommand } from '../rows/servers.ts'
import type { Templates } from '../rows/templates.ts'

const page = (n: number) =>
  `<!doctype html><title>Page ${n}</title><h1>${n}</h1><script>localStorage.setItem('page${n}', '${'x'.repeat(2000)}')</script>`

async function session(dir: string, n: number): Promise<void> {
  const file = join(dirname(dir), `page-${n}.html`)
  writeFileSync(file, page(n))
  const { words, env } = firefoxCommand(FIREFOX, dir, `${file}.png`, `file://${file}`)
  await run(words, { env })
}

/** Each made once; answers the directory of the profile. */
export const firefoxProfile = {
  async needs(): Promise<void> {
    if (!existsSync(FIREFOX)) throw new Error('set-up could not fetch Firefox')
  },
  first: (templates: Templates): Promise<string> =>
    templates.once('profile-1', async (dir) => {
      mkdirSync(dir)
      await session(dir, 1)
    }),
  second: (templates: Templates): Promise<string> =>
    templates.once('profile-2', async (dir) => {
      await run(['cp', '-a', await firefoxProfile.first(templates), dir])
      await session(dir, 2)
    }),
}
