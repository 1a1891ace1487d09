// svsfs config show: what is set, and by what.

import type { Command } from 'commander'
import { type CommandRow, option } from './command.ts'
import { configurationFiles } from './config-places.ts'
import { findAll } from './configuration.ts'
import { printable } from './output.ts'
import { COMMON, DAEMON, type Setting, settingsOf, type Value } from './settings.ts'

interface Wish {
  readonly origin: boolean
  readonly all: boolean
  /** What the command line itself says, by key. */
  readonly given: Readonly<Record<string, Value>>
}

interface Line {
  readonly table: string
  readonly key: string
  /** null: it can be set, and is not. */
  readonly value: Value | null
  /** A file, a variable, or an option. */
  readonly origin: string | null
  readonly variable: string
  readonly about: string
}

interface Shown {
  readonly files: readonly string[]
  readonly settings: readonly Line[]
}

export const show: CommandRow<Wish, Shown> = {
  about: `What options are when they are not given is read from /etc/svsfs/config.toml, then from $XDG_CONFIG_HOME/svsfs/config.toml (~/.config/svsfs/config.toml), then from variables of the environment; the later wins, and an option on the command line over all. What is printed is such a file.

The keys store, quiet, verbose and color stand above all tables; each command has a table with its name ([mount], [schedule.add]), whose keys are its options. What one call is about, and what throws something away or skips a question (--force, --yes), can be given on the command line alone. [daemon] is read when a daemon is started.

A variable is called SVSFS_, the table, the key: SVSFS_MOUNT_READ_ONLY=0; several values stand between colons. A key that is not known is an error. All tables are checked here, those of the command alone where another one runs.`,
  options: [
    option('--origin', 'say of each where it is set'),
    option('--all', 'also what can be set and is not, as remarks'),
  ],
  examples: ['svsfs config show --origin', 'svsfs config show --all', 'svsfs config show --json'],
  parse: (words) => {
    const given: Record<string, Value> = {}
    for (const { key, kind } of COMMON)
      if (words.given().includes(`--${key}`))
        given[key] = kind === 'flag' ? true : (words.text(key) ?? '')
    return { origin: words.flag('origin'), all: words.flag('all'), given }
  },
  run: async (_, { all, given }) => {
    const { makeProgram } = await import('./program.ts')
    const commands = leavesOf(await makeProgram(() => true))
    const found = await findAll(commands)
    const lines = [...COMMON, ...DAEMON, ...commands.flatMap(settingsOf)].map((setting) => {
      const { table, key, variable, about } = setting
      const set = found.find((each) => same(each.setting, setting))
      const own = table === '' ? given[key] : undefined
      const value = own ?? set?.value ?? null
      const origin = own === undefined ? (set?.origin ?? null) : `--${key}`
      return { table, key, value, origin, variable, about }
    })
    const settings = all ? lines : lines.filter(({ value }) => value !== null)
    return { files: configurationFiles(), settings }
  },
  print: ({ files, settings }, out, { origin: wanted, all }) => {
    let table = ''
    for (const line of settings) {
      if (line.table !== table) {
        if (line !== settings[0]) out.line()
        out.line(`[${line.table}]`)
        table = line.table
      }
      const remark = wanted && line.origin !== null ? `  # ${printable(line.origin)}` : ''
      if (line.value !== null) out.line(`${line.key} = ${valueText(line.value)}${remark}`)
      else out.line(`# ${line.key}: ${line.about} (${line.variable})`)
    }
    if (settings.length === 0) out.note(`nothing is set; looked for: ${files.join(', ')}`)
    if (!all) out.note('svsfs config show --all shows what can be set')
  },
}

const same = (a: Setting, b: Setting): boolean => a.table === b.table && a.key === b.key

// The escapes of JSON are among TOML's; what could steer a terminal is written as one.
const valueText = (value: Value): string =>
  JSON.stringify(value).replace(
    /[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

const leavesOf = (command: Command): Command[] =>
  command.commands.length === 0 ? [command] : command.commands.flatMap(leavesOf)
