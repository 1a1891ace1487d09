// The compiled command with a store of the test's: as a process of its own, or in one that is ready (daemon/ready.ts).

import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runReady } from '../daemon/ready.ts'

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

/** Runs a command line, whole, in the process that is ready: where what it does matters, not how it starts. */
export async function ready(...words: string[]): Promise<Ran> {
  const done = await runReady(words)
  if (done === null) throw new Error('one command at a time, and all with the same environment')
  return { status: done.status, out: done.stdout, err: done.stderr }
}

/** The same with --json, its last line read. */
export async function readyAsk(...words: string[]): Promise<Answered> {
  const { out } = await ready(...words, '--json')
  return JSON.parse(out) as Answered
}
