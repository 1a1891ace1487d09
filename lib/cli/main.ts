// The command line: from words to a command, from a failure to an exit status.
//
//   mount.fuse.svsfs …, svsfs overlay …        overlay-command.ts
//   svsfs daemon (with a channel)              daemon-command.ts
//   everything else                            commander, one row a command
//
// Rule: the only place where a failure becomes text and a status. The daemon's modules are
// loaded by the commands that need them, so that the others start fast.

import { basename } from 'node:path'
import { Command, CommanderError } from 'commander'
import { Failure } from '../base/failure.ts'
import { errorWords } from '../daemon/errors.ts'
import { wholeArguments } from './arguments.ts'
import { addCommonOptions } from './command.ts'
import { daemon } from './daemon-command.ts'
import { addHelpCommand } from './help-command.ts'
import { addLayerCommands } from './layer-commands.ts'
import { addMountCommands } from './mount-commands.ts'
import { addOrderCommands } from './order-commands.ts'
import { Output } from './output.ts'
import { OVERLAY_HELP, overlay } from './overlay-command.ts'
import { addRunCommand } from './run-command.ts'
import { addSettleCommand } from './settle-command.ts'
import { addStateCommands } from './state-commands.ts'
import { addStatusCommands } from './status-commands.ts'
import { version } from './version.ts'

/** Runs the command line `argv` (as process.argv) and ends the process. */
export async function main(argv: readonly string[]): Promise<never> {
  const args = wholeArguments(argv.slice(2))
  // `svsfs … | head`: whoever read has had enough.
  process.stdout.on('error', (err: NodeJS.ErrnoException) => {
    process.exit(err.code === 'EPIPE' ? 0 : 1)
  })
  try {
    await dispatch(basename(argv[1] ?? ''), args)
  } catch (err) {
    const failure = asFailure(err)
    if (failure !== null) {
      process.exitCode = failure.exit
      new Output(args.includes('--json')).failure(errorWords(failure))
    }
  }
  return leave()
}

async function dispatch(name: string, args: readonly string[]): Promise<void> {
  if (args[0] === 'daemon' && process.send !== undefined) return daemon()
  if (/^mount\.(fuse\.)?svsfs(\.js)?$/.test(name)) return overlay(args)
  const rest = withoutCommon(args)
  if (rest[0] === 'overlay') return overlay(rest.slice(1))
  const program = makeProgram()
  if (isHelperCall(program, rest)) return overlay(rest)
  await program.parseAsync(args, { from: 'user' })
}

// The drop-in mount has no store; who names one for every command does no harm.
function withoutCommon(args: readonly string[]): readonly string[] {
  const [first = '', ...rest] = args
  if (first === '--store') return withoutCommon(rest.slice(1))
  return first === '--json' || first.startsWith('--store=') ? withoutCommon(rest) : args
}

// mount.fuse3 calls the program of `-t fuse.svsfs` with a source in place of a command.
function isHelperCall(program: Command, args: readonly string[]): boolean {
  const at = args.indexOf('-o')
  const known = program.commands.some((command) => command.name() === args[0])
  return !known && at !== -1 && /(^|,)lowerdir=/.test(args[at + 1] ?? '')
}

export function makeProgram(): Command {
  const program = addCommonOptions(new Command('svsfs'))
    .description(
      'Application layers for Linux: switch them on and off while programs run, put them back to any earlier state.',
    )
    .version(version(), '--version')
    .helpOption('-h, --help', 'show help')
    .helpCommand(false)
    .enablePositionalOptions()
    .showHelpAfterError(false)
    .exitOverride()
    .configureOutput({ writeErr: () => {}, outputError: () => {} })
    .addHelpText('after', OVERVIEW)
  addLayerCommands(program)
  addMountCommands(program)
  addStatusCommands(program)
  addOrderCommands(program)
  addRunCommand(program)
  addStateCommands(program)
  addSettleCommand(program)
  // Reads its own words (overlay-command.ts); here for the list of commands and for its help.
  program
    .command('overlay')
    .summary('mount directories over each other, without a store')
    .configureHelp({ formatHelp: () => `${OVERLAY_HELP}\n` })
  addHelpCommand(program)
  return program
}

const OVERVIEW = `
Example, from an application to an earlier state of it:
  svsfs layer create tools --from /opt/tools   make a layer
  svsfs mount /mnt/app                         show the active layers
  svsfs activate tools                         at once, for running programs too
  svsfs snapshot tools -m "before the update"
  svsfs restore tools --pick                   put it back
  svsfs umount --all

svsfs help <command> says more, svsfs help errors lists all failures.`

/** null where commander has printed what was asked for: help, version. */
function asFailure(err: unknown): Failure | null {
  if (!(err instanceof CommanderError)) return toFailure(err)
  if (err.exitCode === 0) return null
  if (err.code === 'commander.help') {
    process.stderr.write(makeProgram().helpInformation())
    return new Failure('SVS_USAGE', 'no command given')
  }
  return new Failure('SVS_USAGE', err.message.replace(/^error: /, ''))
}

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
