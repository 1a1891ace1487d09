// The compiled command as a process of its own, with a store of the test's.

import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const PROGRAM = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'bin', 'svsfs.js')

export interface Ran {
  readonly status: number | null
  readonly out: string
  readonly err: string
}

/** Runs a command line to its end, without a terminal. */
export function svsfs(store: string, ...words: string[]): Ran {
  const ran = spawnSync(process.execPath, [PROGRAM, ...words], {
    env: { ...process.env, SVSFS_STORE: store },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
  })
  return { status: ran.status, out: ran.stdout, err: ran.stderr }
}

export interface Answered {
  readonly ok: boolean
  readonly data?: unknown
  readonly error?: {
    readonly code: string
    readonly message: string
    readonly hint: string | null
    readonly exit: number
  }
}

/** The same with --json, its one line read. */
export function ask(store: string, ...words: string[]): Answered {
  const { out } = svsfs(store, ...words, '--json')
  return JSON.parse(out) as Answered
}
