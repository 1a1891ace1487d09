// svsfs help: the manual. `help errors` prints the table of failures.

import type { Command } from 'commander'
import { FAILURES } from '../base/failure.ts'
import { addCommonOptions, type CommandRow, complete } from './command.ts'

interface FailureLine {
  readonly code: string
  readonly exit: number
  readonly text: string
}

const EXITS: readonly (readonly [number, string])[] = [
  [0, 'done'],
  [1, 'failed'],
  [2, 'asked wrongly'],
  [3, 'not found'],
  [4, 'exists already, or nothing to do'],
  [5, 'in use'],
  [6, 'no store, or the store is locked'],
  [7, 'damaged'],
  [8, 'this host cannot: a tool, a library or a feature of the kernel or disk is missing'],
  [9, 'refused'],
  [10, 'bad input: an archive, a manifest, a name'],
]

const errors: CommandRow<null, FailureLine[]> = {
  about: 'svsfs run exits with the status of the program it ran.',
  examples: ['svsfs help errors', 'svsfs help errors --json'],
  parse: () => null,
  run: async () => Object.entries(FAILURES).map(([code, [exit, text]]) => ({ code, exit, text })),
  print: (failures, out) => {
    out.line('Exit status:')
    for (const [exit, meaning] of EXITS) out.line(`  ${String(exit).padStart(2)}  ${meaning}`)
    out.line()
    out.line('Failures (… stands for what it is about):')
    for (const { code, exit, text } of failures) {
      out.line(`  ${code}  (exit ${exit})`)
      out.line(`      ${text.replaceAll('%s', '…')}`)
    }
  },
}

/** `help`, `help <command…>` and `help errors`. */
export function completeHelp(program: Command, help: Command): void {
  addCommonOptions(help)
    .argument('[command...]')
    .description('Shows help for a command.')
    .action((names: string[]) => {
      let command = program
      for (const name of names) {
        const found = command.commands.find((each) => each.name() === name)
        if (found === undefined) return program.error(`unknown command '${names.join(' ')}'`)
        command = found
      }
      command.outputHelp()
    })
  const summary = 'show every failure with its code, its exit status and what it says'
  complete(help.command('errors').summary(summary), errors)
}
