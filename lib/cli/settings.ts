// What configuration can set: of each command the options that are habits, and how a value must look.
//
//   store, quiet, verbose, color      above all tables, for every command
//   [mount] settle-rate = 64          an option of a command   SVSFS_MOUNT_SETTLE_RATE
//   [daemon] recode = false           what has no option       SVSFS_RECODE
//
// Rule: an option can be set only if it is listed here. What says what one call is about (paths, names, times),
// throws something away, skips a question or lets in what is refused stays on the command line.

import { resolve } from 'node:path'
import type { Command, Option } from 'commander'

export type Kind = 'flag' | 'number' | 'text' | 'directory' | 'list'
export type Value = boolean | number | string | readonly string[]

export interface Setting {
  /** `mount`, `schedule.add`; '' where it stands above all tables. */
  readonly table: string
  readonly key: string
  readonly kind: Kind
  /** The only texts that it takes, where they are few. */
  readonly choices: readonly string[] | null
  /** The environment variable of the same meaning. */
  readonly variable: string
  readonly about: string
  /** The option's name as commander has it; null of what no option says. */
  readonly attribute: string | null
}

const KEEP = ['last', 'hourly', 'daily', 'weekly', 'monthly', 'tag'].map((each) => `keep-${each}`)

const HABITS: Readonly<Record<string, readonly string[]>> = {
  diff: ['patch'],
  events: ['last'],
  export: ['best', 'key'],
  forget: KEEP,
  freeze: ['block', 'preserve'],
  'layer.create': ['activate', 'with-depends'],
  'layer.replace': ['with-depends'],
  mount: [
    'allow-other',
    'base-timeout',
    'data-path',
    'read-only',
    'settle-rate',
    'trace',
    'transport',
    'whole-copies',
  ],
  recode: ['seconds'],
  run: ['trace'],
  'schedule.add': KEEP,
  snapshot: ['allow-empty', 'tag', 'wait'],
  snapshots: ['last', 'sizes'],
  update: ['rollback-on-failure'],
}

const plain = (table: string, key: string, kind: Kind, about: string): Setting => ({
  table,
  key,
  kind,
  choices: null,
  variable: variableOf(table === 'daemon' ? '' : table, key),
  about,
  attribute: table === '' ? key : null,
})

/** Those above all tables; `color` is heeded by commands that have the option. */
export const COMMON: readonly Setting[] = [
  plain('', 'store', 'directory', 'the store'),
  plain('', 'quiet', 'flag', 'only the result: no remarks and no progress'),
  plain('', 'verbose', 'flag', 'of a failure also what caused it'),
  plain('', 'color', 'flag', 'colours, wherever the output goes'),
]

/** What processes learn from their environment alone: a daemon when it is started. */
export const DAEMON: readonly Setting[] = [
  plain('daemon', 'recode', 'flag', 'store programs of states in less room, when there is time'),
  plain(
    'daemon',
    'most-nodes',
    'number',
    'how many names the kernel may keep before the oldest go',
  ),
  plain(
    'daemon',
    'notifications',
    'flag',
    'tell the desktop, by notify-send, what went wrong or was done from its menu',
  ),
  plain('daemon', 'zstd', 'flag', 'use libzstd.so.1 where it is there'),
]

/** `schedule.add` */
export function tableOf(command: Command): string {
  const names: string[] = []
  for (let each: Command | null = command; each?.parent; each = each.parent)
    names.unshift(each.name())
  return names.join('.')
}

/** Those of a command's own table. */
export function settingsOf(command: Command): readonly Setting[] {
  const table = tableOf(command)
  const habits = HABITS[table] ?? []
  return keysOf(command).flatMap(([key, option]) =>
    habits.includes(key) ? [settingOf(table, key, option)] : [],
  )
}

/** Every option of a command by the key that it would have: without `no-`. */
export function keysOf(command: Command): readonly (readonly [key: string, option: Option])[] {
  const keys = new Map<string, Option>()
  for (const option of command.options) {
    const key = (option.long ?? '').replace(/^--(no-)?/, '')
    if (!keys.has(key)) keys.set(key, option)
  }
  return [...keys]
}

/** The habits that are listed, as `table.key`; for whoever holds the list against the program. */
export const listed = (): string[] =>
  Object.entries(HABITS).flatMap(([table, keys]) => keys.map((key) => `${table}.${key}`))

const settingOf = (table: string, key: string, option: Option): Setting => ({
  table,
  key,
  kind: kindOf(option),
  choices: option.argChoices ?? null,
  variable: variableOf(table, key),
  about: option.negate ? `where false: ${option.description}` : option.description,
  attribute: option.attributeName(),
})

function kindOf(option: Option): Kind {
  if (option.negate || option.isBoolean()) return 'flag'
  if (option.variadic || (option.parseArg !== undefined && !option.argChoices)) return 'list'
  const [, what = ''] = /<([^>.]+)/.exec(option.flags) ?? []
  return ['n', 's', 'MiB', 'number'].includes(what) ? 'number' : 'text'
}

function variableOf(table: string, key: string): string {
  const words = ['SVSFS', ...table.split('.').filter(Boolean), key]
  return words.join('_').replace(/-/g, '_').toUpperCase()
}

const WANTED: Readonly<Record<Kind, string>> = {
  flag: 'true or false',
  number: 'a number',
  text: 'a text in quotes',
  directory: 'an absolute path in quotes',
  list: 'a list of texts, as ["…", "…"]',
}

/** A value from a file, or what it must be. */
export function checked(setting: Setting, value: unknown): { value: Value } | { wanted: string } {
  const { kind, choices } = setting
  if (kind === 'list' && typeof value === 'string') return { value: [value] }
  const fits =
    kind === 'flag'
      ? typeof value === 'boolean'
      : kind === 'number'
        ? Number.isFinite(value)
        : kind === 'list'
          ? Array.isArray(value) && value.every((each) => typeof each === 'string')
          : typeof value === 'string'
  if (!fits || (kind === 'directory' && !String(value).startsWith('/')))
    return { wanted: WANTED[kind] }
  if (choices !== null && !choices.includes(String(value)))
    return { wanted: `one of ${choices.join(', ')}` }
  return { value: value as Value }
}

const FLAGS: Readonly<Record<string, boolean>> = {
  '1': true,
  on: true,
  true: true,
  yes: true,
  '0': false,
  no: false,
  off: false,
  false: false,
}

/** The same of a variable's text; those of a list stand between colons. */
export function checkedText(setting: Setting, text: string): { value: Value } | { wanted: string } {
  switch (setting.kind) {
    case 'flag': {
      const value = FLAGS[text.toLowerCase()]
      return value === undefined ? { wanted: `${Object.keys(FLAGS).join(', ')}` } : { value }
    }
    case 'number':
      return checked(setting, text.trim() === '' ? null : Number(text))
    case 'directory':
      return { value: resolve(text) }
    case 'list':
      return { value: text.split(':').filter(Boolean) }
    case 'text':
      return checked(setting, text)
  }
}
