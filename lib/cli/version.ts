// The version of this program, as package.json says it.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Looks upward from this file: it may run from a build directory or from an installed package. */
export function version(): string {
  for (let dir = import.meta.dirname; dir !== '/'; dir = join(dir, '..')) {
    const file = join(dir, 'package.json')
    if (!existsSync(file)) continue
    const found = JSON.parse(readFileSync(file, 'utf8')) as { name?: string; version?: string }
    if (found.name === 'svsfs') return found.version ?? 'unknown'
  }
  return 'unknown'
}
