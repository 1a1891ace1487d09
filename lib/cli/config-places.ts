// Where configuration may be, and whether there is any.
//
// Rule: every command asks this, so it is two looks at the disk and one at the environment: what reads
// configuration is loaded only where there is some.

import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

export const OF_SYSTEM = '/etc/svsfs/config.toml'

/** Where configuration is looked for; the later wins. */
export function configurationFiles(env = process.env): readonly string[] {
  const own = ownFolder(env)
  return own === null ? [OF_SYSTEM] : [OF_SYSTEM, join(own, 'svsfs/config.toml')]
}

function ownFolder(env: NodeJS.ProcessEnv): string | null {
  const named = env.XDG_CONFIG_HOME
  if (named?.startsWith('/') === true) return named
  try {
    return join(homedir(), '.config')
  } catch {
    return null // A user whom this host does not know.
  }
}

/** Variables that are heeded where they are needed, also without configuration. */
const BY_THEMSELVES = ['SVSFS_STORE', 'SVSFS_RECODE', 'SVSFS_ZSTD', 'SVSFS_LOG', 'SVSFS_DEBUG']

/** False where no file and no variable can set anything. */
export function isConfigured(env = process.env): boolean {
  const isOurs = (name: string) => name.startsWith('SVSFS_') && !BY_THEMSELVES.includes(name)
  return Object.keys(env).some(isOurs) || configurationFiles(env).some((file) => existsSync(file))
}
