// Starting a daemon in the background: this program again, in a session of its own, with a
// channel over which it says that it is ready, or why it is not.
//
//   command ─▶ spawn `svsfs daemon` ─▶ order ─▶ … ─▶ { ready } or { error } ─▶ channel closed
//                                      (detached.ts)
//
// Rule: the command never ends before it has heard; the daemon keeps nothing of the command's,
// neither its terminal nor its working directory.

import { spawn } from 'node:child_process'
import { closeSync } from 'node:fs'
import { Failure } from '../base/failure.ts'
import type { Order, Started } from './detached.ts'
import { failureOf } from './errors.ts'

/** Starts a daemon and waits until it is ready. What it prints goes to the descriptor `log`, which is closed here. */
export async function startDetached(order: Order, log: number): Promise<void> {
  const program = process.argv[1]
  if (program === undefined) throw new TypeError('not started from a file')
  const child = spawn(process.execPath, [...process.execArgv, program, 'daemon'], {
    detached: true,
    cwd: '/',
    stdio: ['ignore', log, log, 'ipc'],
  })
  closeSync(log)
  try {
    await new Promise<void>((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', (status, signal) =>
        reject(new Failure('SVS_DAEMON_DIED', signal ?? `status ${status}`)),
      )
      // What answers is this same program, over a channel that nobody else has.
      child.once('message', (heard: Started) => {
        if ('error' in heard) reject(failureOf(heard.error))
        else resolve()
      })
      child.send(order)
    })
  } finally {
    child.removeAllListeners()
    if (child.connected) child.disconnect()
    child.unref()
  }
}
