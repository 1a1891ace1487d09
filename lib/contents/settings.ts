// Which files are settings, and what they say.
//
//   name, first bytes ─▶ the formats that it may be ─▶ the first whose reader takes all of it
//
//   JSON, with comments too (VS Code, Chromium)      TOML      property lists, XML and binary
//   INI, .desktop, KDE, git                          .reg, also Wine's       Firefox's prefs.js
//
// Rule: what a file holds is what counts: one that claims to be JSON and is not, is none. A reader that
// does not take the whole file throws, whatever it throws; here that means text.

import { readIni } from './ini.ts'
import { readPrefs } from './prefs.ts'
import { readRegistry } from './registry.ts'
import { NoSettings, type SettingMap, settingOf } from './setting.ts'
import { textOf } from './text.ts'

export type SettingsFormat = 'json' | 'toml' | 'plist' | 'ini' | 'registry' | 'prefs'

export interface Settings {
  readonly format: SettingsFormat
  readonly values: SettingMap
}

interface Format {
  readonly format: SettingsFormat
  /** Of its name, and how its text begins. */
  mayBe(name: string, begin: string): boolean
  read(text: string, bytes: Uint8Array): SettingMap | Promise<SettingMap>
}

const FORMATS: readonly Format[] = [
  {
    format: 'plist',
    mayBe: (_, begin) => begin.startsWith('bplist00') || /^<[?!p]/.test(begin),
    read: async (text, bytes) => (await import('./plist.ts')).readPropertyList(text, bytes),
  },
  {
    format: 'registry',
    mayBe: (_, begin) => /^(REGEDIT4|Windows Registry Editor|WINE REGISTRY)\b/.test(begin),
    read: readRegistry,
  },
  {
    format: 'prefs',
    mayBe: (name) => name.endsWith('.js'),
    read: readPrefs,
  },
  {
    format: 'toml',
    mayBe: (name) => name.endsWith('.toml'),
    read: async (text) => {
      const { parse } = await import('smol-toml')
      return rooted(parse(text, { integersAsBigInt: 'asNeeded', maxDepth: 100 }))
    },
  },
  {
    format: 'json',
    mayBe: (_, begin) => /^[{[]|^\/[/*]/.test(begin),
    read: async (text) => (await import('./json.ts')).readJson(text),
  },
  {
    format: 'ini',
    mayBe: (name, begin) => /^\[|^[;#]/.test(begin) || INI_NAME.test(name),
    read: readIni,
  },
]

const INI_NAME = /(\.(ini|cfg|conf|desktop|directory|properties|env)|rc)$/

/** Of a file that is called so; null for what is no settings. Never throws. */
export async function readSettings(name: string, bytes: Uint8Array): Promise<Settings | null> {
  const isBinary = Buffer.from(bytes.subarray(0, 8)).equals(BINARY_LIST)
  const text = isBinary ? 'bplist00' : textOf(bytes)
  if (text === null) return null
  const begin = text.slice(0, 4096).trimStart()
  for (const { format, mayBe, read } of FORMATS) {
    if (!mayBe(name, begin)) continue
    try {
      return { format, values: await read(text, bytes) }
    } catch (err) {
      // It may be another; that a reader is missing is no word about the file.
      if (String((err as NodeJS.ErrnoException).code).endsWith('MODULE_NOT_FOUND')) throw err
    }
  }
  return null
}

const BINARY_LIST = Buffer.from('bplist00')

const rooted = (value: unknown): SettingMap => {
  const setting = settingOf(value)
  if (setting instanceof Map) return setting
  throw new NoSettings('no keys')
}
