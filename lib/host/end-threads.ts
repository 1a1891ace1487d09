// Ending threads that were told to end: whoever they listen to has closed its port.
//
// Rule: none is ended from outside while it may be within a C function. Back from there it would find
// no JavaScript any more, and abort the process. Only one that hangs is.

import type { Worker } from 'node:worker_threads'

/** Milliseconds after which a thread hangs: in a call of the kernel, or with work of minutes. */
const PATIENCE = 2000

/** Number of a thread that has ended. */
const GONE = -1

/** Waits until they have ended, by themselves or not. */
export async function endThreads(workers: readonly Worker[]): Promise<void> {
  await Promise.all(workers.map(endThread))
}

async function endThread(worker: Worker): Promise<void> {
  if (worker.threadId === GONE) return
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, PATIENCE)
    worker.once('exit', () => {
      clearTimeout(timer)
      resolve()
    })
  })
  await worker.terminate()
}
