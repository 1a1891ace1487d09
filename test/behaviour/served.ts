// A mount served by another process, started in the foreground for the length of a test.
//
// Rule: whatever happens, neither the process nor the mount outlives the test: a watchdog
// of its own ends both when the time is up, so that a filesystem that hangs hangs nobody.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

/** The command line tool of the same build. */
export const SVSFS = fileURLToPath(new URL('../../bin/svsfs.js', import.meta.url))

/** Seconds; a long comparison sets more. */
const longestRun = (): number => Number(process.env.SVSFS_TEST_SECONDS ?? 290)
const LONGEST_START = 60_000
const LONGEST_END = 60_000

/** Keeps nobody waiting: a test that is done ends, whatever time it had left. */
const late = () => setTimeout(LONGEST_END, undefined, { ref: false })

export class Served {
  readonly #mountPoint: string
  readonly #process: ChildProcess
  readonly #watchdog: ChildProcess
  #said = ''

  private constructor(words: readonly string[], mountPoint: string, env: NodeJS.ProcessEnv) {
    this.#mountPoint = mountPoint
    this.#process = spawn(process.execPath, [SVSFS, ...words], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [this.#process.stdout, this.#process.stderr])
      stream?.on('data', (part) => {
        this.#said += part
      })
    const kill = `sleep ${longestRun()}; kill -9 ${this.#process.pid}; umount -l '${mountPoint}'`
    this.#watchdog = spawn('sh', ['-c', kill], { detached: true, stdio: 'ignore' })
    this.#watchdog.unref()
  }

  /** Starts `svsfs` with these words, and waits until something is mounted there. */
  static async start(
    words: readonly string[],
    mountPoint: string,
    env: NodeJS.ProcessEnv = {},
  ): Promise<Served> {
    const served = new Served(words, mountPoint, env)
    for (let waited = 0; waited < LONGEST_START; waited += 20) {
      if (isMounted(mountPoint)) return served
      if (served.#process.exitCode !== null) break
      await setTimeout(20)
    }
    await served.end()
    throw new Error(`svsfs ${words.join(' ')}: ${served.#said || 'nothing was mounted'}`)
  }

  /** What the process said, on both streams. */
  get said(): string {
    return this.#said
  }

  /** Ends the process as a crash does. What is mounted stays, and answers nothing; `end` follows. */
  async crash(): Promise<void> {
    this.#process.kill('SIGKILL')
    if (this.#process.exitCode === null && this.#process.signalCode === null)
      await once(this.#process, 'exit')
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  /** Unmounts, and waits until the process has ended. */
  async end(): Promise<void> {
    try {
      if (isMounted(this.#mountPoint)) unmount(this.#mountPoint)
      const ended = this.#process.exitCode !== null || this.#process.signalCode !== null
      const gone = ended ? true : await Promise.race([once(this.#process, 'exit'), late()])
      if (gone === undefined) throw new Error(`svsfs did not end with its mount: ${this.#said}`)
      if (this.#said.includes('breaking off')) throw new Error(`svsfs broke off: ${this.#said}`)
    } finally {
      this.#process.kill('SIGKILL')
      this.#endWatchdog()
    }
  }

  // Gone already where the mount is ended again, after an end that failed.
  #endWatchdog(): void {
    try {
      if (this.#watchdog.pid !== undefined) process.kill(-this.#watchdog.pid)
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code !== 'ESRCH') throw err
    }
  }
}

function isMounted(mountPoint: string): boolean {
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
  return mounts.split('\n').some((line) => line.split(' ')[1] === mountPoint)
}

function unmount(mountPoint: string): void {
  const root = process.geteuid?.() === 0
  const [command, ...words] = root ? ['umount'] : ['fusermount3', '-u']
  try {
    execFileSync(command!, [...words, mountPoint], { stdio: 'pipe' })
  } catch {
    // Something still uses it, because a behaviour failed half-way.
    execFileSync(command!, [...words, root ? '-l' : '-z', mountPoint], { stdio: 'pipe' })
  }
}
