// What Windows and Wine write of a registry: keys in brackets, names and values below.
//
//   [HKEY_CURRENT_USER\Software\App]        HKEY_CURRENT_USER\Software\App ─▶ Size ─▶ dword:00000010
//   "Size"=dword:00000010
//
// Rule: values are text as they stand there, their quotes gone, lines that go on joined. A key that is
// being deleted (`[-KEY]`) is a key of that name.

import { NoSettings, type Setting, type SettingMap } from './setting.ts'

const FIRST = /^(REGEDIT4|Windows Registry Editor Version [\d.]+|WINE REGISTRY Version \d+)$/
// Wine has the time of the last change behind the key.
const KEY = /^\[(.+)\](?:\s+\d+)?$/
const VALUE = /^(@|"((?:[^"\\]|\\.)*)")\s*=\s*(.*)$/
// Wine: `#time=…`, `#arch=win64`.
const PASSED = /^(|[;#].*)$/

/** Throws NoSettings. */
export function readRegistry(text: string): SettingMap {
  const [first = '', ...lines] = text.replace(/\\\r?\n\s*/g, '').split(/\r?\n/)
  if (!FIRST.test(first.trim())) throw new NoSettings('no registry')
  const isWine = first.startsWith('WINE')
  const root = new Map<string, Map<string, Setting>>()
  let values: Map<string, Setting> | null = null
  for (const each of lines) {
    const line = each.trim()
    if (PASSED.test(line)) continue
    const key = KEY.exec(line)?.[1]
    if (key !== undefined) {
      const name = isWine ? plain(key) : key
      values = root.get(name) ?? new Map()
      root.set(name, values)
      continue
    }
    const [, whole, name = '', value = ''] = VALUE.exec(line) ?? []
    if (whole === undefined || values === null) throw new NoSettings(line)
    values.set(whole === '@' ? '@' : plain(name), textOfValue(value))
  }
  return root
}

const plain = (text: string): string => text.replace(/\\(.)/g, '$1')

const textOfValue = (text: string): string => {
  const quoted = /^"((?:[^"\\]|\\.)*)"$/.exec(text)?.[1]
  return quoted === undefined ? text : plain(quoted)
}
