// Programs that the benchmark starts, and what the kernel says of the daemons among them.
//
//   run(['tar', …])  ─▶  what it printed          every child carries SVSFS_BENCH=<place>
//   daemonsOf(mount)                              those that inherited the mark of a mount
//
// Rule: nothing here blocks, so that an interrupt is heard at any moment.

import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** Names the place that a process belongs to: the benchmark's directory, or a mount point in it. */
const MARK = 'SVSFS_BENCH'

/** A program that takes longer hangs. */
const LONGEST_MS = 300_000

export interface RunOptions {
  /** Value of the mark. */
  readonly place?: string
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
  readonly longest?: number
}

/** The environment of a process that belongs to a place. */
export const markedEnvironment = (place: string) => ({ ...process.env, [MARK]: place })

/** Runs a program and answers what it printed; throws an Error that says what went wrong. */
export function run(command: readonly string[], options: RunOptions = {}): Promise<string> {
  const [program, ...args] = command
  return new Promise((answer, reject) => {
    const child = spawn(program!, args, {
      env: { ...markedEnvironment(options.place ?? ''), ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      timeout: options.longest ?? LONGEST_MS,
      killSignal: 'SIGKILL',
    })
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
    child.stdin.on('error', () => {}) // it may end without reading
    child.stdin.end(options.input ?? '')
    child.on('error', (error: NodeJS.ErrnoException) =>
      reject(new Error(error.code === 'ENOENT' ? `${program} is not installed` : error.message)),
    )
    // A daemon that detached may keep the pipes: the end of the program itself decides.
    child.on('exit', (status, signal) => {
      setImmediate(() => {
        const printed = Buffer.concat(out).toString()
        if (status === 0) answer(printed)
        else reject(new Error(whyOf(command, Buffer.concat(err).toString() || printed, signal)))
        child.stdout.destroy()
        child.stderr.destroy()
      })
    })
  })
}

function whyOf(command: readonly string[], said: string, signal: string | null): string {
  const name = command.find((word) => !/^(taskset|-c|[\d,-]+)$/.test(word))?.replace(/^.*\//, '')
  if (signal !== null) return `${name} was ended by ${signal} (it may take ${LONGEST_MS / 1000} s)`
  return `${name}: ${said.trim().split('\n').at(-1)}`
}

/** Processes that serve a mount point: what the command that mounted it left behind. */
export function daemonsOf(mountPoint: string): number[] {
  return marked((place) => place === mountPoint)
}

/** Processes that belong to anything in a directory. */
export function processesIn(dir: string): number[] {
  return marked((place) => place === dir || place.startsWith(`${dir}/`))
}

function marked(wanted: (place: string) => boolean): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.map(Number).filter((pid) => {
    const entry = read(`/proc/${pid}/environ`)
      .split('\0')
      .find((line) => line.startsWith(`${MARK}=`))
    return pid !== process.pid && entry !== undefined && wanted(entry.slice(MARK.length + 1))
  })
}

/** Waits until all of them have ended; answers those that have not within 30 s. */
export async function ended(pids: readonly number[]): Promise<number[]> {
  let left = pids.filter(runs)
  for (let tries = 0; left.length > 0 && tries < 600; tries++) {
    await sleep(50)
    left = left.filter(runs)
  }
  return left
}

/** Resident memory in MiB. */
export function memoryOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) / 1024
}

/** The most memory that was resident at once since the process began, in MiB. */
export function peakMemoryOf(pid: number): number {
  return Number(/VmHWM:\s+(\d+)/.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) / 1024
}

/** Processor time that all threads used since the process began, in µs. */
export function processorTimeOf(pid: number): number {
  let nanoseconds = 0
  for (const thread of threadsOf(pid))
    nanoseconds += Number(read(`/proc/${pid}/task/${thread}/schedstat`).split(' ')[0] ?? 0)
  return nanoseconds / 1000
}

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`)
  } catch {
    return [] // it ended
  }
}

/** Share of all cores' time that was used, by anybody, while `wait` took. */
export async function busyShare(wait: () => Promise<unknown>): Promise<number> {
  const before = coreTimes()
  await wait()
  const after = coreTimes()
  const total = after.total - before.total
  return total === 0 ? 0 : 1 - (after.idle - before.idle) / total
}

function coreTimes(): { total: number; idle: number } {
  const times = read('/proc/stat').split('\n')[0]!.trim().split(/\s+/).slice(1, 9).map(Number)
  return { total: times.reduce((sum, time) => sum + time, 0), idle: times[3]! + times[4]! }
}

const runs = (pid: number) =>
  !['', 'Z'].includes(/\) (.)/.exec(read(`/proc/${pid}/stat`))?.[1] ?? '')

/** The file's text; '' where it, or its process, is gone. */
export function read(file: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return ''
  }
}
