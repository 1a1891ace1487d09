// Configuration: what is set where the command line says nothing.
//
//   /etc ─▶ the user's file ─▶ SVSFS_* ─▶ words of the command line        the later wins
//            (config-file.ts)              │
//   what can be set: settings.ts           └▶ commander has read them: they are left as they are
//
// Rule: a command touches the keys for all commands and its own table, before it does anything; of other
// tables the names are looked at, not what is in them (svsfs config show looks at all).

import type { Command } from 'commander'
import { Failure } from '../base/failure.ts'
import { nearest } from '../layer/nearest.ts'
import { readConfiguration, type Table } from './config-file.ts'
import { configurationFiles } from './config-places.ts'
import {
  COMMON,
  checked,
  checkedText,
  DAEMON,
  keysOf,
  type Setting,
  settingsOf,
  tableOf,
  type Value,
} from './settings.ts'
import { COMMANDS } from './table.ts'

/** A setting that something sets, and what: a file, or the name of a variable. */
export interface Found {
  readonly setting: Setting
  readonly value: Value
  readonly origin: string
}

/** Sets what the command line has left open. True where failures shall tell their causes. */
export async function configure(command: Command): Promise<boolean> {
  const found = await findAll([command])
  for (const { setting, value } of found) {
    if (setting.table === 'daemon') handOn(setting, value)
    else apply(command, setting, value)
  }
  return found.some(({ setting, value }) => setting.key === 'verbose' && value === true)
}

/** All that is set for these commands, in the order of the settings; every file is checked for them. */
export async function findAll(
  commands: readonly Command[],
  files = configurationFiles(),
  env = process.env,
): Promise<readonly Found[]> {
  const settings = [...COMMON, ...DAEMON, ...commands.flatMap(settingsOf)]
  const found = new Map<Setting, Found>()
  const keep = (setting: Setting, value: Value, origin: string) =>
    void found.set(setting, { setting, value, origin })
  for (const file of files) {
    const table = await readConfiguration(file)
    if (table !== null) await readTables({ file, settings, commands, keep }, table)
  }
  for (const setting of settings) fromEnvironment(setting, env, keep)
  return settings.flatMap((setting) => found.get(setting) ?? [])
}

function apply(command: Command, { attribute, key }: Setting, value: Value): void {
  if (attribute === null) return
  for (let each: Command | null = command; each !== null; each = each.parent)
    if (each.getOptionValueSource(attribute) === 'cli') return
  const known = command.options.some((option) => option.attributeName() === attribute)
  if (!known && key === 'color') return
  const given = typeof value === 'number' ? String(value) : value
  command.setOptionValueWithSource(attribute, given, 'config')
}

/** Variables that have their value from a file, by way of this process: they are no origin. */
const handedOn = new Set<string>()

/** To the processes that this one starts. */
function handOn({ variable }: Setting, value: Value): void {
  if (process.env[variable] && !handedOn.has(variable)) return
  process.env[variable] = typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value)
  handedOn.add(variable)
}

function fromEnvironment(
  setting: Setting,
  env: NodeJS.ProcessEnv,
  keep: (setting: Setting, value: Value, origin: string) => void,
): void {
  const { key, table, variable } = setting
  const text = handedOn.has(variable) && env === process.env ? '' : env[variable]
  if (text === undefined || text === '') {
    if (key === 'color' && table === '' && env.NO_COLOR) keep(setting, false, 'NO_COLOR')
    return
  }
  const found = checkedText(setting, text)
  if ('wanted' in found)
    throw new Failure('SVS_CONFIG_INVALID', variable, `"${text}" must be ${found.wanted}`)
  keep(setting, found.value, variable)
}

/** A file that is being read, and for whom. */
interface Reading {
  readonly file: string
  readonly settings: readonly Setting[]
  readonly commands: readonly Command[]
  keep(setting: Setting, value: Value, origin: string): void
}

const nameOf = (usage: string): string => usage.split(' ')[0] ?? ''

async function readTables(reading: Reading, top: Table): Promise<void> {
  const known = new Map(COMMANDS.map((each) => [nameOf(each.usage), each]))
  for (const [key, value] of Object.entries(top)) {
    const entry = known.get(key)
    const isCommon = COMMON.some((setting) => setting.key === key)
    if (isCommon) readKey(reading, '', key, value)
    else if (key === 'daemon') await readTable(reading, key, tableIn(reading, key, value))
    else if (entry === undefined) {
      const names = [...COMMON.map((setting) => setting.key), 'daemon', ...known.keys()]
      throw await unknown(reading, `there is no setting and no table "${key}"`, key, names)
    } else if ('row' in entry) await readTable(reading, key, tableIn(reading, key, value))
    else {
      const names = entry.commands.map(({ usage }) => nameOf(usage))
      for (const [name, inner] of Object.entries(tableIn(reading, key, value))) {
        const path = `${key}.${name}`
        if (!names.includes(name))
          throw await unknown(reading, `there is no table [${path}]`, name, names)
        await readTable(reading, path, tableIn(reading, path, inner))
      }
    }
  }
}

/** Of the tables of other commands nothing is read. */
async function readTable(reading: Reading, table: string, values: Table): Promise<void> {
  const command = reading.commands.find((each) => tableOf(each) === table)
  if (command === undefined && table !== 'daemon') return
  const own = reading.settings.filter((setting) => setting.table === table)
  for (const [key, value] of Object.entries(values)) {
    if (own.some((setting) => setting.key === key)) {
      readKey(reading, table, key, value)
      continue
    }
    const plain = key.replace(/^no-/, '')
    if (plain !== key && own.some((setting) => setting.key === plain))
      throw invalid(reading, `"${key}" in [${table}] is written ${plain} = false`)
    const options = command === undefined ? [] : keysOf(command).map(([name]) => name)
    if (COMMON.some((setting) => setting.key === key))
      throw invalid(reading, `"${key}" in [${table}] must stand above all tables`)
    if (options.includes(plain))
      throw invalid(reading, `"${key}" in [${table}] can be given on the command line alone`)
    const names = own.map((setting) => setting.key)
    throw await unknown(reading, `there is no setting "${key}" in [${table}]`, key, names)
  }
}

function readKey(reading: Reading, table: string, key: string, value: unknown): void {
  const { file, settings, keep } = reading
  const setting = settings.find((each) => each.table === table && each.key === key)
  if (setting === undefined) return
  const found = checked(setting, value)
  const where = table === '' ? '' : ` in [${table}]`
  if ('wanted' in found) throw invalid(reading, `"${key}"${where} must be ${found.wanted}`)
  keep(setting, found.value, file)
}

function tableIn(reading: Reading, path: string, value: unknown): Table {
  if (Object.prototype.toString.call(value) === '[object Object]') return value as Table
  throw invalid(reading, `"${path}" must be a table, as [${path}]`)
}

const invalid = ({ file }: Reading, what: string): Failure =>
  new Failure('SVS_CONFIG_INVALID', file, what)

async function unknown(
  reading: Reading,
  what: string,
  word: string,
  known: readonly string[],
): Promise<Failure> {
  return invalid(reading, what).suggesting(await nearest(word, known))
}
