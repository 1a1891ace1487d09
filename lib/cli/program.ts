// The commands of the program, as commander reads them: one row a command.
//
// Rule: a command's own modules are loaded when it runs.

import { Command } from 'commander'
import { addCommonOptions } from './command.ts'
import { addFreezeCommands } from './freeze-commands.ts'
import { addHelpCommand } from './help-command.ts'
import { addLayerCommands } from './layer-commands.ts'
import { addMountCommands } from './mount-commands.ts'
import { addOrderCommands } from './order-commands.ts'
import { OVERLAY_HELP } from './overlay-command.ts'
import { addRecodeCommand } from './recode-command.ts'
import { addRestoreCommands } from './restore-commands.ts'
import { addRunCommand } from './run-command.ts'
import { addScheduleCommands } from './schedule-commands.ts'
import { addSettleCommand } from './settle-command.ts'
import { addStateCommands } from './state-commands.ts'
import { addStateGroup } from './state-group.ts'
import { addStatusCommands } from './status-commands.ts'
import { addUndoCommand } from './undo-command.ts'
import { addUpdateCommand } from './update-command.ts'
import { addUpkeepCommands } from './upkeep-commands.ts'
import { version } from './version.ts'

/** All of them, not yet given any words. */
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
  addStateGroup(program)
  addScheduleCommands(program)
  addUpdateCommand(program)
  addRestoreCommands(program)
  addUndoCommand(program)
  addFreezeCommands(program)
  addSettleCommand(program)
  addUpkeepCommands(program)
  addRecodeCommand(program)
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
