// What is compared: ways to show one lower and one upper directory as one tree.
//
// Rule: a subject that cannot take part says why; none is left out in silence.

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'

/** Directories of one mount; `upper` and `work` are new and empty. */
export interface Place {
  readonly lower: string
  readonly upper: string
  readonly work: string
  readonly mount: string
}

export interface Subject {
  readonly name: string
  /** Its version; throws an Error that says what is missing. */
  version(): string
  /** The command that mounts; null where the lower directory itself is worked on. */
  command(place: Place): readonly string[] | null
}

const SVSFS = new URL('../bin/svsfs.js', import.meta.url).pathname

const layers = ({ lower, upper, work }: Place) =>
  `lowerdir=${lower},upperdir=${upper},workdir=${work}`

export const PLAIN: Subject = { name: 'plain', version: () => '', command: () => null }

export const KERNEL: Subject = {
  name: 'kernel overlayfs',
  version() {
    if (process.getuid!() !== 0) throw new Error('needs root')
    return run(['uname', '-r']).trim()
  },
  command: (place) => ['mount', '-t', 'overlay', 'overlay', '-o', layers(place), place.mount],
}

export const FUSE_OVERLAYFS: Subject = {
  name: 'fuse-overlayfs',
  version: () => /fuse-overlayfs: version (\S+)/.exec(run(['fuse-overlayfs', '--version']))![1]!,
  command: (place) => ['fuse-overlayfs', '-o', layers(place), place.mount],
}

export const SVSFS_DIRECT: Subject = svsfs('svsfs', 'direct')
export const SVSFS_NATIVE: Subject = svsfs('svsfs fuse-native', 'fuse-native')

export const SUBJECTS = [PLAIN, KERNEL, FUSE_OVERLAYFS, SVSFS_DIRECT, SVSFS_NATIVE]

function svsfs(name: string, transport: string): Subject {
  return {
    name,
    version() {
      if (!existsSync(SVSFS)) throw new Error('not built')
      return run([process.execPath, SVSFS, '--version']).trim()
    },
    command: (place) => [
      process.execPath,
      SVSFS,
      'overlay',
      'bench',
      place.mount,
      '-o',
      layers(place),
      '--transport',
      transport,
    ],
  }
}

/** Mounts, and answers the root to work below. */
export function mount(subject: Subject, place: Place): string {
  const command = subject.command(place)
  if (command === null) return place.lower
  run(command, { ...process.env, [MARK]: place.mount })
  return place.mount
}

/** Unmounts, and waits until the daemon has ended. */
export async function unmount(place: Place): Promise<void> {
  if (!read('/proc/self/mounts').includes(` ${place.mount} `)) return
  const daemons = daemonsOf(place.mount)
  try {
    run(['umount', place.mount])
  } catch {
    run(['umount', '-l', place.mount]) // a program that failed still has it open
  }
  for (let tries = 0; daemons.some(runs) && tries < 200; tries++) await pause(50)
}

export const pause = (ms: number) => new Promise((wake) => setTimeout(wake, ms))

// Daemons inherit it from the command that mounts.
const MARK = 'SVSFS_BENCH_MOUNT'

/** Processes that serve a mount point: what the command that mounted it left behind. */
export function daemonsOf(mountPoint: string): number[] {
  const mark = `${MARK}=${mountPoint}`
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.filter((pid) => read(`/proc/${pid}/environ`).split('\0').includes(mark)).map(Number)
}

/** Resident memory in MiB. */
export function memoryOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) / 1024
}

/** Processor time used since the process began, in clock ticks. */
export function ticksOf(pid: number): number {
  const fields = read(`/proc/${pid}/stat`)
    .replace(/^.*\) /, '')
    .split(' ')
  return Number(fields[11]) + Number(fields[12])
}

const runs = (pid: number) =>
  !['', 'Z'].includes(/\) (.)/.exec(read(`/proc/${pid}/stat`))?.[1] ?? '')

/** The file's text; '' where it, or its process, is gone. */
function read(file: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return ''
  }
}

/** A command that takes longer hangs. */
const LONGEST = 300_000

/** Runs a command and answers what it printed; throws what went wrong. */
export function run([program, ...args]: readonly string[], env = process.env): string {
  const ran = spawnSync(program!, args, { encoding: 'utf8', timeout: LONGEST, env })
  if (ran.error !== undefined) {
    const { code } = ran.error as NodeJS.ErrnoException
    throw new Error(code === 'ENOENT' ? `${program} is not installed` : `${program}: ${code}`)
  }
  if (ran.status !== 0) throw new Error((ran.stderr || ran.stdout).trim().split('\n').at(-1))
  return ran.stdout
}
