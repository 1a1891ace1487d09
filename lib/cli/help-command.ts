// svsfs help: the manual. `help errors` and `help exits` print the tables of failures, `help json` shapes of answers.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { FAILURES, Failure } from '../base/failure.ts'
import { nearest } from '../layer/nearest.ts'
import { addCommonOptions, type CommandRow, complete } from './command.ts'
import { EXITS } from './exits.ts'

interface FailureLine {
  readonly code: string
  readonly exit: number
  readonly text: string
}

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

interface ExitLine {
  readonly exit: number
  readonly meaning: string
}

const exits: CommandRow<null, ExitLine[]> = {
  about: 'svsfs run and svsfs update exit with the status of the program that they ran.',
  examples: ['svsfs help exits', 'svsfs help exits --json'],
  parse: () => null,
  run: async () => EXITS.map(([exit, meaning]) => ({ exit, meaning })),
  print: (lines, out) => {
    for (const { exit, meaning } of lines) out.line(`${String(exit).padStart(2)}  ${meaning}`)
  },
}

const json: CommandRow<string, unknown> = {
  about:
    'As JSON Schema: what stands behind "data" where the command has done what it was asked. A field may be added by a later version; none is taken away, and none changes its meaning.',
  examples: ['svsfs help json status', 'svsfs help json layer create'],
  parse: (words) => words.args(0).join(' '),
  run: async (_, name) => {
    const { ANSWERS, schemaOf } = await import('./answers/all.ts')
    if (Object.hasOwn(ANSWERS, name)) return schemaOf(name)
    const failure = new Failure('SVS_USAGE', `no answer of a command "${name}" is known`)
    throw failure.suggesting(await nearest(name, Object.keys(ANSWERS)))
  },
  print: (schema, out) => out.line(JSON.stringify(schema, null, 2)),
}

/** `help`, `help <command…>`, and what is no command. */
export function completeHelp(program: Command, help: Command): void {
  addCommonOptions(help)
    .argument('[command...]')
    .description('Shows help for a command, or writes the whole manual.')
    .option('--man <dir>', 'write the manual there, as pages for man(1)')
    .option('--markdown <dir>', 'write it there as reference.md and errors.md')
    .action(async (names: string[], { man, markdown }: { man?: string; markdown?: string }) => {
      if (man !== undefined) await write(man, (await import('./man.ts')).manPages())
      if (markdown !== undefined)
        await write(markdown, (await import('./markdown.ts')).markdownPages())
      if (man !== undefined || markdown !== undefined) return
      let command = program
      for (const name of names) {
        const found = command.commands.find((each) => each.name() === name)
        if (found === undefined) {
          const known = command.commands.map((each) => each.name())
          const failure = new Failure('SVS_USAGE', `unknown command '${names.join(' ')}'`)
          throw failure.suggesting(await nearest(name, known))
        }
        command = found
      }
      command.outputHelp()
    })
  const summary = 'show every failure with its code, its exit status and what it says'
  complete(help.command('errors').summary(summary), errors)
  complete(help.command('exits').summary('show what each exit status means'), exits)
  const about = 'show the shape of what a command answers with --json'
  complete(help.command('json <command...>').summary(about), json)
}

async function write(dir: string, pages: Promise<ReadonlyMap<string, string>>): Promise<void> {
  try {
    mkdirSync(dir, { recursive: true })
    for (const [name, text] of await pages) writeFileSync(join(dir, name), text)
  } catch (err) {
    const { code, message } = err as NodeJS.ErrnoException
    throw code === undefined ? err : new Failure('SVS_DIRECTORY_INVALID', dir, message)
  }
}
