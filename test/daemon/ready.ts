// Commands without the half second that a process takes to start: one that is ready runs them, one
// after the other; while it is busy, others start a process of their own.
//
//   first command ─▶ ready-command.ts is started ─▶ idle ─▶ next command …
//
// Rule: it holds no test and no terminal; a test that changed its environment has none of it.

import { type ChildProcess, fork } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Done, Svsfs } from '../story/svsfs.ts'

export interface Asked {
  readonly words: readonly string[]
}
export type Heard = Done & { readonly status: number }

/** A store whose commands are asked so. */
export class ReadySvsfs extends Svsfs {
  // A program that runs in a view holds what started it.
  protected override async finish(words: readonly string[]): Promise<Done> {
    const done = words[0] === 'run' ? null : await runReady(['--store', this.store, ...words])
    return done ?? super.finish(words)
  }

  override stop(): void {
    super.stop()
    endReady()
  }
}

const SCRIPT = join(dirname(fileURLToPath(import.meta.url)), 'ready-command.js')

const environment = (): string => JSON.stringify(process.env)

interface Ready {
  readonly child: ChildProcess
  readonly environment: string
}
let ready: Ready | null = null
let busy = false

/** Runs a command line in the process that is ready; null where it cannot now. */
export async function runReady(words: readonly string[]): Promise<Done | null> {
  if (busy) return null
  if (ready?.child.connected !== true) ready = start()
  const { child, environment: had } = ready
  if (had !== environment()) return null
  busy = true
  child.ref()
  child.channel?.ref()
  try {
    return await answerOf(child, words)
  } finally {
    busy = false
    child.unref()
    child.channel?.unref()
  }
}

/** Ends a command that still runs. */
function endReady(): void {
  if (!busy) return
  ready?.child.kill('SIGKILL')
  ready = null
}

function start(): Ready {
  const child = fork(SCRIPT, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  child.unref()
  child.channel?.unref()
  return { child, environment: environment() }
}

function answerOf(child: ChildProcess, words: readonly string[]): Promise<Done> {
  return new Promise((resolve) => {
    const hear = (done: Heard) => end(done)
    const gone = () => end({ status: null, stdout: '', stderr: 'the process that was ready ended' })
    const end = (done: Done) => {
      child.off('message', hear)
      child.off('exit', gone)
      resolve(done)
    }
    child.on('message', hear)
    child.on('exit', gone)
    child.send({ words } satisfies Asked)
  })
}
