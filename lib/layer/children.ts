// The programs that a thread has running: tar, apt-get and their like.
//
// Rule: all are started here, so that breaking off the thread's work ends them too; what waits
// for them then fails as it does when they fail.

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { goOn } from './breath.ts'

const running = new Set<ChildProcess>()

/** Starts a program, unless the work was broken off. */
export function startChild(
  path: string,
  args: readonly string[],
  options: SpawnOptions,
): ChildProcess {
  goOn()
  const child = spawn(path, args, options)
  running.add(child)
  child.once('close', () => running.delete(child))
  return child
}

/** Ends them all at once: what they were writing is thrown away. */
export function endChildren(): void {
  for (const child of running) child.kill('SIGKILL')
}
