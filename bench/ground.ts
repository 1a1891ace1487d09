// The directory that a run works in, one on each kind of disk, and its end.
//
// Rule: whatever way the run ends, no mount, no process and no directory of it remains. Mounts go
// first, because a directory is never removed through one.

import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { processesIn, read } from './processes.ts'

const made: string[] = []

/** Makes a directory for this run. */
export function makeGround(parent: string): string {
  const dir = mkdtempSync(join(resolve(parent), 'svsfs-bench-'))
  made.push(dir)
  chmodSync(dir, 0o755) // a database server is another user
  return dir
}

/** Runs `work`, and clears all ground after it, also when it fails or is interrupted. */
export async function onGround<T>(work: () => Promise<T>): Promise<T> {
  const interrupted = (signal: NodeJS.Signals) => {
    process.stderr.write(`\n${signal}: clearing up\n`)
    clearGround()
    process.exit(130)
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupted)
  try {
    return await work()
  } finally {
    clearGround()
  }
}

function clearGround(): void {
  for (const dir of made.splice(0)) {
    const mounts = mountsBelow(dir)
    for (const mount of mounts.toReversed()) quietly(['umount', '-l', mount])
    for (const pid of processesIn(dir)) end(pid)
    if (mountsBelow(dir).length === 0) rmSync(dir, { recursive: true, force: true, maxRetries: 5 })
    else process.stderr.write(`left, because something is still mounted there: ${dir}\n`)
  }
}

/** Mount points in a directory, in the order they were made. */
export function mountsBelow(dir: string): string[] {
  return read('/proc/self/mounts')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((point) => point.startsWith(`${dir}/`))
}

function quietly([program, ...args]: string[]): void {
  try {
    execFileSync(program!, args, { stdio: 'ignore' })
  } catch {
    // What is still mounted afterwards is named by clearGround().
  }
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ESRCH') throw err
  }
}
