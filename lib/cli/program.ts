// The commands of the program, as commander reads them.
//
//   table ─▶ all by name, with a line each ─▶ those that are wanted: whole
//
// Rule: the module of a command is loaded when that command is asked for, or its help.

import { Command } from 'commander'
import { addCommonOptions, complete } from './command.ts'
import { grouped, groupOf } from './help-groups.ts'
import { COMMANDS, type Group, type Leaf } from './table.ts'
import { version } from './version.ts'

/** All of them, not yet given any words; whole are those of which `wanted` says so. `short`: help is to be. */
export async function makeProgram(
  wanted: (name: string) => boolean,
  short = false,
  writeOut: (text: string) => void = (text) => void process.stdout.write(text),
): Promise<Command> {
  const program = addCommonOptions(new Command('svsfs'), short)
    .description(
      'Application layers for Linux: switch them on and off while programs run, put them back to any earlier state.',
    )
    .version(version(), '--version')
    .helpOption('-h, --help', 'show help: -h in short, --help all of it')
    .helpCommand(false)
    .enablePositionalOptions()
    .showHelpAfterError(false)
    .exitOverride()
    .configureOutput({ writeErr: () => {}, outputError: () => {}, writeOut })
    .configureHelp(short ? { subcommandTerm: (command) => command.name() } : {})
    .addHelpText('after', short ? SHORT : OVERVIEW)
  for (const each of grouped(COMMANDS, ({ usage }) => usage.split(' ')[0]!))
    await add(program, each, wanted, short)
  await addOverlay(program, wanted('overlay'))
  await addHelp(program, wanted('help'))
  for (const command of program.commands) command.helpGroup(groupOf(command.name()))
  return program
}

async function add(
  program: Command,
  entry: Leaf | Group,
  wanted: (name: string) => boolean,
  short: boolean,
): Promise<void> {
  const command = program.command(entry.usage).summary(entry.summary)
  if (!wanted(command.name())) addCommonOptions(command)
  else if ('row' in entry) complete(command, await entry.row(), short)
  else {
    addCommonOptions(command, short).description(entry.about)
    for (const { usage, summary, row } of entry.commands)
      complete(command.command(usage).summary(summary), await row(), short)
  }
}

// Reads its own words (overlay-command.ts); here for the list of commands and for its help.
async function addOverlay(program: Command, whole: boolean): Promise<void> {
  const command = program
    .command('overlay')
    .summary('mount directories over each other, without a store')
  if (!whole) return
  const { OVERLAY_HELP } = await import('./overlay-command.ts')
  command.configureHelp({ formatHelp: () => `${OVERLAY_HELP}\n` })
}

async function addHelp(program: Command, whole: boolean): Promise<void> {
  const command = program
    .command('help')
    .summary('show help for a command; help errors shows all failures')
  if (whole) (await import('./help-command.ts')).completeHelp(program, command)
  else addCommonOptions(command).argument('[command...]')
}

const SHORT = '\nsvsfs --help has an example, svsfs COMMAND -h the options of one.'

const OVERVIEW = `
Example, from an application to an earlier state of it:
  svsfs layer create tools --from /opt/tools   make a layer
  svsfs mount /mnt/app                         show the active layers
  svsfs activate tools                         at once, for running programs too
  svsfs snapshot tools -m "before the update"
  svsfs restore tools --pick                   put it back
  svsfs umount --all

svsfs help <command> says more, svsfs help errors lists all failures.`
