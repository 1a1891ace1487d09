// Running a program in a view: bubblewrap makes the view its root.
//
//   /            the view: everything the program changes lands in the layer
//   /proc /dev   its own: it sees its own processes, and the devices that any program may have
//   /tmp /run    empty, in memory, gone at the end; sockets of the desktop are let through
//   /sys         the host's, read-only
//
// The network is the host's. The program and its children end with the command that started
// it, so that nothing is left in a view that goes away.
//
// Rule: the program runs as the caller, root or not, with no more rights than the caller has.

import { type ChildProcess, type StdioOptions, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { constants } from 'node:os'
import type { Readable } from 'node:stream'
import { Failure } from '../base/failure.ts'
import { bytesOf, isWithin } from '../base/path.ts'
import { AT_FDCWD, must, O, sys } from '../host/sys.ts'
import { findTool } from '../host/tool.ts'
import { programEnvironment } from './environment.ts'
import { makeHome } from './home.ts'
import { findDirectory, findProgram, isProgram } from './program.ts'
import { type Bind, isInMemory, sandboxArguments } from './sandbox.ts'

export interface RunRequest {
  /** Directory that becomes the program's root; absolute. */
  readonly view: string
  readonly command: readonly [string, ...string[]]
  /** HOME inside the view, absolute; made if it can be, owned by the caller. */
  readonly home: string
  /** Variables that the layer's manifest sets, over the caller's. */
  readonly env?: Readonly<Record<string, string>>
  /** Directories or files of the host that show inside. */
  readonly binds?: readonly Bind[]
  /** Kept where it exists inside; HOME otherwise. */
  readonly cwd?: string
  /** Of the first three descriptors; inherited by default. */
  readonly stdio?: StdioOptions
}

/**
 * Runs the program, and waits for its end. Returns its exit status, 128 + n where signal n ended it. Throws
 * SVS_PROGRAM_NOT_FOUND before anything runs; SVS_NAMESPACE_REFUSED where the host forbids it.
 */
export async function runInView(request: RunRequest): Promise<number> {
  const { view, binds = [], cwd = process.cwd() } = request
  const bubblewrap = findTool('bwrap')
  const root = must(sys.openat(AT_FDCWD, bytesOf(view), O.PATH | O.DIRECTORY), view)
  try {
    const home = makeHome(root, request.home)
    const env = programEnvironment({ home, given: request.env ?? {} })
    const place = placeOf(root, cwd, binds) ?? home
    findProgram(root, request.command[0], { path: env.PATH ?? '', place, binds })
    const command = answering(root, request.command)
    const words = sandboxArguments({
      view,
      binds,
      place,
      status: STATUS,
      command: command ?? request.command,
    })
    const start = command === null ? [bubblewrap] : deaf(bubblewrap)
    return await waitFor(() => spawnProgram([...start, ...words], env, request.stdio ?? 'inherit'))
  } finally {
    sys.close(root)
  }
}

// The caller's directory, where the program has one of that name and content.
function placeOf(root: number, cwd: string, binds: readonly Bind[]): string | null {
  const bound = binds.some(({ inside }) => isWithin(cwd, inside))
  if (!bound && isInMemory(cwd)) return null
  return bound || findDirectory(root, cwd) ? cwd : null
}

// Ctrl-C goes to bubblewrap too, which would die of it, and take the program along before that has
// answered. So bubblewrap is started deaf to it; and since that is inherited, the program is
// started by an env that undoes it (coreutils has it since 8.31). Without one, Ctrl-C ends all.
const HEARING = ['/usr/bin/env', '--default-signal=INT,QUIT'] as const

const deaf = (program: string): string[] => [
  '/bin/sh',
  '-c',
  'trap "" INT QUIT; exec "$0" "$@"',
  program,
]

/** The command, so that it hears Ctrl-C although bubblewrap does not; null where nothing can do that. */
function answering(root: number, command: readonly string[]): readonly string[] | null {
  const [env, option] = HEARING
  if (command[0]?.includes('=') === true || !isProgram(root, env)) return null
  return spawnSync(env, [option, 'true']).status === 0 ? [env, option, ...command] : null
}

/** Descriptor on which bubblewrap tells of its child, beside the program's own three. */
const STATUS = 3

function spawnProgram(
  [program, ...words]: readonly string[],
  env: NodeJS.ProcessEnv,
  stdio: StdioOptions,
): ChildProcess {
  const three = typeof stdio === 'string' ? [stdio, stdio, stdio] : stdio.slice(0, 3)
  return spawn(program!, words, {
    env,
    stdio: [...three, 'pipe'],
  })
}

const FORWARDED = ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const
/** The terminal sends these to the program itself. */
const OF_THE_TERMINAL = ['SIGINT', 'SIGQUIT'] as const

async function waitFor(start: () => ChildProcess): Promise<number> {
  let child: ChildProcess | null = null
  let status = ''
  const forward = (signal: NodeJS.Signals) => {
    if (child !== null) signalProgram(child, status, signal)
  }
  const stay = () => {}
  // Before the program starts: Ctrl-C may come at once.
  for (const signal of FORWARDED) process.on(signal, forward)
  for (const signal of OF_THE_TERMINAL) process.on(signal, stay)
  try {
    child = start()
    ;(child.stdio[STATUS] as Readable).on('data', (bytes: Buffer) => {
      status += bytes.toString('latin1')
    })
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
    // Without a child nothing of the program ran: bubblewrap has said why on stderr.
    if (code !== 0 && innerProcess(status) === null && signal === null) {
      throw new Failure('SVS_NAMESPACE_REFUSED', 'bubblewrap has said why above')
    }
    return code ?? 128 + (signal === null ? 0 : constants.signals[signal])
  } finally {
    for (const signal of FORWARDED) process.off(signal, forward)
    for (const signal of OF_THE_TERMINAL) process.off(signal, stay)
  }
}

// bubblewrap's own process passes no signal on: the program is the first child of the first
// process of its namespace.
function signalProgram(child: ChildProcess, status: string, signal: NodeJS.Signals): void {
  const first = innerProcess(status)
  const program = first === null ? null : firstChild(first)
  if (program === null) child.kill(signal)
  else process.kill(program, signal)
}

/** The process number in `{ "child-pid": 123 }`, null before it was told. */
function innerProcess(status: string): number | null {
  const found = /"child-pid"\s*:\s*(\d+)/.exec(status)
  return found === null ? null : Number(found[1])
}

function firstChild(process: number): number | null {
  try {
    const children = readFileSync(`/proc/${process}/task/${process}/children`, 'utf8')
    const [first] = children.trim().split(' ')
    return first === undefined || first === '' ? null : Number(first)
  } catch {
    // The process ended meanwhile, or the kernel does not list children.
    return null
  }
}
