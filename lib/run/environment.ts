// The variables of a program in a view: the caller's, but for those that name places of the
// caller's own home or session that the program does not have.

import { existsSync } from 'node:fs'
import { join } from 'node:path'

const USUAL_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Places that follow from HOME unless they are set: they shall follow from the new one. */
const OF_HOME = ['XDG_CONFIG_HOME', 'XDG_CACHE_HOME', 'XDG_DATA_HOME', 'XDG_STATE_HOME']

/** What says something about the caller's own process alone. */
const OF_CALLER = ['OLDPWD', 'PWD', 'TMPDIR', 'TMP', 'TEMP', 'SVSFS_STORE', 'NODE_OPTIONS']

export function programEnvironment(what: {
  home: string
  given: Readonly<Record<string, string>>
  caller?: NodeJS.ProcessEnv
}): NodeJS.ProcessEnv {
  const caller = what.caller ?? process.env
  const env: NodeJS.ProcessEnv = { ...caller }
  for (const name of [...OF_HOME, ...OF_CALLER]) delete env[name]
  env.PATH = withUsual(caller.PATH)
  const display = displayKey(caller)
  if (display !== null) env.XAUTHORITY = display
  return { ...env, HOME: what.home, ...what.given }
}

// A service's or a cron job's PATH may be short; a layer's programs lie in the usual places.
function withUsual(path: string | undefined): string {
  const given = (path ?? '').split(':').filter((part) => part.startsWith('/'))
  return [...new Set([...given, ...USUAL_PATH.split(':')])].join(':')
}

/** The key to the X display lies in the caller's home unless it is said where. */
function displayKey(caller: NodeJS.ProcessEnv): string | null {
  if (caller.XAUTHORITY !== undefined || caller.HOME === undefined) return null
  const path = join(caller.HOME, '.Xauthority')
  return existsSync(path) ? path : null
}
