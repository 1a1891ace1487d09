// A word to whoever sits at this machine, by notify-send where there is one.
//
// Rule: it is never waited for and never fails: who has no desktop, or does not want it
// (SVSFS_NOTIFICATIONS=off), is told nothing.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { findTool } from './tool.ts'

export interface Notice {
  readonly title: string
  readonly text: string
  /** It stays until it is seen. */
  readonly failure?: boolean
}

/** True where somebody is being told. */
export function notifyPerson({ title, text, failure = false }: Notice, env = process.env): boolean {
  if (/^(off|no|false|0)$/i.test(env.SVSFS_NOTIFICATIONS ?? '') || !hasDesktop(env)) return false
  const program = notifySend()
  if (program === null) return false
  const words = [
    '--app-name=svsfs',
    `--urgency=${failure ? 'critical' : 'normal'}`,
    '--',
    title,
    text,
  ]
  const child = spawn(program, words, { detached: true, stdio: 'ignore', env })
  child.on('error', () => {})
  child.unref()
  return true
}

/** A session's bus is what notifications go by. */
const hasDesktop = (env: NodeJS.ProcessEnv): boolean =>
  Boolean(env.DBUS_SESSION_BUS_ADDRESS) ||
  (env.XDG_RUNTIME_DIR !== undefined && existsSync(join(env.XDG_RUNTIME_DIR, 'bus')))

function notifySend(): string | null {
  try {
    return findTool('notify-send')
  } catch {
    return null
  }
}
