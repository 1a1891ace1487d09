// The command line: from words to a command, from a failure to an exit status.
//
//   mount.fuse.svsfs …, svsfs overlay …        overlay-command.ts
//   svsfs daemon (with a channel)              daemon-command.ts
//   everything else                            program.ts
//
// Rule: the only place where a failure becomes text and a status. Nothing is loaded before it is
// known to be needed: the daemon's modules by the commands that need them, those by their users.

import { basename } from 'node:path'
import type { Command, CommanderError } from 'commander'
import { Failure } from '../base/failure.ts'
import { errorWords } from '../daemon/errors.ts'
import { wholeArguments } from './arguments.ts'
import { isConfigured } from './config-places.ts'
import { wantsShort } from './help-groups.ts'
import { Output } from './output.ts'
import { causesOf, verbosity } from './verbose.ts'

/** Runs the command line `argv` (as process.argv) and ends the process. */
export async function main(argv: readonly string[]): Promise<never> {
  // `svsfs … | head`: whoever read has had enough.
  process.stdout.on('error', (err: NodeJS.ErrnoException) => {
    process.exit(err.code === 'EPIPE' ? 0 : 1)
  })
  await perform(argv)
  return leave()
}

/** Runs a command line: what it prints, and `process.exitCode`, say how it went. */
export async function perform(argv: readonly string[]): Promise<void> {
  const args = wholeArguments(argv.slice(2))
  const habits: Habits = { verbose: false }
  try {
    await dispatch(basename(argv[1] ?? ''), args, habits)
  } catch (err) {
    const failure = await asFailure(err)
    if (failure !== null) {
      process.exitCode = failure.exit
      const causes = causesOf(failure, Math.max(verbosity(args), habits.verbose ? 1 : 0))
      new Output(args.includes('--json')).failure(errorWords(failure), causes)
    }
  }
}

/** What configuration says of every command, once it is read. */
interface Habits {
  verbose: boolean
}

async function dispatch(name: string, args: readonly string[], habits: Habits): Promise<void> {
  if (args[0] === 'daemon' && process.send !== undefined)
    return (await import('./daemon-command.ts')).daemon()
  if (/^mount\.(fuse\.)?svsfs(\.js)?$/.test(name)) return overlay(args, true)
  const rest = withoutCommon(args)
  if (rest[0] === 'overlay') return overlay(rest.slice(1))
  const { makeProgram } = await import('./program.ts')
  const asked = rest[0] === 'help' ? rest.slice(0, 2) : rest.slice(0, 1)
  const said: string[] = []
  const program = await makeProgram(
    (name) => asked.includes(name),
    wantsShort(args),
    (text) => said.push(text),
  )
  if (isHelperCall(program, rest)) return overlay(rest)
  // Not before commander knows the command and its words, so that help never needs a whole file.
  program.hook('preAction', async (_, command) => {
    if (!isConfigured()) return
    const { configure } = await import('./configuration.ts')
    habits.verbose = await configure(command)
  })
  try {
    await program.parseAsync(rest[0] === 'diff' ? args.map(asRange) : args, { from: 'user' })
  } finally {
    await print(said.join(''), !args.includes('--no-pager'))
  }
}

/** Help, and the version: longer than a screen, through a pager. */
async function print(text: string, paged: boolean): Promise<void> {
  const rows = process.stdout.rows ?? Number.POSITIVE_INFINITY
  if (!paged || process.stdout.isTTY !== true || text.split('\n').length <= rows)
    process.stdout.write(text)
  else await (await import('./pager.ts')).page(text)
}

async function overlay(args: readonly string[], helper = false): Promise<void> {
  return (await import('./overlay-command.ts')).overlay(args, helper)
}

const WORDLESS = /^(--json|--quiet|--verbose|-[qv]+|--store=.*)$/s

// The drop-in mount has no store; who names one for every command does no harm.
function withoutCommon(args: readonly string[]): readonly string[] {
  const [first = '', ...rest] = args
  if (first === '--store') return withoutCommon(rest.slice(1))
  return WORDLESS.test(first) ? withoutCommon(rest) : args
}

// To commander `-1` is a number, and `-1..latest` an option.
const asRange = (word: string): string => (/^-\d+\.\./.test(word) ? `@${word}` : word)

// mount.fuse3 calls the program of `-t fuse.svsfs` with a source in place of a command.
function isHelperCall(program: Command, args: readonly string[]): boolean {
  const at = args.indexOf('-o')
  const known = program.commands.some((command) => command.name() === args[0])
  return !known && at !== -1 && /(^|,)lowerdir=/.test(args[at + 1] ?? '')
}

/** null where commander has printed what was asked for: help, version. */
async function asFailure(err: unknown): Promise<Failure | null> {
  if (!isOfCommander(err)) return toFailure(err)
  if (err.exitCode === 0) return null
  if (err.code === 'commander.help') {
    const { makeProgram } = await import('./program.ts')
    process.stderr.write((await makeProgram(() => false)).helpInformation())
    return new Failure('SVS_USAGE', 'no command given')
  }
  return usageOf(err)
}

/** Commander's words in our form, with what it thinks was meant. */
function usageOf({ message }: CommanderError): Failure {
  const [, said = '', meant = null] =
    /^(?:error: )?(.*?)(?:\n\(Did you mean (?:one of )?(.*)\?\))?$/s.exec(message) ?? []
  return new Failure('SVS_USAGE', said).suggesting(meant)
}

const isOfCommander = (err: unknown): err is CommanderError =>
  err instanceof Error && String((err as CommanderError).code).startsWith('commander.')

function toFailure(err: unknown): Failure {
  if (err instanceof Failure) return err
  const { code, message } = errorWords(err)
  if (code === 'SVS_INTERNAL' && process.env.SVSFS_DEBUG !== undefined) console.error(err)
  const failure = new Failure(code as 'SVS_INTERNAL', '', { cause: err })
  failure.message = message
  return failure
}

// Threads of a command that is done (a snapshot's, LevelDB's) must not keep it; what was
// printed must have left first, also into a pipe.
async function leave(): Promise<never> {
  for (const stream of [process.stdout, process.stderr])
    await new Promise<void>((resolve) => stream.write('', () => resolve()))
  process.exit()
}
